/**
 * Compiles the BPF programs of Linux's selftests against the running kernel's types. What was compiled stays; what
 * does not compile (it wants types or functions that this kernel lacks) is remembered with its first error.
 */
import { execFile, execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { dumpC, parseBtf } from '../src/btf/index.ts';

const run = promisify(execFile);

/** The compilers that will do, the best first. */
const CLANGS = ['clang-19', 'clang-20', 'clang-21', 'clang'];
const CLANG_AT_LEAST = 18;

const VMLINUX = '/sys/kernel/btf/vmlinux';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86', arm64: 'arm64' };

/** Extra flags that the selftests' Makefile gives single files. */
const FILE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  'test_l4lb_noinline.c': ['-fno-inline'],
  'test_xdp_noinline.c': ['-fno-inline'],
};

/** A compiler for BPF that is new enough, or `undefined`. */
export function findClang(): string | undefined {
  for (const name of CLANGS) {
    try {
      const version = execFileSync(name, ['--version'], { encoding: 'utf8' });
      const major = Number(/version (\d+)/.exec(version)?.[1] ?? 0);
      if (major >= CLANG_AT_LEAST) return name;
    } catch {
      // Not installed: the next one.
    }
  }
  return undefined;
}

/** Headers that the programs include: libbpf's, the kernel's types, and the helpers' declarations. */
function prepareHeaders(source: string, include: string): void {
  const bpf = join(include, 'bpf');
  mkdirSync(bpf, { recursive: true });
  const lib = join(source, 'tools/lib/bpf');
  for (const file of readdirSync(lib).filter((name) => name.endsWith('.h')))
    copyFileSync(join(lib, file), join(bpf, file));
  const helpers = execFileSync(
    'python3',
    [
      join(source, 'scripts/bpf_doc.py'),
      '--header',
      '--file',
      join(source, 'tools/include/uapi/linux/bpf.h'),
    ],
    { encoding: 'utf8', maxBuffer: 1 << 24 },
  );
  writeFileSync(join(bpf, 'bpf_helper_defs.h'), helpers);
  const vmlinux = parseBtf(new Uint8Array(readFileSync(VMLINUX)), VMLINUX);
  writeFileSync(join(include, 'vmlinux.h'), dumpC(vmlinux));
}

/** Where the host's compiler looks for headers: `--target=bpf` alone does not find them. */
function systemIncludes(clang: string): string[] {
  const text = execFileSync('bash', ['-c', `${clang} -v -E - </dev/null 2>&1`], { encoding: 'utf8' });
  const block = /search starts here:\n([\s\S]*?)End of search list/.exec(
    text.slice(text.indexOf('#include <...>')),
  );
  const folders = (block?.[1] ?? '').split('\n').filter((line) => line.startsWith(' '));
  return folders.flatMap((folder) => ['-idirafter', folder.trim()]);
}

export interface Compiled {
  readonly objects: number;
  readonly failed: number;
  /** Why nothing could be compiled. */
  readonly missing?: string;
}

/**
 * Compiles what is not compiled yet.
 *
 * @param source a folder of Linux's source
 * @param objects where the objects go, `NAME.bpf.o`, and `NAME.err` for those that do not compile
 * @param progress called as files are done
 */
export async function compileSelftests(
  source: string,
  objects: string,
  progress: (done: number, of: number) => void,
): Promise<Compiled> {
  const clang = findClang();
  if (clang === undefined)
    return { objects: 0, failed: 0, missing: `no clang of at least ${CLANG_AT_LEAST}` };
  if (!existsSync(VMLINUX)) return { objects: 0, failed: 0, missing: `${VMLINUX} is not there` };
  const selftests = join(source, 'tools/testing/selftests/bpf');
  const include = join(objects, 'include');
  mkdirSync(objects, { recursive: true });
  if (!existsSync(join(include, 'vmlinux.h'))) prepareHeaders(source, include);
  const flags = [
    '-g',
    '-O2',
    '--target=bpf',
    '-mcpu=v3',
    '-mlittle-endian',
    `-D__TARGET_ARCH_${ARCHITECTURES[process.arch] ?? process.arch}`,
    '-DENABLE_ATOMICS_TESTS',
    `-I${include}`,
    `-I${selftests}`,
    `-I${join(source, 'tools/include/uapi')}`,
    '-std=gnu11',
    '-fno-strict-aliasing',
    '-w',
    ...systemIncludes(clang),
  ];
  const files = readdirSync(join(selftests, 'progs'))
    .filter((name) => name.endsWith('.c'))
    .toSorted();
  let done = 0;
  let failed = 0;
  const queue = [...files];
  const compile = async (file: string): Promise<void> => {
    const stem = basename(file, '.c');
    const object = join(objects, `${stem}.bpf.o`);
    const problem = join(objects, `${stem}.err`);
    if (!existsSync(object) && !existsSync(problem)) {
      const part = `${object}.part`;
      const own = FILE_FLAGS[file] ?? [];
      try {
        await run(clang, [...flags, ...own, '-c', join(selftests, 'progs', file), '-o', part]);
        renameSync(part, object);
      } catch (error) {
        rmSync(part, { force: true });
        const text = String((error as { stderr?: string }).stderr ?? error);
        writeFileSync(problem, `${/^.*error:.*$/m.exec(text)?.[0] ?? text.slice(0, 400)}\n`);
      }
    }
    if (existsSync(problem)) failed++;
    progress(++done, files.length);
  };
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await compile(file);
  };
  await Promise.all([worker(), worker()]);
  return { objects: files.length - failed, failed };
}
