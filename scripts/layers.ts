/**
 * The rule of the house: a room imports only rooms below it. Reads every import and re-export of `src/`, type-only
 * ones included, and fails on an arrow that the table does not allow, on a room that the table does not know, and
 * when it found nothing to check.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';

const FORMATS = ['base', 'isa', 'elf', 'btf', 'pcap'];

/** What each room may import beside itself. `.` is the library's public entry, `src/index.ts`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  isa: ['base'],
  elf: ['base'],
  btf: ['base'],
  pcap: ['base'],
  sys: ['base'],
  kernel: [...FORMATS, 'sys'],
  linux: [...FORMATS, 'sys'],
  loader: [...FORMATS, 'sys'],
  cli: [...FORMATS, 'sys', 'kernel', 'linux', 'loader'],
  '.': [...FORMATS, 'sys', 'kernel', 'linux', 'loader'],
};

/** Rooms that a browser must be able to load: they may not import Node's own modules. */
const BROWSER = ['base', 'isa', 'elf', 'btf', 'pcap', 'sys', 'kernel', 'loader'];

const IMPORT = /(?:^|\s)(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;

function room(file: string): string {
  const parts = file.split(sep);
  return parts.length > 2 ? parts[1]! : '.';
}

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map((name) => join('src', name))
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
const faults: string[] = [];
let arrows = 0;
for (const file of files) {
  const from = room(file);
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) {
    faults.push(`${file}: the room "${from}" is not in the table of layers`);
    continue;
  }
  for (const match of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    const target = match[1] ?? match[2]!;
    if (target.startsWith('.')) {
      const to = room(normalize(join(dirname(file), target)));
      arrows++;
      if (to !== from && !allowed.includes(to))
        faults.push(`${file}: ${from} may not import ${to} (${target})`);
    } else if (target.startsWith('node:') && BROWSER.includes(from)) {
      faults.push(`${file}: ${from} runs in a browser and may not import ${target}`);
    }
  }
}
if (arrows === 0) faults.push(`no import found in ${files.length} files: nothing was checked`);
for (const fault of faults) console.error(fault);
console.log(`layers: ${files.length} files, ${arrows} imports, ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
