import { InputError } from '../base/error.ts';
import type { Btf } from '../btf/index.ts';
import type {
  AttachType,
  Fd,
  Kernel,
  LinkCreateAttr,
  PerfEventAttr,
  ProgInfo,
  ProgTestRunAttr,
  ProgTestRunResult,
  ProgType,
} from '../sys/index.ts';
import { TEST_RUN_FLAGS } from '../sys/index.ts';
import { type AttachOptions, attachProgram } from './attach/auto.ts';
import { attachCgroup, attachLirc, type CgroupOptions } from './attach/cgroup.ts';
import { attachIterator, type IteratorLink, type IteratorOptions } from './attach/iterator.ts';
import { type Attachment, BpfLink, type Link, type LinkOwner } from './attach/link.ts';
import {
  attachClassifier,
  attachNetfilter,
  attachNetkit,
  attachNetns,
  attachRoute,
  attachSocket,
  attachSockmap,
  attachTcx,
  attachXdp,
  attachXdpNetlink,
  type ClassifierOptions,
  type DirectionOptions,
  type NetfilterOptions,
  type NetkitOptions,
  type RouteOptions,
  type SockmapOptions,
  type XdpNetlinkOptions,
  type XdpOptions,
} from './attach/network.ts';
import {
  attachPerfEvent,
  attachSampling,
  attachTracepoint,
  type PerfLinkOptions,
  type SamplingOptions,
} from './attach/perf.ts';
import { type Anchor, type DeviceRef, type PathRef, programName } from './attach/place.ts';
import {
  attachKprobe,
  attachKprobeMulti,
  attachSyscall,
  attachUprobe,
  attachUprobeMulti,
  type KernelPlace,
  type KernelPlaces,
  type KprobeOptions,
  type MultiOptions,
  type UprobeMultiOptions,
  type UprobeOptions,
  type UserPlace,
} from './attach/probe.ts';
import {
  attachFreplace,
  attachRawTracepoint,
  attachTrace,
  attachTraceMulti,
  type CookieOptions,
  type ReplaceTarget,
  type TraceMultiOptions,
} from './attach/tracing.ts';
import { attachUsdt, type UsdtOptions } from './attach/usdt.ts';
import type { PoisonedRelo } from './core-patch.ts';
import type { LoadedMap } from './map.ts';
import type { ProgramSpec } from './spec.ts';

/** What an errno of LINK_CREATE says of the kernel, by the beginning of the attach type. */
const LACKING: readonly (readonly [type: string, errno: string, hint: string])[] = [
  ['trace_kprobe', 'EOPNOTSUPP', 'kprobe.multi links need CONFIG_FPROBE'],
  ['trace_uprobe', 'EOPNOTSUPP', 'uprobe.multi links need CONFIG_UPROBES'],
  [
    'netfilter',
    'EINVAL',
    'netfilter links need CONFIG_NETFILTER_BPF_LINK and a priority between the two ends of the range',
  ],
  ['xdp', 'EBUSY', 'a device has one XDP program, and this one was put there by netlink or another link'],
  ['xdp', 'EOPNOTSUPP', "the device's driver runs no XDP programs: choose the mode 'generic'"],
  ['perf_event', 'EEXIST', 'the event runs a program already'],
  ['perf_event', 'EINVAL', "the program's type does not suit the event"],
  ['tcx', 'ESTALE', "the hook's programs changed since that revision was read"],
  ['netkit', 'ESTALE', "the hook's programs changed since that revision was read"],
];

/** What {@link LoadedProgram} is made of. */
export interface ProgramParts {
  readonly kernel: Kernel;
  readonly name: string;
  readonly fd: Fd;
  readonly type: ProgType;
  readonly attachType: AttachType | undefined;
  readonly target: string | undefined;
  readonly spec: ProgramSpec;
  readonly log: string;
  readonly poisoned: readonly PoisonedRelo[];
  readonly maps: ReadonlyMap<string, LoadedMap>;
  readonly owner: LinkOwner | undefined;
  readonly btf: Btf | undefined;
}

/** What a program is run on. */
export interface TestOptions {
  /** The packet, for types that take one. */
  readonly data?: Uint8Array;
  /** The context's bytes. */
  readonly context?: Uint8Array;
  /** The CPU that it runs on (raw tracepoints). */
  readonly cpu?: number;
  readonly repeat?: number;
  /** Bits of `TEST_RUN_FLAGS`. */
  readonly flags?: number;
  /** XDP: packets go on as if they had come from the device in the context; `batch` of them at once. */
  readonly live?: { readonly batch?: number };
}

/**
 * A program that is in the kernel. Each `attach…` gives a {@link Link}; links are closed with the object, or earlier by
 * their `close()` or `using`. All throw an `InputError` that says why nothing was attached.
 */
export class LoadedProgram {
  readonly kernel: Kernel;
  readonly name: string;
  readonly fd: Fd;
  readonly type: ProgType;
  /** What it was loaded to be attached as, if its type has such. */
  readonly attachType: AttachType | undefined;
  /** What its section's name, or who loaded it, says that it is attached to. */
  readonly target: string | undefined;
  readonly spec: ProgramSpec;
  /** The verifier's log, when one was asked for. */
  readonly log: string;
  /** CO-RE records that the kernel's types do not satisfy, in code that is never reached. */
  readonly poisoned: readonly PoisonedRelo[];
  /** The maps of its object. */
  readonly maps: ReadonlyMap<string, LoadedMap>;
  /** The types of its object. */
  readonly btf: Btf | undefined;
  /** Who closes its links. */
  readonly owner: LinkOwner | undefined;
  #pinned: string | undefined;

  constructor(parts: ProgramParts) {
    this.kernel = parts.kernel;
    this.name = parts.name;
    this.fd = parts.fd;
    this.type = parts.type;
    this.attachType = parts.attachType;
    this.target = parts.target;
    this.spec = parts.spec;
    this.log = parts.log;
    this.poisoned = parts.poisoned;
    this.maps = parts.maps;
    this.owner = parts.owner;
    this.btf = parts.btf;
  }

  /** Attaches to what its section's name says; the options say the rest (a device, a control group). */
  attach(options?: AttachOptions): Link {
    return attachProgram(this, options);
  }

  attachXdp(device: DeviceRef, options?: XdpOptions): BpfLink {
    return attachXdp(this, device, options);
  }
  /** Without a link, as `ip link set dev DEVICE xdp`. */
  attachXdpNetlink(device: DeviceRef, options?: XdpNetlinkOptions): Attachment {
    return attachXdpNetlink(this, device, options);
  }
  /** Among the device's tcx programs: before or after another. */
  attachTcx(device: DeviceRef, options?: Anchor & DirectionOptions): BpfLink {
    return attachTcx(this, device, options);
  }
  /** As `tc filter add dev DEVICE … bpf direct-action`. */
  attachClassifier(device: DeviceRef, options?: ClassifierOptions): Attachment {
    return attachClassifier(this, device, options);
  }
  attachNetkit(device: DeviceRef, options?: NetkitOptions): BpfLink {
    return attachNetkit(this, device, options);
  }
  attachNetfilter(options: NetfilterOptions): BpfLink {
    return attachNetfilter(this, options);
  }
  /** `sk_lookup` and `flow_dissector`. */
  attachNetns(netns?: PathRef): BpfLink {
    return attachNetns(this, netns);
  }
  attachSockmap(map: Fd | { readonly fd: Fd }, options?: SockmapOptions): Link {
    return attachSockmap(this, map, options);
  }
  /** Filters a socket of this process (`SO_ATTACH_BPF`), or shares a port out (`SO_ATTACH_REUSEPORT_EBPF`). */
  attachSocket(socket: number): Attachment {
    return attachSocket(this, socket);
  }
  /** As `ip route add … encap bpf`. */
  attachRoute(options: RouteOptions): Attachment {
    return attachRoute(this, options);
  }
  attachCgroup(cgroup: PathRef, options?: CgroupOptions): Link {
    return attachCgroup(this, cgroup, options);
  }
  attachLirc(device: PathRef): Attachment {
    return attachLirc(this, device);
  }
  attachPerfEvent(event: Fd | PerfEventAttr, options?: PerfLinkOptions): Link {
    return attachPerfEvent(this, event, options);
  }
  /** At regular times on every CPU: what a profiler does. */
  attachSampling(options?: SamplingOptions): Link {
    return attachSampling(this, options);
  }
  attachTracepoint(category: string, name: string, options?: PerfLinkOptions): Link {
    return attachTracepoint(this, category, name, options);
  }
  attachRawTracepoint(name?: string, options?: CookieOptions): BpfLink {
    return attachRawTracepoint(this, name, options);
  }
  /** `tp_btf`, `fentry`, `fexit`, `fmod_ret`, `lsm`: to what it was loaded for. */
  attachTrace(options?: CookieOptions): BpfLink {
    return attachTrace(this, options);
  }
  /** Many functions by one link, for `fentry.multi` and its like. */
  attachTraceMulti(
    functions: { readonly symbols: readonly string[] } | { readonly pattern: string },
    options?: TraceMultiOptions,
  ): BpfLink {
    return attachTraceMulti(this, functions, options);
  }
  attachFreplace(target?: ReplaceTarget): BpfLink {
    return attachFreplace(this, target);
  }
  attachKprobe(place: KernelPlace, options?: KprobeOptions): Link {
    return attachKprobe(this, place, options);
  }
  attachKprobeMulti(places: KernelPlaces, options?: MultiOptions): BpfLink {
    return attachKprobeMulti(this, places, options);
  }
  /** The kernel's function of a system call. */
  attachSyscall(name: string, options?: KprobeOptions): Link {
    return attachSyscall(this, name, options);
  }
  attachUprobe(path: string, place: UserPlace, options?: UprobeOptions): Link {
    return attachUprobe(this, path, place, options);
  }
  attachUprobeMulti(
    path: string,
    places: readonly UserPlace[] | { readonly pattern: string },
    options?: UprobeMultiOptions,
  ): BpfLink {
    return attachUprobeMulti(this, path, places, options);
  }
  attachUsdt(path: string, provider: string, name: string, options?: UsdtOptions): Link {
    return attachUsdt(this, path, provider, name, options);
  }
  /** A link that can be read. */
  attachIterator(options?: IteratorOptions): IteratorLink {
    return attachIterator(this, options);
  }

  /** LINK_CREATE with this program. @param others descriptors that are closed with the link */
  link(attr: Omit<LinkCreateAttr, 'prog_fd'>, others: readonly Fd[] = []): BpfLink {
    return this.adopt(
      this.#named(() => this.kernel.bpf.link_create({ ...attr, prog_fd: this.fd }), attr.attach_type),
      others,
    );
  }

  /** A failure names the program, and what the kernel was built without where that is known. */
  #named<T>(call: () => T, type: AttachType): T {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const hint = LACKING.find(([begin, errno]) => type.startsWith(begin) && errno === error.errno)?.[2];
      throw new InputError(
        'loader-attach',
        `${programName(this)}: ${error.message}${hint ? `; ${hint}` : ''}`,
        {
          ...(error.errno !== undefined && { errno: error.errno }),
          cause: error,
        },
      );
    }
  }

  /** Takes charge of a link's descriptor. */
  adopt(link: Fd, others: readonly Fd[] = []): BpfLink {
    try {
      return new BpfLink(this.kernel, link, this.owner, others);
    } catch (error) {
      this.kernel.closeFd(link);
      throw error;
    }
  }

  /** Runs it once, or more often, on given input (PROG_TEST_RUN). */
  test(options: TestOptions = {}): ProgTestRunResult {
    const { data, context, cpu, repeat, live } = options;
    const flags =
      (options.flags ?? 0) |
      (cpu === undefined ? 0 : TEST_RUN_FLAGS.BPF_F_TEST_RUN_ON_CPU) |
      (live === undefined ? 0 : TEST_RUN_FLAGS.BPF_F_TEST_XDP_LIVE_FRAMES);
    const attr: ProgTestRunAttr = {
      prog_fd: this.fd,
      ...(data && { data_in: data }),
      ...(context && { ctx_in: context }),
      ...(cpu !== undefined && { cpu }),
      ...(repeat !== undefined && { repeat }),
      ...(flags !== 0 && { flags }),
      ...(live?.batch !== undefined && { batch_size: live.batch }),
    };
    return this.kernel.bpf.prog_test_run(attr);
  }

  info(): ProgInfo {
    const info = this.kernel.bpf.obj_get_info_by_fd({ bpf_fd: this.fd });
    if (info.kind !== 'prog') {
      throw new InputError(
        'loader-program',
        `program ${this.name}: fd ${this.fd} is a ${info.kind} now: it was closed`,
      );
    }
    return info;
  }

  /** Keeps it in a BPF file system. */
  pin(path: string): void {
    this.kernel.bpf.obj_pin({ pathname: path, bpf_fd: this.fd });
    this.#pinned = path;
  }

  unpin(): void {
    if (this.#pinned !== undefined) this.kernel.files.unlink(this.#pinned);
    this.#pinned = undefined;
  }
}
