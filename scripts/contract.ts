/**
 * Runs the contract on both kernels and prints how many cases of each map type hold on each, and which types a kernel
 * refuses.
 *
 * Usage: tsx scripts/contract.ts
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMapType, type MapType, mapTypeNames } from '../src/sys/index.ts';
import { complete, SUBJECTS, typeRefusal } from '../test/contract/kernels.ts';
import { SHAPES } from '../test/contract/shapes.ts';

interface Case {
  readonly ancestorTitles: readonly string[];
  readonly title: string;
  readonly status: string;
}

const SUITES = [
  'maps',
  'btf',
  'value-fields',
  'spin-lock',
  'objects',
  'struct-ops',
  'map-helpers',
  'memory',
  'bad-input',
  'arena',
].map((name) => `test/contract/${name}.test.ts`);

function runContract(): readonly Case[] {
  const folder = mkdtempSync(join(tmpdir(), 'contract-'));
  const outputFile = join(folder, 'result.json');
  try {
    const args = ['vitest', 'run', ...SUITES, '--reporter=json', `--outputFile=${outputFile}`];
    const { error } = spawnSync('npx', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (error) throw error;
    const { testResults } = JSON.parse(readFileSync(outputFile, 'utf8')) as {
      testResults: readonly { readonly assertionResults: readonly Case[] }[];
    };
    return testResults.flatMap((file) => file.assertionResults);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The map type that a case is about, or what else it is about. */
function subjectOf({ ancestorTitles, title }: Case): string {
  const words = [...ancestorTitles.slice(1), title].flatMap((text) => text.split(/[^a-z_]+/));
  const type = words.find(isMapType);
  return type ?? (/creation/.test(ancestorTitles.join()) ? 'other attributes' : 'objects');
}

const cases = runContract();
const kernels = SUBJECTS.map(({ name }) => name);
const table = new Map<string, Record<string, { passed: number; failed: number; skipped: number }>>();
let passed = 0;
let differences = 0;
for (const one of cases) {
  const kernel = kernels.find((name) => one.ancestorTitles.some((text) => text.endsWith(` on ${name}`)));
  if (kernel === undefined) continue;
  const subject = subjectOf(one);
  const row = table.get(subject) ?? {};
  table.set(subject, row);
  row[kernel] ??= { passed: 0, failed: 0, skipped: 0 };
  const cell = row[kernel];
  if (one.status === 'passed') {
    cell.passed += 1;
    passed += 1;
  } else if (one.status === 'failed') {
    cell.failed += 1;
    differences += 1;
    console.log(`differs on ${kernel}: ${[...one.ancestorTitles.slice(1), one.title].join(' > ')}`);
  } else {
    cell.skipped += 1;
  }
}

const cellText = (cell: { passed: number; failed: number; skipped: number } | undefined) => {
  if (cell === undefined) return '-';
  const { passed: good, failed, skipped } = cell;
  return skipped > 0 ? `${skipped} skipped` : `${good}/${good + failed}`;
};
console.log(`${'map type'.padEnd(24)}${kernels.map((name) => name.padEnd(14)).join('')}`);
const order = (subject: string) => {
  const at = mapTypeNames.indexOf(subject as MapType);
  return at < 0 ? mapTypeNames.length : at;
};
for (const subject of [...table.keys()].sort((a, b) => order(a) - order(b))) {
  const cells = kernels.map((name) => cellText(table.get(subject)![name]).padEnd(14));
  console.log(`${subject.padEnd(24)}${cells.join('')}`);
}
for (const { name, missing, kernel } of SUBJECTS) {
  if (missing !== undefined) {
    console.log(`${name}: skipped, ${missing}`);
    continue;
  }
  // A struct_ops map is made by a type of the kernel, which its own suite has.
  const refused = mapTypeNames.flatMap((type) => {
    if (type === 'struct_ops') return [];
    const shape = SHAPES.find(({ attr }) => attr.map_type === type);
    const attr = shape
      ? complete(kernel(), shape.attr, shape)
      : ({ map_type: type, key_size: 4, value_size: 4, max_entries: 1 } as const);
    const errno = typeRefusal(kernel(), attr);
    return errno === undefined ? [] : [`${type} ${errno}`];
  });
  console.log(`${name} refuses: ${refused.join(', ') || 'nothing'}`);
}
if (passed === 0) throw new Error('the contract ran no case');
console.log(`figure contract_passed ${passed}`);
console.log(`figure contract_differences ${differences}`);
process.exit(differences > 0 ? 1 : 0);
