import { InputError } from '../base/error.ts';
import { errnoName, type Fd, type Mapping, type MmapOptions } from '../sys/index.ts';
import { libc } from './libc.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;

const MAP_FIXED_NOREPLACE = 0x10_0000;

/** A piece of the address space that a mapping has, or had. */
interface Area {
  readonly address: number;
  readonly length: number;
  /** Another mapping was laid over it. */
  taken: boolean;
}

/** Unmaps what no view reaches any more; unmapping earlier would let one crash the process. */
const unreachable = new FinalizationRegistry<Area>((area) => {
  if (area.taken) return;
  if (ended.get(area.address) === area) ended.delete(area.address);
  libc().munmap(area.address, area.length);
});

/** Areas whose mappings were closed, by their address: another one may be laid there. */
const ended = new Map<number, Area>();

/** A file descriptor's memory, shared with the kernel and its programs. */
class LinuxMapping implements Mapping {
  /** The memory itself. After {@link close} it is cut off from the kernel and reads as zeros, until another mapping is there. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly address: bigint;
  readonly #area: Area;
  #open = true;

  constructor(address: number, length: number) {
    this.#area = { address, length, taken: false };
    this.address = BigInt(address);
    this.bytes = new Uint8Array(libc().memoryAt(address, length));
    unreachable.register(this.bytes.buffer, this.#area);
  }

  /** Lets go of what is mapped. Views of it stay safe to touch: empty memory takes its place. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE;
    const { address, length } = this.#area;
    const result = libc().mmap(address, length, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (result < 0) throw mapFailure('replacing a mapping by empty memory', -result);
    ended.set(address, this.#area);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Maps what a file descriptor is (an array with `BPF_F_MMAPABLE`, a ring buffer, a perf event) into this process. */
export function mapFd(fd: Fd, options: MmapOptions): Mapping {
  const { length, offset = 0, writable = false } = options;
  const prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const wanted = options.address === undefined ? 0 : Number(options.address);
  const before = ended.get(wanted);
  const free = before?.length === length;
  const fixed = free ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  const flags = wanted === 0 ? MAP_SHARED : MAP_SHARED | fixed;
  const address = libc().mmap(wanted, length, prot, flags, fd, offset);
  if (address < 0) {
    throw mapFailure(`mapping ${length} bytes at offset ${offset} of fd ${fd} into memory`, -address);
  }
  if (free) {
    before.taken = true;
    ended.delete(wanted);
  }
  return new LinuxMapping(address, length);
}

function mapFailure(doing: string, number: number): InputError {
  const errno = errnoName(number) ?? String(number);
  return new InputError('linux-mmap', `${doing}: ${ADVICE[errno] ?? 'refused'} (${errno})`, { errno });
}

const ADVICE: Readonly<Record<string, string>> = {
  EINVAL: 'the length, offset or address does not suit it, or an array lacks BPF_F_MMAPABLE',
  E2BIG: 'the arena is smaller',
  EEXIST: 'something else is at that address',
  ENOTSUPP: 'it can not be mapped; an array needs BPF_F_MMAPABLE',
  ENODEV: 'it can not be mapped; an array needs BPF_F_MMAPABLE',
  EPERM: 'it is frozen, read-only, or writable by other means',
  EACCES: 'its fd was not opened for that',
  EBADF: 'it is not open',
  ENOMEM: 'there is not enough memory',
};
