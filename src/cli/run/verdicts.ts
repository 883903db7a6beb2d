/** What programs that take packets answer, by program type: names, and what becomes of the packet. */
import { InputError } from '../../base/error.ts';
import type { LoadedProgram } from '../../loader/index.ts';
import { type ProgType, tcActionName, xdpActionName } from '../../sys/index.ts';

/** One answer. */
interface Verdict {
  /** `PASS`, `DROP`. */
  readonly name: string;
  /** Whether the packet goes on, and so is written to `--out`. */
  readonly kept: boolean;
  /** Bytes of the packet that are kept, where the answer says so. */
  readonly bytes?: number;
}

/** How a program type is run on packets. */
export interface PacketType {
  /** Names that the table shows even when no packet got them. */
  readonly usual: readonly string[];
  /** What the kernel is given for a frame, where that is not the frame itself. */
  readonly input?: (frame: Uint8Array) => Uint8Array;
  /** @param length of the frame */
  readonly verdict: (retval: number, length: number) => Verdict;
}

const XDP: PacketType = {
  usual: ['PASS', 'DROP', 'TX', 'REDIRECT', 'ABORTED'],
  verdict: (retval) => {
    const name = xdpActionName(retval)?.slice('XDP_'.length);
    // Linux warns about an action that it does not know and treats it as XDP_ABORTED.
    if (name === undefined) return { name: `ABORTED (r0 = ${retval})`, kept: false };
    return { name, kept: name !== 'DROP' && name !== 'ABORTED' };
  },
};

const LOST: ReadonlySet<string> = new Set(['SHOT', 'STOLEN', 'QUEUED', 'TRAP']);

const TC: PacketType = {
  usual: ['OK', 'SHOT', 'REDIRECT'],
  verdict: (retval) => {
    const name = tcActionName(retval)?.slice('TC_ACT_'.length);
    // Linux takes every other number for TC_ACT_UNSPEC, which continues as configured.
    if (name === undefined) return { name: `UNSPEC (r0 = ${retval | 0})`, kept: true };
    return { name, kept: !LOST.has(name) };
  },
};

const ETHERNET_HEADER = 14;

const SOCKET: PacketType = {
  usual: ['KEEP', 'TRIM', 'DROP'],
  // PROG_TEST_RUN takes the Ethernet header off before a socket filter sees the packet. A packet socket does not, so
  // the header is given twice.
  input: (frame) => {
    const twice = new Uint8Array(Math.min(ETHERNET_HEADER, frame.length) + frame.length);
    twice.set(frame.subarray(0, ETHERNET_HEADER));
    twice.set(frame, Math.min(ETHERNET_HEADER, frame.length));
    return twice;
  },
  verdict: (retval, length) => {
    if (retval === 0) return { name: 'DROP', kept: false, bytes: 0 };
    return { name: retval < length ? 'TRIM' : 'KEEP', kept: true, bytes: Math.min(retval, length) };
  },
};

const PACKET_TYPES: Readonly<Partial<Record<ProgType, PacketType>>> = {
  xdp: XDP,
  sched_cls: TC,
  sched_act: TC,
  socket_filter: SOCKET,
};

const EVENTS =
  'will be run on events of traced processes; until then load it into Linux with bpftool and trigger the event';
const SOCKETS =
  'will be run on the sockets of a simulated cgroup or network namespace; until then attach it on Linux';

/** What runs a program that is not run on packets, and what to use until that is here. */
const LATER: Readonly<Partial<Record<ProgType, string>>> = {
  kprobe: EVENTS,
  tracepoint: EVENTS,
  raw_tracepoint: EVENTS,
  raw_tracepoint_writable: EVENTS,
  perf_event: EVENTS,
  tracing: EVENTS,
  lsm: EVENTS,
  cgroup_skb: SOCKETS,
  cgroup_sock: SOCKETS,
  cgroup_sock_addr: SOCKETS,
  cgroup_sockopt: SOCKETS,
  cgroup_sysctl: SOCKETS,
  cgroup_device: SOCKETS,
  sock_ops: SOCKETS,
  sk_skb: SOCKETS,
  sk_msg: SOCKETS,
  sk_lookup: SOCKETS,
  sk_reuseport: SOCKETS,
  netfilter: SOCKETS,
  flow_dissector: SOCKETS,
  lwt_in:
    'will be run on the routes of a simulated network; until then attach it on Linux (ip route … encap bpf)',
  lwt_out:
    'will be run on the routes of a simulated network; until then attach it on Linux (ip route … encap bpf)',
  lwt_xmit:
    'will be run on the routes of a simulated network; until then attach it on Linux (ip route … encap bpf)',
  lwt_seg6local:
    'will be run on the routes of a simulated network; until then attach it on Linux (ip route … encap)',
  struct_ops:
    'is called by the subsystem that it implements; until that is here register it on Linux with bpftool',
  syscall:
    'is run by a system call and takes no packet; until that is here run it with bpftool prog run on Linux',
};

/** @throws InputError `run-program-type` when the program is not run on packets, saying what will run it */
export function packetType(program: Pick<LoadedProgram, 'name'>, type: ProgType): PacketType {
  const found = PACKET_TYPES[type];
  if (found !== undefined) return found;
  const later = LATER[type] ?? 'is not run on packets; attach it on Linux';
  throw new InputError(
    'run-program-type',
    `running ${program.name}: a ${type} program takes no packets; it ${later}. ` +
      `skep disasm lists its instructions`,
  );
}
