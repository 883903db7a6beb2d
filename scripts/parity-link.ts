/**
 * `skep gen object` against bpftool's: each object of a folder linked alone, and the groups that belong together. Both must
 * take or refuse it, with as many types; programs, maps and variables must be those that were there.
 *
 * npm run parity:link -- [FOLDER]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBtf } from '../src/btf/index.ts';
import { linkObjects } from '../src/cli/gen/link-object.ts';
import { findSection, readElf } from '../src/elf/index.ts';
import { parseObject } from '../src/loader/index.ts';

const folder = process.argv[2] ?? 'corpora/selftests-6.12';
if (!existsSync(folder) || spawnSync('bpftool', ['version']).error) {
  console.log(`skipped: ${existsSync(folder) ? 'bpftool' : folder} is not there`);
  process.exit(0);
}
/** Objects of the kernel's selftests that are made to be linked. */
const GROUPS = [
  ['linked_funcs1', 'linked_funcs2'],
  ['linked_maps1', 'linked_maps2'],
  ['linked_vars1', 'linked_vars2'],
  ['test_static_linked1', 'test_static_linked2'],
  ['test_subskeleton_lib2', 'test_subskeleton_lib', 'test_subskeleton'],
  ['test_usdt', 'test_usdt_multispec'],
].map((names) => names.map((name) => `${name}.bpf.o`));

const objects = readdirSync(folder).filter((name) => name.endsWith('.o'));
const groups = GROUPS.filter((names) => names.every((name) => existsSync(join(folder, name))));
const temporary = mkdtempSync(join(tmpdir(), 'skep-parity-link-'));
let equal = 0;
let count = 0;
for (const names of [...objects.map((name) => [name]), ...groups]) {
  count++;
  const difference = compare(names);
  if (difference === undefined) equal++;
  else console.log(`${names.join(' + ')}: ${difference}`);
}
rmSync(temporary, { recursive: true });
if (count === 0) throw new Error(`${folder} has no objects: nothing was compared`);
console.log(`${groups.length} groups and ${objects.length} objects`);
console.log(`figure parity_link_percent ${((100 * equal) / count).toFixed(2)}`);
process.exitCode = equal === count ? 0 : 1;

/** @returns what is not the same */
function compare(names: readonly string[]): string | undefined {
  const files = names.map((name) => join(folder, name));
  const out = join(temporary, 'linked.o');
  const { status, stderr, error } = spawnSync('bpftool', ['gen', 'object', out, ...files], {
    encoding: 'utf8',
  });
  if (error) throw error;
  let ours: Uint8Array;
  try {
    ours = linkObjects(files.map((name) => ({ name, bytes: readFileSync(name) })));
  } catch (failure) {
    return status === 0 ? `skep refuses it: ${(failure as Error).message}` : undefined;
  }
  if (status !== 0) return `bpftool refuses it: ${stderr}`;
  const [a, b] = [typeCount(ours), typeCount(readFileSync(out))];
  if (a !== b) return `${a} types by skep, ${b} by bpftool`;
  if (names.length > 1) return undefined;
  const [before, after] = [readFileSync(files[0]!), ours].map((bytes) => contents(bytes, names[0]!));
  return before === after ? undefined : `${after} in place of ${before}`;
}

function typeCount(bytes: Uint8Array): number {
  const section = findSection(readElf(bytes, 'linked.o'), '.BTF');
  return section ? parseBtf(section.data, '.BTF').length : 0;
}

/** What an object has, as a text; for one that needs others no more than that. */
function contents(bytes: Uint8Array, name: string): string {
  try {
    const { programs, maps, variables } = parseObject(bytes, name);
    const mapFacts = [...maps.values()].map((map) => [
      map.name,
      map.type,
      map.keySize,
      map.valueSize,
      map.maxEntries,
      map.flags,
    ]);
    const programFacts = [...programs.values()].map((program) => [program.name, program.section]);
    return JSON.stringify([programFacts.sort(), mapFacts.sort(), [...variables.keys()].sort()]);
  } catch {
    return 'nothing that loads alone';
  }
}
