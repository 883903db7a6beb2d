/** The table of kernel functions against the machine's kernel: who may call them, and what they demand. */
import { expect, test } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { type Btf, type BtfTypeId, parseBtf, resolveType } from '../../src/btf/index.ts';
import {
  KF_ACQUIRE,
  KF_DEV_BOUND,
  KF_RCU,
  KF_RELEASE,
  KF_SLEEPABLE,
  KF_TRUSTED_ARGS,
  kfuncAllowed,
  kfuncFlags,
} from '../../src/kernel/kfuncs/index.ts';
import { type AttachType, PROG_LOAD_FLAGS, type ProgType } from '../../src/sys/index.ts';
import { asm, needsLinux, theLinux } from './support.ts';

interface Place {
  readonly type: ProgType;
  readonly attach?: AttachType;
  readonly target?: readonly ['typedef' | 'struct' | 'func', string];
}

/** Types whose programs this kernel verifies without a target that only a tracer could name. */
const PLACES: readonly Place[] = [
  { type: 'socket_filter' },
  { type: 'kprobe' },
  { type: 'sched_cls' },
  { type: 'sched_act' },
  { type: 'tracepoint' },
  { type: 'xdp' },
  { type: 'perf_event' },
  { type: 'cgroup_skb' },
  { type: 'cgroup_sock' },
  { type: 'cgroup_device' },
  { type: 'cgroup_sysctl' },
  { type: 'cgroup_sock_addr', attach: 'cgroup_inet4_bind' },
  { type: 'cgroup_sockopt', attach: 'cgroup_getsockopt' },
  { type: 'lwt_in' },
  { type: 'lwt_out' },
  { type: 'lwt_xmit' },
  { type: 'lwt_seg6local' },
  { type: 'sock_ops' },
  { type: 'sk_skb' },
  { type: 'sk_msg' },
  { type: 'sk_reuseport' },
  { type: 'sk_lookup', attach: 'sk_lookup' },
  { type: 'flow_dissector' },
  { type: 'raw_tracepoint' },
  { type: 'raw_tracepoint_writable' },
  { type: 'netfilter', attach: 'netfilter' },
  { type: 'syscall' },
  { type: 'tracing', attach: 'trace_raw_tp', target: ['typedef', 'btf_trace_sched_switch'] },
  { type: 'tracing', attach: 'trace_iter', target: ['func', 'bpf_iter_task'] },
  { type: 'struct_ops', target: ['struct', 'tcp_congestion_ops'] },
];

function kernelTypes(): Btf | undefined {
  const bytes = theLinux().vmlinuxBtf();
  return bytes && parseBtf(bytes, 'vmlinux');
}

/** The kernel functions of the kernel: those that are tagged as such. */
function tagged(btf: Btf): { readonly name: string; readonly id: BtfTypeId }[] {
  const found: { name: string; id: BtfTypeId }[] = [];
  for (const id of btf.ids()) {
    if (btf.kind(id) !== 'decl_tag') continue;
    const tag = btf.typeOf(id, 'decl_tag');
    if (tag.name === 'bpf_kfunc') found.push({ name: btf.nameOf(tag.type), id: tag.type });
  }
  return found;
}

/** Linux's log of a program that does no more than call the function. */
function ask(btf: Btf, id: BtfTypeId, place: Place, before = ''): string {
  const target = place.target && btf.find(place.target[1], place.target[0]);
  const insns = asm(`${before}call kernel-function#${id}\nr0 = 0\nexit`);
  try {
    const { fd, log } = theLinux().bpf.prog_load({
      prog_type: place.type,
      insns,
      license: 'GPL',
      log_level: 1,
      prog_flags: place.type === 'syscall' ? PROG_LOAD_FLAGS.BPF_F_SLEEPABLE : 0,
      ...(place.attach !== undefined && { expected_attach_type: place.attach }),
      ...(target !== undefined && { attach_btf_id: target }),
    });
    theLinux().closeFd(fd);
    return `accepted\n${log}`;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.detail ?? error.message;
  }
}

needsLinux('kernel functions', () => {
  test('who may call them', () => {
    const btf = kernelTypes()!;
    const wrong: string[] = [];
    let asked = 0;
    for (const { name, id } of tagged(btf)) {
      for (const place of PLACES) {
        const log = ask(btf, id, place);
        asked++;
        const allowed = !log.includes(`calling kernel function ${name} is not allowed`);
        if (allowed === kfuncAllowed(name, place.type, place.attach)) continue;
        wrong.push(
          `${name} in ${place.type} ${place.attach ?? ''}: Linux ${allowed ? 'allows' : 'refuses'} it`,
        );
      }
    }
    expect(asked).toBeGreaterThan(PLACES.length);
    expect(wrong).toEqual([]);
  });

  test('what they demand of the program and of pointers', () => {
    const btf = kernelTypes()!;
    const wrong: string[] = [];
    let asked = 0;
    const zeros = [1, 2, 3, 4, 5].map((regno) => `r${regno} = 0\n`).join('');
    for (const { name, id } of tagged(btf)) {
      const flags = kfuncFlags(name) ?? 0;
      const place = PLACES.find(({ type, attach }) => type !== 'syscall' && kfuncAllowed(name, type, attach));
      if (place === undefined || (flags & KF_DEV_BOUND) !== 0) continue;
      const log = ask(btf, id, place, zeros);
      asked++;
      const sleepable = log.includes('program must be sleepable to call sleepable kfunc');
      if (sleepable !== ((flags & KF_SLEEPABLE) !== 0)) wrong.push(`${name} sleepable: ${sleepable}`);
      if (sleepable || takesNull(btf, id)) continue;
      const trusted = log.includes('Possibly NULL pointer passed to trusted arg');
      if (trusted !== ((flags & (KF_TRUSTED_ARGS | KF_RCU | KF_RELEASE)) !== 0)) {
        wrong.push(`${name} trusted: ${trusted}`);
      }
      const acquires = log.includes('Unreleased reference');
      if (!trusted && acquires && (flags & KF_ACQUIRE) === 0) wrong.push(`${name} acquires`);
    }
    expect(asked).toBeGreaterThan(100);
    expect(wrong).toEqual([]);
  });
});

/** The function has no pointer argument that zero would be wrong for. */
function takesNull(btf: Btf, id: BtfTypeId): boolean {
  const proto = btf.type(btf.typeOf(id, 'func').type);
  if (proto.kind !== 'func_proto') return true;
  return !proto.params.some(
    ({ name, type }) => resolveType(btf, type).kind === 'ptr' && !/__(ign|prog|nullable)$/.test(name),
  );
}
