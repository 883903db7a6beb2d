/**
 * What the programs of Linux's selftests return: each `__retval` program is loaded into both kernels by the same loader and
 * run as the selftests' runner does, with 64 zero bytes (syscall programs with nothing). The embedded kernel runs each
 * twice, compiled and interpreted.
 *
 * @see tools/testing/selftests/bpf/test_loader.c, do_prog_test_run
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bug, InputError } from '../src/base/error.ts';
import type { Btf } from '../src/btf/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { openLinux } from '../src/linux/index.ts';
import { loadObject, type ObjectSpec, parseObject } from '../src/loader/index.ts';
import { type Bpf, type Kernel, PROG_LOAD_FLAGS } from '../src/sys/index.ts';
import { type Annotations, readAnnotations } from './agree-annotations.ts';

/** Bytes of the packet, and of the room for the one that comes back. */
const DATA = 64;
const ROOM = 4 * DATA;
const TESTING = PROG_LOAD_FLAGS.BPF_F_TEST_RND_HI32 | PROG_LOAD_FLAGS.BPF_F_TEST_REG_INVARIANTS;

/** Where user space would have an arena: what the runner's mmap chooses, said when the map is created. */
const ARENA_ADDRESS = 1n << 44n;

/** Maps that the selftests' runner fills before it runs programs of an object. @see prog_tests/verifier.c */
const PREPARED: Readonly<Record<string, readonly string[]>> = {
  verifier_array_access: ['map_array_ro'],
  verifier_value_ptr_arith: ['map_array_48b'],
};

/** `struct test_val`: an index of 28, and 0xabcdef12 there. */
function testValue(): Uint8Array {
  const words = new Uint32Array(12);
  words[0] = 28;
  words[7] = 0xabcd_ef12;
  return new Uint8Array(words.buffer);
}

/** A returned value as a signed number, or why there is none. */
type Returned = number | string;

interface RetvalResult {
  readonly id: string;
  readonly expected: number;
  readonly linux: Returned;
  readonly compiled: Returned;
  readonly interpreted: Returned;
}

interface RetvalOptions {
  /** Folder of the selftests' objects. */
  readonly objects: string;
  readonly filter: RegExp | undefined;
  /** List Linux's misses, too. */
  readonly list: boolean;
}

/** A kernel whose programs are loaded with the flags of the selftests' runner. */
class FlaggedKernel implements Kernel {
  readonly name: Kernel['name'];
  readonly release: string;
  readonly possibleCpus: number;
  readonly bpf: Bpf;
  readonly #kernel: Kernel;
  /** Of the program under test. */
  flags = { set: TESTING, cleared: 0 };

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.name = kernel.name;
    this.release = kernel.release;
    this.possibleCpus = kernel.possibleCpus;
    this.bpf = {
      ...kernel.bpf,
      map_create: (attr) =>
        kernel.bpf.map_create({
          ...attr,
          ...(attr.map_type === 'arena' && !attr.map_extra && { map_extra: ARENA_ADDRESS }),
        }),
      prog_load: (attr) => {
        const { set, cleared } = this.flags;
        return kernel.bpf.prog_load({ ...attr, prog_flags: ((attr.prog_flags ?? 0) | set) & ~cleared });
      },
    };
  }

  get os(): Kernel['os'] {
    return this.#kernel.os;
  }
  get files(): Kernel['files'] {
    return this.#kernel.files;
  }
  get hooks(): Kernel['hooks'] {
    return this.#kernel.hooks;
  }
  get net(): Kernel['net'] {
    return this.#kernel.net;
  }
  vmlinuxBtf(): Uint8Array | undefined {
    return this.#kernel.vmlinuxBtf();
  }
  kconfig(name: string): string | undefined {
    return this.#kernel.kconfig(name);
  }
  ksym(name: string): bigint | undefined {
    return this.#kernel.ksym(name);
  }
  closeFd(fd: Parameters<Kernel['closeFd']>[0]): void {
    this.#kernel.closeFd(fd);
  }
  close(): void {
    this.#kernel.close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

interface RetvalCase {
  readonly spec: ObjectSpec;
  readonly program: string;
  readonly auxiliary: readonly string[];
  readonly notes: Annotations;
  readonly expected: number;
  /** The types that it is relocated to, in place of the kernel's. */
  readonly btf: Btf | undefined;
}

/** The programs of an object that say what they return. */
function casesOf(objects: string, file: string, bytes: Uint8Array): RetvalCase[] {
  const spec = parseObject(bytes, file);
  const { btf } = spec;
  if (!btf) return [];
  const cases: RetvalCase[] = [];
  const auxiliary = auxiliaries(spec);
  for (const { name, func } of spec.programs.values()) {
    const type = spec.functions[func]?.btfType;
    const notes = type === undefined ? undefined : readAnnotations(btf, type);
    const expected = notes?.root.retval;
    if (!notes?.here || notes.root.accept !== true || expected === undefined) continue;
    const path = notes.btfPath;
    const own =
      path === undefined ? undefined : parseObject(new Uint8Array(readFileSync(join(objects, path))), path);
    cases.push({ spec, program: name, auxiliary, notes, expected: expected | 0, btf: own?.btf });
  }
  return cases;
}

/** Programs that are loaded beside the one under test. */
function auxiliaries(spec: ObjectSpec): string[] {
  const { btf } = spec;
  if (!btf) return [];
  const tagged = new Set<number>();
  for (let id = 1; id < btf.length; id++) {
    const type = btf.type(id as Parameters<typeof btf.type>[0]);
    if (type.kind === 'decl_tag' && type.name === 'comment:test_auxiliary') tagged.add(type.type);
  }
  return [...spec.programs.values()]
    .filter(({ func }) => tagged.has(spec.functions[func]?.btfType ?? -1))
    .map(({ name }) => name);
}

/** Loads and runs a program once. */
function run(kernel: FlaggedKernel, { spec, program, auxiliary, notes, btf }: RetvalCase): Returned {
  kernel.flags = {
    set: (TESTING | notes.flagsSet) & ~notes.flagsCleared,
    cleared: notes.flagsCleared,
  };
  try {
    const object = loadObject(kernel, spec, {
      programs: [program, ...auxiliary],
      maps: 'used',
      ...(btf && { btf }),
    });
    try {
      const { fd, type } = object.program(program);
      for (const name of PREPARED[spec.file] ?? []) {
        const map = object.maps.get(name);
        if (map) kernel.bpf.map_update_elem({ map_fd: map.fd, key: new Uint8Array(4), value: testValue() });
      }
      const input = { data_in: new Uint8Array(DATA), data_size_out: ROOM, repeat: 1 };
      const { retval } = kernel.bpf.prog_test_run({ prog_fd: fd, ...(type !== 'syscall' && input) });
      return retval | 0;
    } finally {
      object.close();
    }
  } catch (error) {
    if (error instanceof InputError) return error.message;
    return `crash: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function* allCases(objects: string): Generator<RetvalCase> {
  const tag = Buffer.from('comment:test_retval');
  for (const name of readdirSync(objects).toSorted()) {
    if (!name.endsWith('.bpf.o')) continue;
    const bytes = readFileSync(join(objects, name));
    if (!bytes.includes(tag)) continue;
    try {
      yield* casesOf(objects, name.replace('.bpf.o', ''), new Uint8Array(bytes));
    } catch (error) {
      if (!(error instanceof InputError || error instanceof Bug)) throw error;
    }
  }
}

/** Runs all programs, prints the misses by cause and the figures. @returns the exit status */
export function agreeOnRetvals({ objects, filter, list }: RetvalOptions): number {
  using linux = new FlaggedKernel(openLinux());
  const btf = linux.vmlinuxBtf();
  const world = { cpus: linux.possibleCpus, ...(btf && { btf }) };
  using compiled = new FlaggedKernel(createKernel(world));
  using interpreted = new FlaggedKernel(createKernel({ ...world, interpret: true }));
  const results: RetvalResult[] = [];
  for (const one of allCases(objects)) {
    const id = `${one.spec.file}:${one.program}`;
    if (filter?.test(id) === false) continue;
    results.push({
      id,
      expected: one.expected,
      linux: run(linux, one),
      compiled: run(compiled, one),
      interpreted: run(interpreted, one),
    });
  }
  if (results.length === 0) {
    console.error('no program was run: nothing was compared');
    return 1;
  }
  printMisses('embedded', results, ({ expected, compiled, interpreted }) =>
    compiled !== expected ? compiled : interpreted !== expected ? `interpreted: ${interpreted}` : undefined,
  );
  if (list) {
    printMisses('linux', results, ({ expected, linux: own }) => (own === expected ? undefined : own));
  }
  const share = (right: (result: RetvalResult) => boolean): string =>
    ((100 * results.filter(right).length) / results.length).toFixed(2);
  console.log(`figure retval_programs ${results.length}`);
  console.log(
    `figure retval_percent_embedded ${share((r) => r.compiled === r.expected && r.interpreted === r.expected)}`,
  );
  console.log(`figure retval_percent_linux ${share((r) => r.linux === r.expected)}`);
  const unlike = results.filter((r) => typeof r.linux === 'number' && r.linux !== r.compiled);
  console.log(`figure retval_unlike_linux ${unlike.length}`);
  return 0;
}

/** @param miss what came in place of the expected value, or `undefined` */
function printMisses(
  kernel: string,
  results: readonly RetvalResult[],
  miss: (result: RetvalResult) => Returned | undefined,
): void {
  const byCause = new Map<string, string[]>();
  for (const result of results) {
    const found = miss(result);
    if (found === undefined) continue;
    const cause = typeof found === 'number' ? 'another value' : causeOf(found, result.id);
    const value = typeof found === 'number' ? ` (${found}, not ${result.expected})` : '';
    byCause.set(cause, [...(byCause.get(cause) ?? []), `${result.id}${value}`]);
  }
  for (const [cause, ids] of [...byCause].toSorted(([, a], [, b]) => b.length - a.length)) {
    console.log(`${kernel}: ${ids.length}: ${cause}\n  ${ids.join('\n  ')}`);
  }
}

/** The sentence without what only says which program it is about. */
function causeOf(sentence: string, id: string): string {
  const [file = ''] = id.split(':');
  return sentence
    .replace(/^.*?\b(?:loading|running) \w+ program '?\w+'?(?: \(\d+ instructions\))?: /, '')
    .replace(/^instruction \d+(?: \([^()]*\))?: /, '')
    .replaceAll(file, 'FILE')
    .slice(0, 300);
}
