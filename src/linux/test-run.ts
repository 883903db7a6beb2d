import { type Bpf, type ProgTestRunAttr, type ProgType, TEST_RUN_FLAGS } from '../sys/index.ts';
import { ATTR } from './attr.ts';
import type { Caller } from './call.ts';

/** Room for the packet that comes back, when the caller does not say. */
const DATA_OUT_BYTES = 64 * 1024;

/** Types whose context comes back in a buffer of its own. A syscall program's is changed in place; others' is not seen again. */
const CTX_OUT: ReadonlySet<ProgType> = new Set<ProgType>([
  'socket_filter',
  'sched_cls',
  'sched_act',
  'xdp',
  'cgroup_skb',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
  'lwt_seg6local',
  'sk_skb',
  'flow_dissector',
  'sk_lookup',
]);

/** Live frames go on through the network stack, so none comes back. */
function dataOutBytes(attr: ProgTestRunAttr): number {
  if (attr.data_size_out !== undefined) return attr.data_size_out;
  const live = ((attr.flags ?? 0) & TEST_RUN_FLAGS.BPF_F_TEST_XDP_LIVE_FRAMES) !== 0;
  return attr.data_in === undefined || live ? 0 : DATA_OUT_BYTES;
}

const { retval, duration, data_size_out, ctx_size_out } = ATTR.prog_test_run.members;

export function testRunCommands(caller: Caller): Pick<Bpf, 'prog_test_run'> {
  const { scratch } = caller;
  return {
    prog_test_run(attr: ProgTestRunAttr) {
      const type = caller.progType(attr.prog_fd);
      const ctxOutBytes = attr.ctx_size_out ?? (CTX_OUT.has(type) ? (attr.ctx_in?.length ?? 0) : 0);
      scratch.reset();
      const ctxIn = scratch.reserve(attr.ctx_in?.length ?? 0);
      if (attr.ctx_in !== undefined) ctxIn.bytes.set(attr.ctx_in);
      const dataIn = scratch.put(attr.data_in);
      const dataOut = scratch.reserve(dataOutBytes(attr));
      const ctxOut = scratch.reserve(ctxOutBytes);
      caller.call('prog_test_run', attr, {
        prog_fd: attr.prog_fd,
        data_size_in: attr.data_in?.length ?? 0,
        data_size_out: dataOut.bytes.length,
        data_in: dataIn,
        data_out: dataOut.address,
        repeat: attr.repeat ?? 0,
        ctx_size_in: attr.ctx_in?.length ?? 0,
        ctx_size_out: ctxOutBytes,
        ctx_in: ctxIn.address,
        ctx_out: ctxOut.address,
        flags: attr.flags ?? 0,
        cpu: attr.cpu ?? 0,
        batch_size: attr.batch_size ?? 0,
      });
      const { view } = scratch;
      return {
        retval: view.getUint32(retval.offset, true),
        duration: view.getUint32(duration.offset, true),
        data_out: dataOut.bytes.slice(0, view.getUint32(data_size_out.offset, true)),
        ctx_out:
          type === 'syscall'
            ? ctxIn.bytes.slice()
            : ctxOut.bytes.slice(0, view.getUint32(ctx_size_out.offset, true)),
      };
    },
  };
}
