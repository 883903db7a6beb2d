import { MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { nextIndex, u32 } from './array.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  checkValueSize,
  first,
  refuse,
} from './checks.ts';
import { BpfMap, errno, type MapHost, type MapShape, type Status, type SysValue } from './map.ts';
import {
  entryBytes,
  entryProgram,
  type RedirectEntry,
  type RedirectMap,
  wantedEntry,
} from './redirect-entry.ts';

/** CPUs that a Linux kernel is built for (`CONFIG_NR_CPUS`): a common distribution's, and a lower bound for all of them. */
const NR_CPUS = 256;
/** Packets that wait for a CPU. */
const MOST_QUEUED = 16_384;

export const checkCpumap: Check = (shape, { cpus }) =>
  first(
    checkNonZero(shape, 'maxEntries'),
    checkKeySize(shape, 4),
    checkValueSize(shape, 4, 8),
    checkFlags(shape),
    shape.maxEntries > Math.max(NR_CPUS, cpus)
      ? refuse(
          'E2BIG',
          `max_entries exceeds the number of CPUs that there may be, ${Math.max(NR_CPUS, cpus)}`,
        )
      : undefined,
  );

/** CPUs that packets are redirected to, each with a queue. */
export class Cpumap extends BpfMap implements RedirectMap {
  readonly redirectFlags = 0n;
  readonly #host: MapHost;
  readonly #entries = new Map<number, RedirectEntry>();

  constructor(host: MapHost, shape: MapShape) {
    super(host, shape);
    this.#host = host;
  }

  hasTarget(key: number): boolean {
    return this.#entries.has(key);
  }

  /** The queue of a CPU. */
  queue(cpu: number): RedirectEntry | undefined {
    return this.#entries.get(cpu);
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }

  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    const entry = this.#entries.get(u32(key));
    return entry ? entryBytes(entry).slice(0, this.shape.valueSize) : errno('ENOENT');
  }

  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    const cpu = u32(key);
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    if (cpu >= this.shape.maxEntries) return errno('E2BIG');
    if (flags === MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EEXIST');
    const { number, programFd } = wantedEntry(value);
    if (number > MOST_QUEUED) return errno('EOVERFLOW');
    if (cpu >= this.machine.cpus) return errno('ENODEV');
    if (number === 0) {
      this.#remove(cpu);
      return 0;
    }
    const program = entryProgram(this.#host, this.shape, programFd);
    // Whatever keeps Linux from making a queue it says is a lack of memory.
    if (typeof program === 'number') return errno('ENOMEM');
    program?.hold();
    this.#remove(cpu);
    this.#entries.set(cpu, { number, program });
    return 0;
  }

  delete(key: Addr): Status {
    const cpu = this.machine.memory.readU32(key);
    if (cpu >= this.shape.maxEntries) return errno('EINVAL');
    this.#remove(cpu);
    return 0;
  }

  #remove(cpu: number): void {
    const old = this.#entries.get(cpu);
    this.#entries.delete(cpu);
    if (old?.program) this.machine.grace.after(() => old.program?.release());
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }

  override destroy(): void {
    for (const cpu of [...this.#entries.keys()]) this.#remove(cpu);
    super.destroy();
  }
}
