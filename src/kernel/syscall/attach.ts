/**
 * Attaching: hooks of groups, devices and sockets are remembered, functions that are there to be traced run programs;
 * what else a program would be attached to is not there, and the answer says so.
 */
import type { BtfTypeId } from '../../btf/index.ts';
import type { AttachType } from '../../sys/attach-types.ts';
import type { Bpf, Fd, ProgQueryAttr } from '../../sys/kernel.ts';
import type { Program } from '../objects/program.ts';
import { TracingLink } from '../objects/traced.ts';
import { type Call, fail, openFile } from './failure.ts';
import { HookCommands, isHook } from './hooks.ts';
import type { KernelState } from './state.ts';

type AttachCommands = Pick<
  Bpf,
  | 'prog_attach'
  | 'prog_detach'
  | 'prog_query'
  | 'raw_tracepoint_open'
  | 'task_fd_query'
  | 'link_create'
  | 'link_update'
  | 'link_detach'
  | 'iter_create'
  | 'token_create'
  | 'prog_stream_read_by_fd'
  | 'prog_assoc_struct_ops'
>;

/** What is missing for an attach type, by the beginning of its name. */
const MISSING: readonly (readonly [string, string])[] = [
  ['xdp_', 'maps that redirect to programs'],
  ['netkit', 'netkit devices'],
  ['sk_', 'sockets'],
  ['lirc', 'infrared devices'],
  ['lsm', 'security hooks'],
  ['struct_ops', 'struct_ops'],
  ['perf_event', 'perf events to trace with'],
  ['trace_', 'kernel functions to trace'],
  ['modify_return', 'kernel functions to trace'],
];

function missing(attach: AttachType): string {
  const what = MISSING.find(([prefix]) => attach.startsWith(prefix))?.[1] ?? 'hooks of that kind';
  return `the embedded kernel has no ${what} yet; run the program with PROG_TEST_RUN, or attach it in Linux`;
}

const target = (attr: ProgQueryAttr): string =>
  attr.target_ifindex === undefined
    ? `target fd ${attr.target_fd ?? 0}`
    : `network device ${attr.target_ifindex}`;

export function attachCommands(state: KernelState): AttachCommands {
  const hooks = new HookCommands(state);
  /** A descriptor that should be an iterator's link: none is. */
  function noLink(call: Call, fd: number): Error {
    const file = state.fds.get(fd);
    if (!file) return fail(call, 'EBADF', `file descriptor ${fd} is not open`);
    return fail(call, 'EINVAL', `file descriptor ${fd} is a ${file.object.kind}, not a link`);
  }

  const refuseHook = (call: Call, attach: AttachType): never => {
    throw fail(call, 'EOPNOTSUPP', missing(attach));
  };

  /** Attaches a program to the function that it was loaded for; `undefined` where that can't be traced. */
  function trace(call: Call, program: Program, cookie = 0n): Fd | undefined {
    const { attachBtfId, expectedAttachType: kind, kernelBtf } = program.facts;
    const target = attachBtfId > 0 ? kernelBtf?.type(attachBtfId as BtfTypeId) : undefined;
    if (target?.kind !== 'func' || !state.traced().has(target.name)) return undefined;
    if (kind !== 'trace_fentry' && kind !== 'trace_fexit' && kind !== 'modify_return') return undefined;
    if (!state.capabilities.perfmon) throw fail(call, 'EPERM', 'the caller lacks CAP_PERFMON');
    return state.fds.open(
      state.links.publish(new TracingLink(state.traced(), target.name, { program, kind, cookie })),
    );
  }

  return {
    prog_attach(attr) {
      const doing = `attaching program fd ${attr.attach_bpf_fd} to ${target(attr)} as ${attr.attach_type}`;
      const call: Call = { command: 'prog_attach', doing };
      if (isHook(attr.attach_type)) {
        hooks.attach(call, attr);
        return;
      }
      openFile(state, call, 'prog', attr.attach_bpf_fd);
      throw fail(call, 'EOPNOTSUPP', missing(attr.attach_type));
    },
    prog_detach(attr) {
      const doing = `detaching a ${attr.attach_type} program from ${target(attr)}`;
      const call: Call = { command: 'prog_detach', doing };
      if (!isHook(attr.attach_type)) throw fail(call, 'EOPNOTSUPP', missing(attr.attach_type));
      hooks.detach(call, attr);
    },
    prog_query(attr) {
      const doing = `asking for the ${attr.attach_type} programs of ${target(attr)}`;
      const call: Call = { command: 'prog_query', doing };
      if (!isHook(attr.attach_type)) throw fail(call, 'EOPNOTSUPP', missing(attr.attach_type));
      return hooks.query(call, attr);
    },
    raw_tracepoint_open(attr) {
      const call: Call = {
        command: 'raw_tracepoint_open',
        doing: `attaching program fd ${attr.prog_fd} to a raw tracepoint`,
      };
      const program = openFile(state, call, 'prog', attr.prog_fd).object;
      return trace(call, program, attr.cookie) ?? refuseHook(call, 'trace_raw_tp');
    },
    task_fd_query(attr) {
      const call: Call = {
        command: 'task_fd_query',
        doing: `asking what is attached to fd ${attr.fd} of process ${attr.pid}`,
      };
      if (!state.capabilities.sysAdmin) throw fail(call, 'EPERM', 'the caller lacks CAP_SYS_ADMIN');
      throw fail(call, 'ENOENT', 'the embedded kernel has no processes with perf events');
    },
    link_create(attr) {
      const call: Call = { command: 'link_create', doing: `creating a ${attr.attach_type} link` };
      // An extension has no attach type, and 0 is a hook's.
      const extension = attr.target_btf_id !== undefined;
      if (isHook(attr.attach_type) && !extension) return hooks.create(call, attr);
      if (attr.attach_type === 'struct_ops') openFile(state, call, 'map', attr.map_fd);
      else {
        const program = openFile(state, call, 'prog', attr.prog_fd).object;
        const traced = trace(call, program, attr.tracing?.cookie);
        if (traced !== undefined) return traced;
      }
      return refuseHook(call, attr.attach_type);
    },
    link_update(attr) {
      const call: Call = { command: 'link_update', doing: `replacing what link fd ${attr.link_fd} runs` };
      hooks.update(call, attr);
    },
    link_detach(attr) {
      hooks.detachLink({ command: 'link_detach', doing: `detaching link fd ${attr.link_fd}` }, attr.link_fd);
    },
    iter_create(attr) {
      const call: Call = { command: 'iter_create', doing: `opening an iterator of link fd ${attr.link_fd}` };
      if (attr.flags) throw fail(call, 'EINVAL', 'opening an iterator takes no flags');
      throw noLink(call, attr.link_fd);
    },
    token_create(attr) {
      const call: Call = { command: 'token_create', doing: `making a BPF token of fd ${attr.bpffs_fd}` };
      if (attr.flags) throw fail(call, 'EINVAL', 'making a token takes no flags');
      throw fail(
        call,
        'EBADF',
        'the embedded kernel has no tokens: its caller has the capabilities it was given',
      );
    },
    prog_stream_read_by_fd(attr) {
      const call: Call = {
        command: 'prog_stream_read_by_fd',
        doing: `reading stream ${attr.stream_id} of program fd ${attr.prog_fd}`,
      };
      const program = openFile(state, call, 'prog', attr.prog_fd).object;
      if (attr.stream_id !== 1 && attr.stream_id !== 2) {
        throw fail(call, 'ENOENT', 'a program has the streams 1 (stdout) and 2 (stderr)');
      }
      return program.streams.read(attr.stream_id, attr.size);
    },
    prog_assoc_struct_ops(attr) {
      const call: Call = {
        command: 'prog_assoc_struct_ops',
        doing: `associating program fd ${attr.prog_fd} with map fd ${attr.map_fd}`,
      };
      throw fail(
        call,
        'EINVAL',
        `the command came with Linux 7.0, and this kernel behaves as ${state.release}`,
      );
    },
  };
}
