import { InputError } from '../../base/error.ts';
import { linuxStatus, mapFd, openLinux } from '../../linux/index.ts';
import { type LoadedObject, openPerfBuffer, openRingBuffer, type RecordReader } from '../../loader/index.ts';
import type { Fd, Kernel } from '../../sys/index.ts';
import type { ObservedKernel } from './kernel.ts';
import type { RecordCount } from './report.ts';

/** The real kernel. Its trace pipe is one for the whole machine, so what this program wrote is not told. */
export function openObservedLinux(): ObservedKernel {
  const status = linuxStatus();
  // The errno says that this is the system's refusal, not a mistake in the command line.
  if (!status.ok) throw new InputError('run-linux', status.reason, { errno: 'EPERM' });
  const kernel = openLinux();
  return { kernel, trace: () => null, watch: (object) => watch(kernel, object) };
}

/** Pages of each CPU's perf buffer, as the embedded kernel's. */
const PERF_PAGES = 64;

interface Buffer {
  readonly name: string;
  readonly type: string;
  readonly reader: RecordReader;
}

function watch(kernel: Kernel, object: LoadedObject) {
  const buffers = [...object.maps.values()].flatMap(({ name, fd, spec: { type } }): Buffer[] => {
    if (type === 'ringbuf') return [{ name, type, reader: openRingBuffer(kernel, fd) }];
    if (type !== 'perf_event_array') return [];
    return [{ name, type, reader: openPerfBuffer(kernel, fd, { pages: PERF_PAGES }) }];
  });
  const drain = () => {
    for (const { reader } of buffers) reader.drain(() => undefined);
  };
  return {
    drain,
    counts: (): RecordCount[] => {
      drain();
      return buffers.map(({ name, type, reader: { records, bytes, lost } }) => ({
        map: name,
        type,
        records,
        bytes,
        lost,
      }));
    },
  };
}

const PAGE = 4096;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const HEADER = 8;

/**
 * The consumer of a ring buffer: a page with the consumer's position, one with the producer's, then the data, mapped
 * twice in a row so that a record never wraps. @see Documentation/bpf/ringbuf.rst
 */
export class LinuxRing {
  readonly name: string;
  records = 0;
  bytes = 0;
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #data: DataView;
  readonly #mask: number;

  /** @param size of the data, in bytes: the map's `max_entries` */
  constructor(name: string, fd: Fd, size: number) {
    this.name = name;
    const own = mapFd(fd, { length: PAGE, writable: true });
    const shared = mapFd(fd, { length: PAGE + 2 * size, offset: PAGE });
    this.#consumer = new BigUint64Array(own.bytes.buffer, own.bytes.byteOffset, 1);
    this.#producer = new BigUint64Array(shared.bytes.buffer, shared.bytes.byteOffset, 1);
    this.#data = new DataView(shared.bytes.buffer, shared.bytes.byteOffset + PAGE);
    this.#mask = size - 1;
  }

  drain(): void {
    for (const record of this.read()) {
      this.records++;
      this.bytes += record.length;
    }
  }

  /** The records that wait, copied; they are then consumed. */
  *read(): Generator<Uint8Array> {
    let at = Atomics.load(this.#consumer, 0);
    const end = Atomics.load(this.#producer, 0);
    for (; at < end; Atomics.store(this.#consumer, 0, at)) {
      const place = Number(at) & this.#mask;
      const header = this.#data.getUint32(place, true);
      if ((header & BUSY) !== 0) return;
      const length = header & ~(BUSY | DISCARD);
      if ((header & DISCARD) === 0) {
        yield new Uint8Array(this.#data.buffer, this.#data.byteOffset + place + HEADER, length).slice();
      }
      at += BigInt((length + HEADER + 7) & ~7);
    }
  }
}
