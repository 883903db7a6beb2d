/**
 * Compares BTF with bpftool and libbpf over a folder of real objects (default `corpora/debian`): dumps as records and as
 * C, writing what was read, and each CO-RE relocation that libbpf logs while it loads the object into this kernel.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CoreAnswer, CoreRelocator, dumpC, dumpRaw, encodeBtf, parseBtf } from '../src/btf/index.ts';
import { readObject } from '../test/linux/btf-tools.ts';

const folder = process.argv[2] ?? 'corpora/debian';
const VMLINUX = '/sys/kernel/btf/vmlinux';
const PINS = '/sys/fs/bpf/skep_parity_btf';

if (!existsSync(folder) || !existsSync(VMLINUX)) {
  console.log(`skipped: ${existsSync(folder) ? VMLINUX : folder} is not there`);
  process.exit(0);
}

function bpftool(...args: string[]): { readonly out: string; readonly log: string } {
  const { stdout, stderr } = spawnSync('bpftool', args, { encoding: 'utf8', maxBuffer: 1 << 30 });
  return { out: stdout, log: `${stdout}\n${stderr}` };
}

interface Logged {
  local?: string;
  target?: string;
  value?: bigint;
  poison: boolean;
}

/** What libbpf's debug log says about each relocation of each program. */
function libbpfAnswers(object: string): Logged[] {
  mkdirSync(PINS, { recursive: true });
  const { log } = bpftool('-d', 'prog', 'loadall', object, join(PINS, 'progs'));
  rmSync(PINS, { recursive: true, force: true });
  const answers = new Map<string, Logged>();
  for (const line of log.split('\n')) {
    const found = /prog '([^']*)': relo #(\d+): (.*)$/.exec(line);
    if (!found) continue;
    const key = `${found[1]} ${found[2]}`;
    const answer = answers.get(key) ?? { poison: false };
    answers.set(key, answer);
    const text = found[3]!;
    const value = /^patched .*(?:imm64|imm|off) \S+ -> (\S+)$/.exec(text)?.[1];
    if (text.startsWith('<')) answer.local = text;
    else if (text.startsWith('matching candidate #0 ')) answer.target = text.slice(22);
    else if (value !== undefined) answer.value = BigInt(value);
    else if (text.includes('substituting')) answer.poison = true;
  }
  return [...answers.values()].filter(({ local }) => local !== undefined);
}

/** Immediates are logged as signed 32-bit numbers. */
function same(ours: CoreAnswer | undefined, theirs: Logged): boolean {
  if (!ours || ours.target !== theirs.target || ours.poison !== theirs.poison) return false;
  return theirs.value === undefined || [ours.value, BigInt.asIntN(32, ours.value)].includes(theirs.value);
}

/** bpftool 7.1 leaves the sizes of small and large enums out. */
function withoutModes(text: string): string {
  return text
    .replaceAll(/ __attribute__\(\(mode\((byte|word)\)\)\)/g, '')
    .replaceAll('btf_type_tag("address_space(1)")', 'address_space(1)');
}

const target = parseBtf(readFileSync(VMLINUX), VMLINUX);
const counts = { objects: 0, raw: 0, c: 0, written: 0, relos: 0, equal: 0, unanswered: 0 };
for (const file of readdirSync(folder).filter((name) => name.endsWith('.o'))) {
  const path = join(folder, file);
  const { btf, ext } = readObject(path);
  counts.objects++;
  if (dumpRaw(btf) === bpftool('btf', 'dump', 'file', path).out) counts.raw++;
  else console.log(`${path}: the records differ`);
  const c = bpftool('btf', 'dump', 'file', path, 'format', 'c').out;
  if (withoutModes(dumpC(btf)) === withoutModes(c)) counts.c++;
  else console.log(`${path}: the dump as C differs`);
  if (Buffer.compare(encodeBtf(btf), btf.bytes) === 0) counts.written++;
  else console.log(`${path}: is not written as it was read`);
  const relocator = new CoreRelocator(btf, target);
  const answers = new Map<string, CoreAnswer>();
  for (const relo of ext.coreRelos.flatMap(({ records }) => records)) {
    const answer = relocator.relocate(relo);
    if (answer.ok) answers.set(answer.local, answer);
    else {
      counts.unanswered++;
      console.log(`${path}: ${answer.problem}`);
    }
  }
  for (const theirs of libbpfAnswers(path)) {
    counts.relos++;
    const ours = answers.get(theirs.local!);
    if (same(ours, theirs)) counts.equal++;
    else
      console.log(
        `${path}: ${theirs.local}: libbpf has ${theirs.target ?? 'no match'}, we have ${ours?.target}`,
      );
  }
}

const percent = (part: number, whole: number): string => ((100 * part) / Math.max(whole, 1)).toFixed(1);
console.log(`${counts.objects} objects; ${counts.relos} relocations that libbpf logged`);
console.log(`figure btf_raw_percent ${percent(counts.raw, counts.objects)}`);
console.log(`figure btf_c_percent ${percent(counts.c, counts.objects)}`);
console.log(`figure btf_written_percent ${percent(counts.written, counts.objects)}`);
console.log(`figure core_relocations ${counts.relos}`);
console.log(`figure core_percent ${percent(counts.equal, counts.relos)}`);
const failed =
  counts.objects === 0 ||
  counts.relos === 0 ||
  counts.unanswered > 0 ||
  counts.equal < counts.relos ||
  Math.min(counts.raw, counts.c, counts.written) < counts.objects;
process.exit(failed ? 1 : 0);
