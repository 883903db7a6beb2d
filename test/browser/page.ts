/**
 * What a page does with skep, and Node for comparison: loads objects into an embedded kernel, verifies and compiles them, and
 * runs their programs over captures.
 */
import {
  type CaptureCounts,
  createKernel,
  type EmbeddedKernel,
  type ThreadMaker,
} from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';
import { frameConversion, readCapture } from '../../src/pcap/index.ts';

export interface PageFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface PageReport {
  /** Whether the memory is shared; where it can't be, why not. */
  readonly shared: boolean;
  readonly reason: string;
  /** By program and capture: how often each value was returned, with a digest of all packets that came out. */
  readonly runs: Readonly<Record<string, string>>;
  /** By object: what the maps hold at the end. */
  readonly maps: Readonly<Record<string, string>>;
  readonly packets: number;
}

const clock = { monotonic: () => 1_000_000_000n };

function newKernel(wantShared: boolean): { kernel: EmbeddedKernel; shared: boolean; reason: string } {
  const options = { cpus: 2, cpu: 0, clock } as const;
  if (!wantShared) return { kernel: createKernel(options), shared: false, reason: 'not asked for' };
  try {
    return { kernel: createKernel({ ...options, shared: true }), shared: true, reason: '' };
  } catch (error) {
    return { kernel: createKernel(options), shared: false, reason: (error as Error).message };
  }
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** FNV-1a. */
function digest(hash: number, bytes: Uint8Array): number {
  let state = hash;
  for (const byte of bytes) state = Math.imul(state ^ byte, 0x01000193);
  return state >>> 0;
}

function contents(kernel: EmbeddedKernel, object: LoadedObject): string {
  const lines: string[] = [];
  for (const { name, fd, spec } of object.maps.values()) {
    if (spec.type === 'prog_array' || spec.type === 'perf_event_array') continue;
    if (spec.type === 'ringbuf') {
      for (const record of kernel.ringRecords(fd)) lines.push(`${name} ${hex(record)}`);
      continue;
    }
    let key = kernel.bpf.map_get_next_key({ map_fd: fd });
    for (; key; key = kernel.bpf.map_get_next_key({ map_fd: fd, key })) {
      const value = kernel.bpf.map_lookup_elem({ map_fd: fd, key });
      lines.push(`${name} ${hex(key)} ${value ? hex(value) : ''}`);
    }
  }
  return lines.toSorted().join('\n');
}

function frames({ name, bytes }: PageFile): Uint8Array[] {
  return [...readCapture(bytes, name)].map(({ data, interface: source }) => {
    const conversion = frameConversion(source.linkType);
    return (typeof conversion === 'object' ? conversion.toEthernet(data) : undefined) ?? data;
  });
}

/** @param wantShared memory that threads can share */
export function runPage(
  objects: readonly PageFile[],
  captures: readonly PageFile[],
  wantShared: boolean,
): PageReport {
  const runs: Record<string, string> = {};
  const maps: Record<string, string> = {};
  let packets = 0;
  let state = { shared: false, reason: '' };
  for (const { name, bytes } of objects) {
    const { kernel, ...made } = newKernel(wantShared);
    state = made;
    const object = loadObject(kernel, parseObject(bytes, name));
    for (const [program, { fd }] of object.programs) {
      for (const capture of captures) {
        const returned = new Map<string, number>();
        let hash = 0x811c9dc5;
        for (const data_in of frames(capture)) {
          packets++;
          let what: string;
          try {
            const { retval, data_out } = kernel.bpf.prog_test_run({ prog_fd: fd, data_in });
            hash = digest(hash, data_out);
            what = String(retval);
          } catch (error) {
            what = (error as Error).message;
          }
          returned.set(what, (returned.get(what) ?? 0) + 1);
        }
        const counts = [...returned].map(([value, count]) => `${value}: ${count}`).toSorted();
        runs[`${name} ${program} ${capture.name}`] = `${counts.join(', ')} · ${hash.toString(16)}`;
      }
    }
    maps[name] = contents(kernel, object);
    kernel.close();
  }
  return { ...state, runs, maps, packets };
}

export interface ParallelReport {
  readonly one: string;
  readonly many: string;
  readonly packets: number;
}

/** A program over a capture on one processor, and on several as threads of the page. */
export async function runParallel(
  object: PageFile,
  program: string,
  capture: Uint8Array,
  threads: ThreadMaker,
): Promise<ParallelReport> {
  const told = ({ packets, verdicts }: CaptureCounts) =>
    JSON.stringify({ packets, verdicts: [...verdicts].toSorted() });
  using alone = createKernel({ cpus: 1, clock });
  const only = loadObject(alone, parseObject(object.bytes, object.name), { programs: [program] });
  using run = alone.captureRun(only.program(program).fd, {});
  run.feed(capture);
  const one = run.end();
  using kernel = createKernel({ cpus: 2, shared: true, clock });
  const shared = loadObject(kernel, parseObject(object.bytes, object.name), { programs: [program] });
  await using many = kernel.parallelRun(shared.program(program).fd, { threads });
  for (let at = 0; at < capture.length; ) {
    await many.ready();
    const space = many.space();
    const part = capture.subarray(at, at + Math.min(space.length, 100_000));
    space.set(part);
    many.filled(part.length);
    many.work();
    at += part.length;
  }
  const counts = await many.end();
  return { one: told(one), many: told(counts), packets: counts.packets };
}
