/** The system calls beside bpf(2): perf events, memory that is shared with user space, and waiting for it. */
import { InputError } from '../base/error.ts';
import { type Errno, errnoId, errnoName } from '../sys/errno.ts';
import { MAP_CREATE_FLAGS } from '../sys/flags.ts';
import type { Fd, Mapping, MmapOptions, PollOptions, SystemCalls } from '../sys/kernel.ts';
import { PERF_SOFTWARE, PERF_TYPES, type PerfEventAttr } from '../sys/perf.ts';
import { ArenaMap, BpfMap, RingbufMap } from './maps/index.ts';
import { UserRingbufMap } from './maps/user-ringbuf.ts';
import type { Addr, Memory } from './memory/index.ts';
import type { FdTable, OpenFile } from './objects/fd-table.ts';
import type { Machine } from './objects/machine.ts';
import type { KernelObject } from './objects/object.ts';
import { type PerfCounter, PerfEvent } from './objects/perf-event.ts';

const PAGE = 4096;
/** `PERF_COUNT_SW_CGROUP_SWITCHES`. */
const LAST_SOFTWARE = 11;

/** What user space can wait for: edges are reported, as a level would be as long as a record is being written. */
type Source = RingbufMap | UserRingbufMap | PerfEvent;

/** What the calls need of the kernel. */
export interface SystemState extends Machine {
  readonly fds: FdTable;
}

export class EmbeddedSystemCalls implements SystemCalls {
  readonly #state: SystemState;
  readonly #mappings = new Set<EmbeddedMapping>();
  readonly #watched = new Map<Source, Watch>();

  constructor(state: SystemState) {
    this.#state = state;
  }

  perf_event_open = (attr: PerfEventAttr): Fd => {
    const { type, config, cpu = -1, pid = -1 } = attr;
    const doing = `opening a perf event of type ${type}, config ${config}, on CPU ${cpu}`;
    const counter = type === PERF_TYPES.PERF_TYPE_SOFTWARE ? counterOf(Number(config)) : undefined;
    if (counter === undefined) throw refuse(doing, 'ENOENT', 'this kernel has only software events');
    if (cpu === -1 && pid === -1) throw refuse(doing, 'EINVAL', 'an event is of one CPU or of one process');
    if (cpu < -1 || cpu >= this.#state.cpus) {
      throw refuse(doing, 'EINVAL', `the kernel has CPUs 0 to ${this.#state.cpus - 1}`);
    }
    const event = new PerfEvent(this.#state, {
      cpu,
      counter,
      disabled: attr.disabled ?? false,
      sampleType: attr.sample_type ?? 0,
      wakeup: attr.wakeup ?? 0,
      watermark: attr.watermark ?? false,
      backward: attr.write_backward ?? false,
    });
    return this.#state.fds.open(event);
  };

  perf_event_pause = (fd: Fd, paused: boolean): void => {
    const doing = `${paused ? 'pausing' : 'resuming'} perf event fd ${fd}`;
    const { object } = this.#file(fd, doing);
    if (!(object instanceof PerfEvent)) throw refuse(doing, 'ENOTTY', 'it is no perf event');
    if (!object.pause(paused)) throw refuse(doing, 'EINVAL', 'its ring is not mapped');
  };

  mmap = (fd: Fd, options: MmapOptions): Mapping => {
    const { offset = 0, writable = false } = options;
    const doing = `mapping ${options.length} bytes at offset ${offset} of fd ${fd} into memory`;
    const file = this.#file(fd, doing);
    const { object, mode } = file;
    if (!(options.length > 0) || offset % PAGE !== 0 || offset < 0) {
      throw refuse(doing, 'EINVAL', `a length must be above 0, and an offset a multiple of ${PAGE}`);
    }
    if (!mode.read || (writable && !mode.write)) {
      throw refuse(doing, 'EACCES', 'its fd was not opened for that');
    }
    const length = Math.ceil(options.length / PAGE) * PAGE;
    let addr: Addr | Errno;
    if (object instanceof ArenaMap) {
      const barred = mode.write ? barrier({ object, mode }, writable) : 'EINVAL';
      const place = barred ? -errnoId(barred) : object.mapUser(offset, length, options.address);
      addr = place < 0 ? (errnoName(-place) ?? 'EINVAL') : (place as Addr);
    } else if (object instanceof BpfMap) {
      const barred = barrier({ object, mode }, writable);
      const place = barred ? -errnoId(barred) : object.userPages(offset, length, writable);
      addr = place < 0 ? (errnoName(-place) ?? 'EINVAL') : (place as Addr);
    } else if (object instanceof PerfEvent && offset === 0) {
      addr = object.map(length, writable);
    } else {
      addr = object instanceof PerfEvent ? 'EINVAL' : 'ENODEV';
    }
    if (typeof addr === 'string') throw refuse(doing, addr, REASONS[addr] ?? 'it refuses');
    const address = object instanceof ArenaMap ? object.userAddress : undefined;
    const mapping = new EmbeddedMapping(this.#state.memory, file, { addr, length, writable, address }, () =>
      this.#mappings.delete(mapping),
    );
    this.#mappings.add(mapping);
    return mapping;
  };

  poll = (fds: readonly Fd[], options: PollOptions = {}): Promise<readonly Fd[]> =>
    new Promise((resolve, reject) => {
      const { signal, timeout, write = false } = options;
      if (signal?.aborted) return reject(signal.reason);
      const sources = fds.map((fd) => ({ fd, watch: this.#watch(fd, write) }));
      const take = () =>
        sources.flatMap(({ fd, watch }) => {
          if (!watch.ready) return [];
          watch.ready = false;
          return [fd];
        });
      const ready = take();
      if (ready.length > 0 || timeout === 0) return resolve(ready);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        for (const { watch } of sources) watch.waiters.delete(wake);
      };
      const wake = () => {
        const found = take();
        const gone = sources.every(({ watch }) => watch.gone);
        if (found.length === 0 && !gone) return;
        end();
        resolve(found);
      };
      const abort = () => {
        end();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort);
      if (timeout !== undefined) {
        timer = setTimeout(() => {
          end();
          resolve([]);
        }, timeout);
      }
      for (const { watch } of sources) watch.waiters.add(wake);
    });

  /** Calls back when a reader is to be woken. @returns what ends it */
  listen(source: Source, notify: () => void): () => void {
    const watch = this.#watchOf(source);
    watch.listeners.add(notify);
    return () => watch.listeners.delete(notify);
  }

  #watch(fd: Fd, write: boolean): Watch {
    const doing = `waiting for fd ${fd}`;
    const { object } = this.#file(fd, doing);
    if (object instanceof RingbufMap || object instanceof PerfEvent) return this.#watchOf(object);
    if (write && object instanceof UserRingbufMap) return this.#watchOf(object);
    throw refuse(doing, 'EPERM', 'it is nothing that can be waited for');
  }

  #watchOf(source: Source): Watch {
    const known = this.#watched.get(source);
    if (known) return known;
    const user = source instanceof UserRingbufMap;
    const watch = new Watch(user ? source.writable : source.readable);
    this.#watched.set(source, watch);
    if (user) source.onDrain = () => watch.ring();
    else source.onRecord = () => watch.ring();
    const { onEnd } = source;
    source.onEnd = () => {
      this.#watched.delete(source);
      watch.end();
      onEnd?.();
    };
    return watch;
  }

  /** The descriptor is closed. Who waits for it alone waits no longer. */
  forget(fd: Fd): void {
    const object = this.#state.fds.get(fd)?.object;
    if (isSource(object)) this.#watched.get(object)?.end();
  }

  #file(fd: Fd, doing: string): OpenFile {
    const file = this.#state.fds.get(fd);
    if (!file) throw refuse(doing, 'EBADF', 'it is not open');
    return file;
  }

  close(): void {
    for (const watch of this.#watched.values()) watch.end();
    for (const mapping of [...this.#mappings]) mapping.close();
  }
}

/** What a software event counts; `undefined` for one that there is not. */
function counterOf(config: number): PerfCounter | undefined {
  switch (config) {
    case PERF_SOFTWARE.PERF_COUNT_SW_CPU_CLOCK:
    case PERF_SOFTWARE.PERF_COUNT_SW_TASK_CLOCK:
      return 'clock';
    case PERF_SOFTWARE.PERF_COUNT_SW_BPF_OUTPUT:
      return 'output';
    default:
      return Number.isInteger(config) && config >= 0 && config <= LAST_SOFTWARE ? 'nothing' : undefined;
  }
}

function isSource(object: KernelObject | undefined): object is Source {
  return object instanceof RingbufMap || object instanceof UserRingbufMap || object instanceof PerfEvent;
}

/** What is known of a file that is waited for. */
class Watch {
  /** Something happened since the last poll. */
  ready: boolean;
  gone = false;
  readonly waiters = new Set<() => void>();
  readonly listeners = new Set<() => void>();
  #scheduled = false;

  constructor(ready: boolean) {
    this.ready = ready;
  }

  /** Wakes who waits, outside of the program that wrote the record. */
  ring(): void {
    this.ready = true;
    for (const listener of this.listeners) listener();
    if (this.#scheduled || this.waiters.size === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const wake of [...this.waiters]) wake();
    });
  }

  end(): void {
    this.gone = true;
    for (const wake of [...this.waiters]) wake();
  }
}

/** Where a mapping is in the kernel's memory, and in user space where that matters. */
interface MappedPlace {
  readonly addr: Addr;
  /** Bytes. */
  readonly length: number;
  readonly writable: boolean;
  readonly address: bigint | undefined;
}

class EmbeddedMapping implements Mapping {
  readonly #memory: Memory;
  readonly #file: OpenFile;
  readonly #addr: Addr;
  readonly #length: number;
  readonly #writable: boolean;
  readonly #ended: () => void;
  readonly address?: bigint;
  #window: Uint8Array;
  #open = true;

  constructor(memory: Memory, file: OpenFile, place: MappedPlace, ended: () => void) {
    const { addr, length, writable, address } = place;
    this.#memory = memory;
    this.#file = file;
    this.#addr = addr;
    this.#length = length;
    this.#writable = writable;
    if (address !== undefined) this.address = address;
    this.#ended = ended;
    this.#window = memory.window(addr, length);
    file.object.holdAsUser();
    if (writable && file.object instanceof BpfMap) file.object.writers += 1;
  }

  get bytes(): Uint8Array {
    if (!this.#open) return NOTHING;
    if (this.#window.buffer !== this.#memory.u8.buffer) {
      this.#window = this.#memory.window(this.#addr, this.#length);
    }
    return this.#window;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#window = NOTHING;
    this.#ended();
    const { object } = this.#file;
    if (this.#writable && object instanceof BpfMap) object.writers -= 1;
    if (object instanceof PerfEvent) object.unmap();
    object.releaseAsUser();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Why no map like this is mapped, whatever its type. */
function barrier(
  { object, mode }: OpenFile & { readonly object: BpfMap },
  writable: boolean,
): Errno | undefined {
  if (object.shape.fields !== undefined) return 'ENOTSUPP';
  // A shared mapping of a file that is not open for writing is no shared one.
  if (!mode.write && object.userPages(0, 0, false) !== -errnoId('ENOTSUPP')) return 'EINVAL';
  if (writable && object.frozen) return 'EPERM';
  return writable && object.shape.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG ? 'EACCES' : undefined;
}

const NOTHING = new Uint8Array(0);

function refuse(doing: string, errno: Errno, why: string): InputError {
  return new InputError('kernel-system-call', `${doing}: ${why} (${errno})`, { errno });
}

const REASONS: { readonly [E in Errno]?: string } = {
  EINVAL: 'the length, offset or address does not suit it, or an array lacks BPF_F_MMAPABLE',
  E2BIG: 'the arena is smaller',
  ENOMEM: "the kernel's memory has no room for so many pages together",
  ENOTSUPP: 'maps of its type can not be mapped',
  ENODEV: 'it is no file that can be mapped',
  EPERM: 'it is frozen, or that part of it is read-only',
  EACCES: 'programs may only read it (BPF_F_RDONLY_PROG), so user space may not write it by this way',
};
