/** The embedded kernel: bpf(2) in any process, with memory, clock, randomness and processors of its own. */
import { InputError } from '../base/error.ts';
import { parseBtf } from '../btf/index.ts';
import type { FileCalls, HookCalls } from '../sys/files.ts';
import type { Bpf, Fd, Kernel, Mapping, SystemCalls } from '../sys/kernel.ts';
import { PERF_SAMPLE, PERF_SOFTWARE, PERF_TYPES } from '../sys/perf.ts';
import { type CaptureHost, CaptureRun, type CaptureRunOptions } from './batch/capture-run.ts';
import { isImplemented } from './helpers/callable.ts';
import type { RunKernel, Task } from './interpreter/index.ts';
import { Jit } from './jit/index.ts';
import { type BpfMap, PerfEventArrayMap, RingbufMap } from './maps/index.ts';
import { type Addr, Memory, type MemoryUse } from './memory/index.ts';
import { installMock, type Mock, type MockFunction, type MockName } from './mock.ts';
import { type DeviceSpec, Devices } from './net/device.ts';
import { RedirectInfo } from './net/redirect.ts';
import type { RoutingSpec } from './net/routes.ts';
import { testRun } from './net/test-run.ts';
import { Bpffs } from './objects/bpffs.ts';
import { BtfObject } from './objects/btf-object.ts';
import { fdInfo } from './objects/fd-info.ts';
import { FdTable } from './objects/fd-table.ts';
import { Hooks } from './objects/hook.ts';
import { IdTable } from './objects/id-table.ts';
import type { Link } from './objects/link.ts';
import { type Clock, Grace, hostClock, RandomSource, SimulatedClock } from './objects/machine.ts';
import type { KernelObject } from './objects/object.ts';
import { PerfEvent, type PerfRecord } from './objects/perf-event.ts';
import { CgroupTree, NetNamespace } from './objects/place.ts';
import { Program } from './objects/program.ts';
import { closeServices, createServices } from './objects/services.ts';
import { symbolAddress } from './objects/symbols.ts';
import { EmbeddedSystemCalls } from './os.ts';
import { ParallelRun, type ParallelRunOptions } from './parallel/parallel-run.ts';
import { fileCalls, hookCalls } from './syscall/files.ts';
import { systemCalls } from './syscall/from-program.ts';
import { createBpf, type KernelState } from './syscall/index.ts';
import { EmbeddedNet } from './syscall/net.ts';
import { countRuns } from './syscall/stats.ts';
import { ALL_CAPABILITIES, type Capabilities } from './verifier/index.ts';

export interface KernelOptions {
  /** CPUs that a per-CPU value has a slot for; default 1. */
  readonly cpus?: number;
  /** The CPU that system calls and programs run on; default 0. */
  readonly cpu?: number;
  /** Default: the host's clocks. */
  readonly clock?: Clock;
  /** A seed, or a source of 32-bit numbers; default seed 0, so that runs repeat. */
  readonly random?: number | (() => number);
  /** What the caller may do; default everything. */
  readonly capabilities?: Capabilities;
  /** As with `kernel.unprivileged_bpf_disabled=0`; default false, as Linux is usually set. */
  readonly unprivilegedBpf?: boolean;
  /** The Linux that it behaves as; default `6.18.0`. */
  readonly release?: string;
  /** Most bytes of memory; default 4 GiB. */
  readonly memoryLimit?: number;
  /** The task that programs run on behalf of. */
  readonly task?: Partial<Task>;
  /** Network devices beside loopback. */
  readonly devices?: readonly DeviceSpec[];
  /** Routes and neighbours, for `bpf_fib_lookup`; default none, and no forwarding. */
  readonly routing?: RoutingSpec;
  /** The kernel's own BTF. */
  readonly btf?: Uint8Array;
  /** Kernel configuration, as `.kconfig` externs read it (`CONFIG_HZ` is `250`). */
  readonly config?: Readonly<Record<string, string>>;
  /** Its memory can be shared with threads, for runs on several processors; needs `SharedArrayBuffer`. Default false. */
  readonly shared?: boolean;
  /** Programs are interpreted, every access checked while they run; default false: they are compiled. */
  readonly interpret?: boolean;
  /** Takes the lines of `bpf_trace_printk`, without their newlines. */
  readonly trace?: (line: string) => void;
}

const DEFAULT_TASK: Task = { pid: 1, tgid: 1, uid: 0, gid: 0, comm: 'skep' };
const RELEASE = '6.18.0';
const CONFIG: Readonly<Record<string, string>> = {
  CONFIG_HZ: '250',
  CONFIG_BPF: 'y',
  CONFIG_BPF_SYSCALL: 'y',
};

export class EmbeddedKernel implements Kernel {
  readonly name = 'embedded';
  readonly bpf: Bpf;
  readonly os: SystemCalls;
  readonly files: FileCalls;
  readonly hooks: HookCalls = hookCalls();
  readonly net: EmbeddedNet;
  readonly release: string;
  readonly possibleCpus: number;
  readonly memory: Memory;
  /** Its BPF file system: what bpf(2) pins, and the directories that it doesn't make. */
  readonly bpffs = new Bpffs();
  /** For what runs programs outside of bpf(2): hooks, debuggers. */
  readonly runtime: RunKernel;
  readonly #os: EmbeddedSystemCalls;
  readonly #state: KernelState;
  readonly #options: KernelOptions;
  /** Of the perf events that {@link perfEventOpen} opened. */
  readonly #rings = new Map<Fd, Mapping>();
  readonly #traceReaders = new Set<(line: string) => void>();

  constructor(options: KernelOptions = {}) {
    this.#options = options;
    this.release = options.release ?? RELEASE;
    this.possibleCpus = options.cpus ?? 1;
    const cpu = options.cpu ?? 0;
    if (!Number.isInteger(this.possibleCpus) || this.possibleCpus < 1 || this.possibleCpus > 4096) {
      throw wrongOption(`cpus is ${this.possibleCpus}, but a kernel has 1 to 4096`);
    }
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= this.possibleCpus) {
      throw wrongOption(`cpu is ${cpu}, but the kernel has CPUs 0 to ${this.possibleCpus - 1}`);
    }
    if (options.shared && typeof SharedArrayBuffer === 'undefined') {
      throw wrongOption('shared memory is not available here (a page needs cross-origin isolation for it)');
    }
    this.memory = new Memory({
      ...(options.memoryLimit !== undefined && { limit: options.memoryLimit }),
      ...(options.shared && { shared: true }),
    });
    if (options.trace) this.#traceReaders.add(options.trace);
    this.#state = this.#createState(cpu);
    this.runtime = this.#createRuntime();
    this.bpf = createBpf(this.#state);
    this.runtime.sys = systemCalls(this.#state, () => this.bpf);
    this.#os = new EmbeddedSystemCalls(this.#state);
    this.os = this.#os;
    this.files = fileCalls(this.#state);
    this.net = new EmbeddedNet(this.#state, this.runtime.devices);
  }

  #createState(cpu: number): KernelState {
    const { capabilities = ALL_CAPABILITIES, unprivilegedBpf = false, task, btf, random = 0 } = this.#options;
    const fds = new FdTable();
    const btfs = new IdTable<BtfObject>();
    const kernelBtf = btf && parseBtf(btf, 'vmlinux');
    if (btf && kernelBtf) btfs.publish(new BtfObject(btf, kernelBtf, true)).hold();
    const mapsByAddr = new Map<Addr, BpfMap>();
    const source = new RandomSource(random);
    return {
      memory: this.memory,
      cpus: this.possibleCpus,
      cpu,
      clock: completeClock(this.#options.clock),
      hostTime: this.#options.clock === undefined,
      random: () => source.next(),
      source,
      grace: new Grace(),
      fieldReleases: () => this.runtime.heap.releases,
      trace: (line) => {
        for (const read of this.#traceReaders) read(line);
      },
      release: this.release,
      capabilities,
      unprivileged: unprivilegedBpf,
      uid: task?.uid ?? DEFAULT_TASK.uid,
      fds,
      maps: new IdTable<BpfMap>(),
      progs: new IdTable<Program>(),
      btfs,
      bpffs: this.bpffs,
      links: new IdTable<Link>(),
      hooks: new Hooks(),
      cgroups: new CgroupTree(),
      netns: new NetNamespace('netns').hold(),
      hasXdp: (ifindex) => this.net.hasXdp(ifindex),
      kernelBtf,
      statsUsers: 0,
      mapsByAddr,
      objectAt: (fd) => fds.get(fd)?.object,
      mapAt: (addr) => mapsByAddr.get(addr),
      hasDevice: (ifindex) => this.runtime.devices.get(ifindex) !== undefined,
      variable: (btfId) => this.runtime.world.variable(btfId),
      traced: () => this.runtime.traced,
      helperImplemented: isImplemented,
      testRun: (program, attr) => testRun(this.runtime, program, attr),
      jitedLength: (program) => this.#jitedLength(program),
    };
  }

  #createRuntime(): RunKernel {
    const state = this.#state;
    const devices = new Devices(this.memory, this.#options.devices);
    const runtime: RunKernel = {
      ...createServices(state, state.kernelBtf, this.#options.routing),
      machine: state,
      task: { ...DEFAULT_TASK, ...this.#options.task },
      devices,
      redirect: new RedirectInfo(),
      mapAt: (addr: number) => state.mapsByAddr.get(addr as Addr),
    };
    if (!(this.#options.clock instanceof SimulatedClock)) {
      runtime.alarms.onStart = (nanoseconds) => {
        const timeout: unknown = setTimeout(() => runtime.alarms.run(), Number(nanoseconds) / 1e6);
        // A timer of a program keeps no process alive.
        (timeout as { unref?: () => void }).unref?.();
      };
    }
    return this.#options.interpret ? runtime : Object.assign(runtime, { jit: new Jit(runtime) });
  }

  /** The task that programs run on behalf of. */
  get task(): Task {
    return this.runtime.task;
  }

  /** Describes the task anew; what is not said stays as it is. */
  setTask(task: Partial<Task>): void {
    this.runtime.task = { ...this.runtime.task, ...task };
  }

  /**
   * Moves a simulated clock on, and calls the timers that become due, each at its time.
   * @returns how many were called
   * @throws InputError when the kernel's clock is not a `SimulatedClock`
   */
  advance(nanoseconds: bigint): number {
    const { clock } = this.#options;
    if (!(clock instanceof SimulatedClock)) {
      throw wrongOption("its clock is not a SimulatedClock, so it can't be moved; call runTimers() instead");
    }
    const end = clock.now + nanoseconds;
    let calls = 0;
    for (;;) {
      const { now } = clock;
      const left = this.runtime.alarms.next();
      if (left === undefined || now + left > end) break;
      clock.now = now + left;
      const called = this.runtime.alarms.run();
      calls += called;
      // A timer that follows another clock, or whose time was moved.
      if (called === 0) break;
    }
    if (clock.now < end) clock.now = end;
    return calls;
  }

  /** Calls the timers that are due on the kernel's clock. @returns how many */
  runTimers(): number {
    return this.runtime.alarms.run();
  }

  /** Nanoseconds until the next timer is due; `undefined` when none is started. */
  get nextTimer(): bigint | undefined {
    return this.runtime.alarms.next();
  }

  /**
   * Puts a function in the place of a helper (`ktime_get_ns`, with or without `bpf_`) or a kernel function, from the next
   * call on, in programs that are loaded and that will be. The last one of a name counts.
   *
   * ```ts
   * using time = kernel.mock('bpf_ktime_get_ns', () => 5n);
   * kernel.mock('bpf_probe_read_kernel', (to, size, from) => { to.fill(7); });
   * ```
   * @returns the mock: how often it was called, and what restores the kernel's own
   * @throws InputError `ENOENT` where the kernel has no such function
   */
  mock<N extends MockName>(name: N, call: MockFunction<N>): Mock;
  mock(name: string, call: MockFunction<string>): Mock;
  mock(name: string, call: MockFunction<string>): Mock {
    return installMock(this.runtime, name, call);
  }

  /** Sets the source of random numbers: a seed, or what gives 32-bit numbers. */
  setRandom(random: number | (() => number)): void {
    this.#state.source!.set(random);
  }

  vmlinuxBtf(): Uint8Array | undefined {
    return this.#options.btf?.slice();
  }

  kconfig(name: string): string | undefined {
    return this.#options.config?.[name] ?? CONFIG[name];
  }

  ksym(name: string): bigint | undefined {
    return symbolAddress(this.runtime.world, this.runtime.traced, name);
  }

  closeFd(fd: Fd): void {
    this.#os.forget(fd);
    this.#rings.get(fd)?.close();
    this.#rings.delete(fd);
    if (this.#state.fds.close(fd)) return;
    throw new InputError('kernel-close', `closing file descriptor ${fd}: it is not open (EBADF)`, {
      errno: 'EBADF',
    });
  }

  /** What Linux shows of a file descriptor in `/proc/self/fdinfo`. */
  fdInfo(fd: Fd): string {
    const object = this.#state.objectAt(fd);
    return object ? fdInfo(object, this.possibleCpus) : '';
  }

  /** 0 for a program that has not been compiled and can't be: what it runs on is not there. */
  #jitedLength(program: Program): number {
    try {
      return this.runtime.jit?.compile(program).size ?? 0;
    } catch {
      return 0;
    }
  }

  /** The WebAssembly module that a program is compiled to; `undefined` where programs are interpreted. */
  compiledModule(prog: Fd): Uint8Array | undefined {
    return this.runtime.jit?.moduleBytes(this.#object(prog, Program, 'program'));
  }

  /** Nanoseconds from 1970 to this kernel's boot, by its clocks. */
  bootedAt(): bigint {
    const { clock } = this.#state;
    return clock.realtime() - clock.boottime();
  }

  /** Hears the lines of `bpf_trace_printk`. @returns what ends it */
  onTrace(read: (line: string) => void): () => void {
    this.#traceReaders.add(read);
    return () => this.#traceReaders.delete(read);
  }

  /** Opens an event that a perf event array can hold, as perf_event_open(2). @param pages of 4 KiB in its ring */
  perfEventOpen(cpu: number, pages = 64): Fd {
    if (cpu < 0 || cpu >= this.possibleCpus)
      throw wrongOption(`there is no CPU ${cpu} to open a perf event on`);
    const fd = this.os.perf_event_open({
      type: PERF_TYPES.PERF_TYPE_SOFTWARE,
      config: PERF_SOFTWARE.PERF_COUNT_SW_BPF_OUTPUT,
      sample_type: PERF_SAMPLE.PERF_SAMPLE_RAW,
      wakeup: 1,
      cpu,
    });
    this.#rings.set(fd, this.os.mmap(fd, { length: (1 + pages) * 4096, writable: true }));
    return fd;
  }

  /** Takes the records of a perf event. @param fd of `perfEventOpen` */
  perfRecords(fd: Fd): Iterable<PerfRecord> {
    return this.#object(fd, PerfEvent, 'perf event').read();
  }

  /** Takes the committed records of a ring buffer map. */
  ringRecords(map: Fd): Iterable<Uint8Array> {
    return this.#object(map, RingbufMap, 'ringbuf map').read();
  }

  /** Calls back after each record that asks for a wake-up. @returns what ends it */
  onRecord(fd: Fd, notify: () => void): () => void {
    const object = this.#state.objectAt(fd);
    const source =
      object instanceof RingbufMap ? object : this.#object(fd, PerfEvent, 'ringbuf map or perf event');
    return this.#os.listen(source, notify);
  }

  /** Gives each CPU an event in a perf event array, as readers of such maps do. @returns the events, by CPU */
  openPerfBuffer(map: Fd, pages = 64): readonly Fd[] {
    const array = this.#object(map, PerfEventArrayMap, 'perf_event_array map');
    const cpus = Math.min(this.possibleCpus, array.shape.maxEntries);
    return Array.from({ length: cpus }, (_, cpu) => {
      const event = this.perfEventOpen(cpu, pages);
      const key = new Uint8Array(new Uint32Array([cpu]).buffer);
      this.bpf.map_update_elem({ map_fd: map, key, value: new Uint8Array(new Uint32Array([event]).buffer) });
      return event;
    });
  }

  #object<O extends KernelObject>(fd: Fd, Type: abstract new (...args: never[]) => O, what: string): O {
    const object = this.#state.objectAt(fd);
    if (object instanceof Type) return object;
    const found = object ? `a ${object.kind}` : 'not open';
    throw new InputError('kernel-fd', `reading file descriptor ${fd}: it is ${found}, not a ${what}`, {
      errno: object ? 'EINVAL' : 'EBADF',
    });
  }

  /**
   * Begins to run a program over a capture that the caller reads piece by piece.
   * @throws InputError for a program that does not run on packets
   */
  captureRun(prog: Fd, options: CaptureRunOptions = {}): CaptureRun {
    const program = this.#object(prog, Program, 'program');
    return new CaptureRun(this.#captureHost(prog, program), program, options);
  }

  /**
   * The same on all of the kernel's processors at once, each a thread; the kernel is made with `shared` memory.
   * @throws InputError for a program that does not run on packets, or does what is not done on several processors
   */
  parallelRun(prog: Fd, options: ParallelRunOptions): ParallelRun {
    const program = this.#object(prog, Program, 'program');
    return new ParallelRun(this.#captureHost(prog, program), program, options);
  }

  #captureHost(prog: Fd, program: Program): CaptureHost {
    return {
      kernel: this.runtime,
      testRun: (attr) => this.bpf.prog_test_run({ ...attr, prog_fd: prog }),
      countRuns: (runs, nanoseconds) => countRuns(this.#state, program, runs, nanoseconds),
    };
  }

  /** What is allocated in its memory. */
  get memoryUse(): MemoryUse {
    return this.memory.use;
  }

  /** Lets go of every file descriptor and pin, and of the devices: nothing runs here any more. */
  close(): void {
    this.#os.close();
    this.net.close();
    this.#state.hooks.close();
    this.#state.fds.closeAll();
    this.bpffs.clear();
    closeServices(this.runtime);
    this.runtime.devices.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export function createKernel(options: KernelOptions = {}): EmbeddedKernel {
  return new EmbeddedKernel(options);
}

function wrongOption(reason: string): InputError {
  return new InputError('kernel-option', `creating a kernel: ${reason}`, { errno: 'EINVAL' });
}

function completeClock(clock: Clock | undefined): Required<Clock> {
  if (!clock) return hostClock();
  const monotonic = () => clock.monotonic();
  return {
    monotonic,
    boottime: () => clock.boottime?.() ?? monotonic(),
    realtime: () => clock.realtime?.() ?? monotonic(),
  };
}
