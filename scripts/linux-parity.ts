/** Runs the examples on the embedded kernel and on Linux, the same packets the same way, and compares what comes out. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isGlobalData } from '../src/cli/run/contents.ts';
import { LinuxRing } from '../src/cli/run/linux.ts';
import { packetType } from '../src/cli/run/verdicts.ts';
import { createKernel } from '../src/kernel/index.ts';
import { openLinux } from '../src/linux/index.ts';
import {
  type LoadedMap,
  type LoadedObject,
  loadObject,
  type ObjectSpec,
  parseObject,
} from '../src/loader/index.ts';
import { frameConversion, readCapture } from '../src/pcap/index.ts';
import type { Fd, Kernel } from '../src/sys/index.ts';

/** How one example behaved on one capture. */
export interface ParityResult {
  readonly example: string;
  readonly program: string;
  readonly capture: string;
  readonly packets: number;
  /** Packets after which verdict, packet or a map differed, with what differed. */
  readonly differences: readonly { readonly packet: number; readonly what: string }[];
}

const EXAMPLES = 'examples';
const CAPTURES = join(EXAMPLES, 'captures');

export function exampleObjects(): string[] {
  return readdirSync(EXAMPLES)
    .filter((name) => name.endsWith('.o'))
    .toSorted()
    .map((name) => join(EXAMPLES, name));
}

export function captures(): string[] {
  return readdirSync(CAPTURES)
    .filter((name) => /\.pcap(ng)?$/.test(name))
    .toSorted()
    .map((name) => join(CAPTURES, name));
}

/** The packets of a capture as Ethernet frames. */
function frames(capture: string): Uint8Array[] {
  return [...readCapture(new Uint8Array(readFileSync(capture)), capture)].map(
    ({ data, interface: source }) => {
      const conversion = frameConversion(source.linkType);
      if (conversion === 'none') throw new Error(`${capture}: ${source.linkType.name} is not Ethernet`);
      return conversion?.toEthernet(data) ?? data;
    },
  );
}

/** Entry points: the programs that no prog array of the object holds. */
function entries(spec: ObjectSpec): string[] {
  const called = new Set([...spec.maps.values()].flatMap((map) => map.slots.map((slot) => slot.name)));
  return [...spec.programs.keys()].filter((name) => !called.has(name));
}

/** Compares one object on one capture, its maps after every packet. */
export function compare(object: string, capture: string): ParityResult[] {
  const spec = () => parseObject(new Uint8Array(readFileSync(object)), object);
  return entries(spec()).map((program) => {
    using embedded = new Side(createKernel(), spec(), program);
    using linux = new Side(openLinux(), spec(), program);
    const differences: { packet: number; what: string }[] = [];
    const packets = frames(capture);
    for (const [i, frame] of packets.entries()) {
      const [ours, theirs] = [embedded.run(frame), linux.run(frame)];
      const what = difference(ours, theirs);
      if (what !== undefined) differences.push({ packet: i + 1, what });
    }
    return {
      example: basename(object),
      program,
      capture: basename(capture),
      packets: packets.length,
      differences,
    };
  });
}

/** What one packet did on one kernel: texts by name. */
type Outcome = ReadonlyMap<string, string>;

function difference(ours: Outcome, theirs: Outcome): string | undefined {
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    if (ours.get(name) !== theirs.get(name)) {
      return `${name}: embedded ${ours.get(name) ?? 'nothing'}, Linux ${theirs.get(name) ?? 'nothing'}`;
    }
  }
  return undefined;
}

class Side implements Disposable {
  readonly #kernel: Kernel;
  readonly #object: LoadedObject;
  readonly #program: string;
  readonly #rings: readonly { readonly name: string; readonly read: () => Iterable<Uint8Array> }[];

  constructor(kernel: ReturnType<typeof createKernel> | Kernel, spec: ObjectSpec, program: string) {
    this.#kernel = kernel;
    this.#object = loadObject(kernel, spec, { programs: [program] });
    this.#program = program;
    this.#rings = [...this.#object.maps.values()]
      .filter((map) => map.spec.type === 'ringbuf')
      .map((map) => ({ name: map.name, read: ringReader(kernel, map) }));
  }

  run(frame: Uint8Array): Outcome {
    const { fd, type, name } = this.#object.program(this.#program);
    const data_in = packetType({ name }, type).input?.(frame) ?? frame;
    const outcome = new Map<string, string>();
    try {
      const { retval, data_out } = this.#kernel.bpf.prog_test_run({ prog_fd: fd, data_in });
      outcome.set('verdict', String(retval));
      outcome.set('packet', hex(data_out));
    } catch (error) {
      outcome.set('verdict', String((error as { errno?: string }).errno ?? error));
    }
    for (const map of this.#object.maps.values()) outcome.set(map.name, this.#contents(map));
    for (const ring of this.#rings) outcome.set(ring.name, [...ring.read()].map(hex).join(' '));
    return outcome;
  }

  /** A map's elements in the order of their keys. Which CPU counted is not compared, only the sums. */
  #contents(map: LoadedMap): string {
    const { bpf } = this.#kernel;
    const { type } = map.spec;
    if (type === 'prog_array' || type === 'perf_event_array' || type === 'ringbuf') return '';
    if (isGlobalData(map)) return hex(bpf.map_lookup_elem({ map_fd: map.fd, key: new Uint8Array(4) })!);
    const elements: string[] = [];
    let key = bpf.map_get_next_key({ map_fd: map.fd });
    while (key !== undefined) {
      const value = bpf.map_lookup_elem({ map_fd: map.fd, key })!;
      elements.push(`${hex(key)}=${type.startsWith('percpu') ? sum(value, map.spec.valueSize) : hex(value)}`);
      key = bpf.map_get_next_key({ map_fd: map.fd, key });
    }
    return elements.toSorted().join(' ');
  }

  [Symbol.dispose](): void {
    this.#object.close();
    this.#kernel.close();
  }
}

function ringReader(
  kernel: ReturnType<typeof createKernel> | Kernel,
  map: LoadedMap,
): () => Iterable<Uint8Array> {
  if ('ringRecords' in kernel) return () => kernel.ringRecords(map.fd as Fd);
  const ring = new LinuxRing(map.name, map.fd, map.maxEntries);
  return () => ring.read();
}

/** The 64-bit counters of a per-CPU value, each summed over the CPUs. */
function sum(value: Uint8Array, size: number): string {
  const words = Math.ceil(size / 8);
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const sums = new Array<bigint>(words).fill(0n);
  for (let at = 0; at + 8 <= value.length; at += 8) sums[(at / 8) % words]! += view.getBigUint64(at, true);
  return sums.join(',');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
