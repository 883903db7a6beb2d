/** What a kernel consists of, as its system calls see it. */
import type { Btf } from '../../btf/index.ts';
import type { ProgTestRunAttr, ProgTestRunResult } from '../../sys/kernel.ts';
import type { BpfMap, MapHost } from '../maps/index.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { Bpffs } from '../objects/bpffs.ts';
import type { BtfObject } from '../objects/btf-object.ts';
import type { FdTable } from '../objects/fd-table.ts';
import type { Hooks } from '../objects/hook.ts';
import type { IdTable } from '../objects/id-table.ts';
import type { Link } from '../objects/link.ts';
import type { Clock, Grace } from '../objects/machine.ts';
import type { KernelObject } from '../objects/object.ts';
import type { CgroupTree, NetNamespace } from '../objects/place.ts';
import type { Program } from '../objects/program.ts';
import type { Traced } from '../objects/traced.ts';
import type { Capabilities } from '../verifier/index.ts';

export interface KernelState extends MapHost {
  readonly memory: Memory;
  readonly cpus: number;
  cpu: number;
  readonly clock: Required<Clock>;
  readonly grace: Grace;
  readonly release: string;
  readonly capabilities: Capabilities;
  /** `kernel.unprivileged_bpf_disabled` is 0: who has no capability may create what is harmless. */
  readonly unprivileged: boolean;
  readonly uid: number;
  readonly fds: FdTable;
  readonly maps: IdTable<BpfMap>;
  readonly progs: IdTable<Program>;
  readonly btfs: IdTable<BtfObject>;
  readonly bpffs: Bpffs;
  readonly links: IdTable<Link>;
  /** What is attached, as far as it is only remembered. */
  readonly hooks: Hooks;
  readonly cgroups: CgroupTree;
  readonly netns: NetNamespace;
  /** Whether a device was given an XDP program by netlink. */
  readonly hasXdp: (ifindex: number) => boolean;
  readonly kernelBtf: Btf | undefined;
  /** How many open file descriptors ask for run statistics. */
  statsUsers: number;
  /** By address, as programs name them. */
  readonly mapsByAddr: Map<Addr, BpfMap>;
  objectAt(fd: number): KernelObject | undefined;
  /** Where a variable of the kernel is, by its id in the kernel's BTF. */
  readonly variable: (btfId: number) => number;
  /** What is attached to the kernel's functions. */
  readonly traced: () => Traced;
  readonly helperImplemented: (id: number) => boolean;
  /** Bytes that a program is compiled to; 0 where programs are interpreted. */
  readonly jitedLength: (program: Program) => number;
  /** Runs a program on given input. @throws InputError */
  readonly testRun: (program: Program, attr: ProgTestRunAttr) => ProgTestRunResult;
}
