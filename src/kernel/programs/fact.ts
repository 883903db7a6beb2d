import type { AttachType, Helper } from '../../sys/index.ts';
import type { ContextStruct } from './context.ts';

/** Capabilities that bpf(2) looks at. CAP_SYS_ADMIN stands for each of them. */
export type Capability = 'bpf' | 'perfmon' | 'net_admin' | 'sys_admin';

/** Values of r0 at exit that Linux accepts, both ends included, as signed numbers. */
export interface ReturnRange {
  readonly min: number;
  readonly max: number;
  /** Holds for these expected attach types; absent: for all. */
  readonly attach?: readonly AttachType[];
}

/** What Linux's tables say of a program type. */
export interface ProgramFacts {
  readonly context: ContextStruct;
  /** Attach types that mean something to programs of the type. */
  readonly attachTypes: readonly AttachType[];
  /** Loading refuses any other expected attach type; else it ignores what it doesn't know. */
  readonly attachTypeChecked: boolean;
  /** Taken where the caller gives 0 and 0 isn't one of `attachTypes`. */
  readonly defaultAttachType?: AttachType;
  /** `attach_btf_id` must name a target. */
  readonly needsBtfTarget?: true;
  /** Empty: any value. */
  readonly returns: readonly ReturnRange[];
  /** Capabilities beside CAP_BPF that loading needs. */
  readonly capabilities: readonly Capability[];
  /** BPF_PROG_TEST_RUN works: with a packet, or with a context alone. */
  readonly testRun?: 'packet' | 'ctx';
  /** What the program may do through packet pointers of its context. */
  readonly packetAccess?: 'read' | 'write';
  /** LD_ABS and LD_IND are allowed. */
  readonly legacyPacketLoads?: true;
  /** BPF_F_SLEEPABLE: allowed, allowed for these attach types, or demanded. */
  readonly sleepable?: true | readonly AttachType[] | 'must';
  /** False: not even the basic helpers. */
  readonly baseHelpers?: false;
  /** Helpers beside the basic ones, for every attach type. */
  readonly helpers: readonly Helper[];
  readonly helpersByAttachType?: readonly {
    readonly attach: readonly AttachType[];
    readonly helpers: readonly Helper[];
  }[];
  /** For struct_ops: by name of the kernel struct. */
  readonly helpersByStruct?: Readonly<Record<string, readonly Helper[]>>;
}
