/**
 * BPF_BTF_LOAD of BTF that is wrong in all ways: BTF of compilers is changed in a few places (words of types, strings,
 * header, length) and given to both kernels, which must take or refuse it alike, with the same errno and the same log to
 * the letter.
 *
 *     npm run fuzz:btf [-- --changes N] [--seed N] [--show N] [--filter REGEX] [--corpora FOLDER]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { parseBtf } from '../src/btf/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import type { Kernel } from '../src/sys/index.ts';
import { loadableBtf, readObject } from '../test/linux/btf-tools.ts';
import { DEFAULT_CORPORA } from './corpora.ts';

const { values } = parseArgs({
  options: {
    changes: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '20' },
    /** Objects of the corpus whose name matches. */
    filter: { type: 'string', default: '.' },
    corpora: { type: 'string', default: DEFAULT_CORPORA },
  },
});

const SHAPES = 'test/btf/shapes.btf';
/** Objects of the corpus that are taken, and the most bytes that one may have. */
const OBJECTS = 60;
const MOST_BYTES = 20_000;
const HEADER = 24;

/** Numbers that look random and are the same for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function seeds(): Uint8Array[] {
  const found = [loadableBtf(parseBtf(new Uint8Array(readFileSync(SHAPES)), SHAPES))];
  const folder = join(values.corpora, 'selftests-6.12');
  if (!existsSync(folder)) return found;
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((f) =>
    f.endsWith('.bpf.o'),
  );
  for (const file of files.toSorted()) {
    if (found.length > OBJECTS) break;
    try {
      const { btf } = readObject(join(folder, file));
      const bytes = loadableBtf(btf);
      if (bytes.length <= MOST_BYTES) found.push(bytes);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
  return found;
}

type Random = (below: number) => number;

/** Changes a word of the type section, mostly to what could stand there. */
function changeWord(view: DataView, random: Random): void {
  const words = view.getUint32(12, true) >>> 2;
  if (words === 0 || HEADER + 4 * words > view.byteLength) return;
  const at = HEADER + 4 * random(words);
  const old = view.getUint32(at, true);
  const choices = [
    () => random(200),
    () => old ^ (1 << random(32)),
    () => old + 1,
    () => old - 1,
    () => (random(21) << 24) | (old & 0xffff),
    () => (old & 0xff00_0000) | random(4),
    () => view.getUint32(HEADER + 4 * random(words), true),
    () => 0,
    () => random(0xffff_ffff),
  ];
  view.setUint32(at, choices[random(choices.length)]!() >>> 0, true);
}

function change(original: Uint8Array, random: Random): Uint8Array {
  let changed = original.slice();
  for (let n = 1 + random(3); n > 0; n--) {
    const view = new DataView(changed.buffer, changed.byteOffset, changed.byteLength);
    const kind = random(20);
    if (changed.length <= HEADER + 4) break;
    if (kind === 0) changed[random(HEADER)]! ^= 1 << random(8);
    else if (kind === 1) {
      const at = 4 + 4 * random(5);
      view.setUint32(at, (view.getUint32(at, true) + (random(9) - 4) * (1 + 3 * random(2))) >>> 0, true);
    } else if (kind === 2) changed = changed.slice(0, random(changed.length));
    else if (kind <= 4) {
      const strings = HEADER + view.getUint32(16, true);
      if (strings < changed.length) changed[strings + random(changed.length - strings)] = random(256);
    } else changeWord(view, random);
  }
  return changed;
}

interface Answer {
  readonly errno: string;
  readonly log: string;
}

function load(kernel: Kernel, btf: Uint8Array): Answer | undefined {
  try {
    kernel.closeFd(kernel.bpf.btf_load({ btf }));
    return undefined;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { errno: error.errno ?? '', log: error.detail ?? error.message };
  }
}

const last = (text: string): string => text.trimEnd().split('\n').at(-1)!.slice(0, 300);

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
using linux = openLinux();
using own = createKernel();
const random = randomFrom(Number(values.seed));
const originals = seeds().filter((bytes) => load(linux, bytes) === undefined);
const counts = { changes: 0, refused: 0, differences: 0, logs: 0, stricter: 0 };
for (const original of originals) {
  if (load(own, original)) {
    counts.differences++;
    console.log(`refused as it was: ${last(load(own, original)!.log)}`);
  }
}
while (counts.changes < Number(values.changes)) {
  const btf = change(originals[random(originals.length)]!, random);
  const theirs = load(linux, btf);
  const ours = load(own, btf);
  counts.changes++;
  if (theirs) counts.refused++;
  // Reading refuses pointers that spell themselves, which C can't declare and Linux never looks at.
  if (!theirs && ours?.log.includes('is declared by itself')) {
    counts.stricter++;
    continue;
  }
  if (theirs?.errno !== ours?.errno) counts.differences++;
  else if (theirs?.log !== ours?.log) counts.logs++;
  else continue;
  if (counts.differences + counts.logs > Number(values.show)) continue;
  console.log(`change ${counts.changes}`);
  console.log(`  linux: ${theirs ? `${theirs.errno} ${last(theirs.log)}` : 'taken'}`);
  console.log(`  own:   ${ours ? `${ours.errno} ${last(ours.log)}` : 'taken'}`);
}
console.log(`figure btffuzz_changes ${counts.changes}`);
console.log(`figure btffuzz_refused ${counts.refused}`);
console.log(`figure btffuzz_stricter ${counts.stricter}`);
console.log(`figure btffuzz_differences ${counts.differences}`);
console.log(`figure btffuzz_log_differences ${counts.logs}`);
if (counts.changes === 0 || counts.differences > 0) process.exitCode = 1;
