/**
 * Compiles `src/kernel/wasm/assembly/` (AssemblyScript) and writes the two modules, for a memory of one thread and for a
 * shared one, with the types of their functions into `src/kernel/wasm/generated.ts`. Does nothing when that is newer than
 * its sources. Runs before the build and after an installation.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCES = join(ROOT, 'src/kernel/wasm/assembly');
const OUTPUT = join(ROOT, 'src/kernel/wasm/generated.ts');
/** The compiler. It runs as a program: its declarations, once imported, would replace Node's. */
const COMPILER = require.resolve('assemblyscript/package.json');

/** Memory limits in pages: what the kernel's memory has at least, and what it may have. */
const INITIAL_PAGES = 1;
const MAXIMUM_PAGES = 65_536;

const OPTIONS = [
  ['--runtime', 'stub'],
  ['--optimizeLevel', '3', '--shrinkLevel', '0', '--converge', '--noAssert'],
  ['--importMemory', '--noExportMemory'],
  ['--initialMemory', `${INITIAL_PAGES}`, '--maximumMemory', `${MAXIMUM_PAGES}`],
].flat();

const VARIANTS = { single: [], shared: ['--enable', 'threads', '--sharedMemory'] } as const;

/** Changes when the sources, this script or the compiler do. */
function fingerprint(): string {
  const { version } = JSON.parse(readFileSync(COMPILER, 'utf8')) as { version: string };
  const hash = createHash('sha256')
    .update(version)
    .update(readFileSync(fileURLToPath(import.meta.url)));
  for (const file of readdirSync(SOURCES).toSorted())
    hash.update(file).update(readFileSync(join(SOURCES, file)));
  return hash.digest('hex');
}

function compile(flags: readonly string[]): Uint8Array<ArrayBuffer> {
  const dir = mkdtempSync(join(tmpdir(), 'skep-wasm-'));
  try {
    const file = join(dir, 'module.wasm');
    const args = [join(dirname(COMPILER), 'bin/asc.js'), join(SOURCES, 'index.ts'), ...OPTIONS, ...flags];
    execFileSync(process.execPath, [...args, '--outFile', file], { stdio: 'inherit' });
    return new Uint8Array(readFileSync(file));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

interface Signature {
  readonly params: readonly string[];
  readonly results: readonly string[];
}

const VALUE_TYPES: Readonly<Record<number, string>> = {
  127: 'number',
  126: 'bigint',
  125: 'number',
  124: 'number',
};
const SECTION = { type: 1, import: 2, function: 3, export: 7, data: 11 } as const;

/** The exported functions of a module. @see WebAssembly Core Specification §5.5 */
function exportsOf(bytes: Uint8Array): ReadonlyMap<string, Signature> {
  let at = 8;
  const u32 = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  };
  const list = <T>(read: () => T): T[] => Array.from({ length: u32() }, read);
  const name = () => {
    const length = u32();
    at += length;
    return new TextDecoder().decode(bytes.subarray(at - length, at));
  };
  const limits = () => {
    const flags = u32();
    u32();
    if (flags & 1) u32();
  };
  let types: Signature[] = [];
  const functions: Signature[] = [];
  const found = new Map<string, Signature>();
  while (at < bytes.length) {
    const id = bytes[at++]!;
    const size = u32();
    const end = at + size;
    if (id === SECTION.data)
      throw new Error('the module has data of its own, for which the kernel has no place');
    if (id === SECTION.type) {
      const values = () => list(() => VALUE_TYPES[bytes[at++]!] ?? 'never');
      types = list(() => {
        at++;
        return { params: values(), results: values() };
      });
    } else if (id === SECTION.import) {
      list(() => {
        name();
        name();
        const kind = bytes[at++];
        if (kind === 0) functions.push(types[u32()]!);
        else if (kind === 2) limits();
        else if (kind === 3) at += 2;
        else throw new Error(`the module imports something of kind ${kind}`);
      });
    } else if (id === SECTION.function) {
      functions.push(...list(() => types[u32()]!));
    } else if (id === SECTION.export) {
      list(() => {
        const exported = name();
        const kind = bytes[at++];
        const index = u32();
        if (kind === 0) found.set(exported, functions[index]!);
      });
    }
    at = end;
  }
  return found;
}

function moduleText(single: Uint8Array, shared: Uint8Array, stamp: string): string {
  const functions = [...exportsOf(single)].map(([name, { params, results }]) => {
    const args = params.map((type, i) => `p${i}: ${type}`).join(', ');
    return `  readonly ${name}: (${args}) => ${results[0] ?? 'void'};`;
  });
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  return [
    '/** Written by scripts/build-wasm.ts from assembly/. */',
    `// ${stamp}`,
    'export interface KernelFunctions {',
    ...functions,
    '}',
    `export const SINGLE = '${base64(single)}';`,
    `export const SHARED = '${base64(shared)}';`,
    '',
  ].join('\n');
}

const stamp = fingerprint();
if (!existsSync(OUTPUT) || !readFileSync(OUTPUT, 'utf8').includes(stamp)) {
  const single = compile(VARIANTS.single);
  const shared = compile(VARIANTS.shared);
  // In one step: somebody may be reading it.
  writeFileSync(`${OUTPUT}.new`, moduleText(single, shared, stamp));
  renameSync(`${OUTPUT}.new`, OUTPUT);
  console.log(`kernel in WebAssembly: ${single.length} bytes, ${shared.length} for shared memory`);
}
