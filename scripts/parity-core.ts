/**
 * Compares the instructions that skep makes of objects with those that libbpf makes, on this kernel: CO-RE and every
 * other relocation. Both are taken as they go to PROG_LOAD, so that programs count that this kernel refuses; where it
 * takes both, its own listing (xlated) is compared too.
 *
 *     npm run parity:core [FOLDER]
 *
 * Objects: `test/loader/` (which has all 13 kinds) and the folder's, by default those of Debian's libbpf-tools and
 * xdp-tools (`scripts/fetch-debian-objects.ts`, `$SKEP_DEBIAN_OBJECTS` or `corpora/debian`). Needs root and libbpf.so.1.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { InputError } from '../src/base/error.ts';
import { CORE_RELO_KINDS } from '../src/btf/index.ts';
import { openLinux } from '../src/linux/index.ts';
import {
  linkProgram,
  loadObject,
  type MapSpec,
  type ObjectSpec,
  type ProgramOptions,
  parseObject,
} from '../src/loader/index.ts';
import type { Fd, Kernel, ProgLoadAttr } from '../src/sys/index.ts';
import { openLibbpf } from './libbpf.ts';

/** Entries and value size for maps whose loader chooses them at run time. */
const ENTRIES = 64;
const STACK_BYTES = 127 * 8;

const ABSENT_KFUNC = 2_002_000_000;

/** A program as it went, or would have gone, into the kernel. */
interface Loaded {
  readonly insns: Uint8Array | undefined;
  /** The kernel's listing, if it took the program. */
  readonly xlated: Uint8Array | undefined;
  readonly problem: string;
}

/** Targets that every kernel has, for programs whose own this kernel lacks: the instructions do not depend on it. */
const ANY_TARGET: Readonly<Record<string, string>> = {
  trace_raw_tp: 'sched_switch',
  trace_iter: 'task',
  lsm_mac: 'file_open',
};

function unsized(map: MapSpec): boolean {
  const free = ['perf_event_array', 'task_storage', 'sk_storage', 'inode_storage', 'cgrp_storage', 'arena'];
  return map.origin !== 'data' && map.maxEntries === 0 && !free.includes(map.type);
}

function xlatedOf(kernel: Kernel, fd: Fd): Uint8Array | undefined {
  const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
  return info.kind === 'prog' && info.xlated_prog_insns.length > 0 ? info.xlated_prog_insns : undefined;
}

/** Loads one program with skep, and keeps what it handed to PROG_LOAD. */
function bySkep(kernel: Kernel, spec: ObjectSpec, name: string, options: ProgramOptions = {}): Loaded {
  const seen: { attr?: ProgLoadAttr } = {};
  const watched: Kernel = {
    ...kernel,
    vmlinuxBtf: () => kernel.vmlinuxBtf(),
    kconfig: (option) => kernel.kconfig(option),
    ksym: (symbol) => kernel.ksym(symbol),
    closeFd: (fd) => kernel.closeFd(fd),
    name: kernel.name,
    release: kernel.release,
    possibleCpus: kernel.possibleCpus,
    bpf: {
      ...kernel.bpf,
      prog_load: (attr) => {
        // Programs that its prog arrays start with are loaded beside it.
        if (attr.prog_name === name.slice(0, 15)) seen.attr = { ...attr, insns: attr.insns.slice() };
        return kernel.bpf.prog_load(attr);
      },
    },
  };
  const maps = [...spec.maps.values()];
  try {
    const object = loadObject(watched, spec, {
      programs: [name],
      maxEntries: Object.fromEntries(maps.filter(unsized).map((m) => [m.name, ENTRIES])),
      valueSize: Object.fromEntries(
        maps.filter((m) => m.type === 'stack_trace' && m.valueSize === 0).map((m) => [m.name, STACK_BYTES]),
      ),
      program: { [name]: options },
      // Of no meaning for the instructions, but there must be one.
      type: 'socket_filter',
    });
    const xlated = xlatedOf(kernel, object.program(name).fd);
    object.close();
    return { insns: seen.attr?.insns, xlated, problem: '' };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const program = spec.programs.get(name)!;
    if (
      error.code === 'loader-attach-target' &&
      options.target === undefined &&
      program.type !== 'struct_ops'
    ) {
      const target = ANY_TARGET[program.attach ?? ''] ?? 'bpf_fentry_test1';
      // A replacement of another program's function is loaded as if it traced one of the kernel's.
      const tracing = { target, type: 'tracing', attach: 'trace_fentry' } as const;
      return bySkep(kernel, spec, name, program.type === 'ext' ? tracing : { target });
    }
    return { insns: seen.attr?.insns, xlated: undefined, problem: error.message };
  }
}

/** Loads one program with libbpf. */
function byLibbpf(kernel: Kernel, libbpf: ReturnType<typeof openLibbpf>, file: string, name: string): Loaded {
  const object = libbpf.open(file);
  if (!object) return { insns: undefined, xlated: undefined, problem: 'libbpf does not open it' };
  try {
    for (const map of object.maps()) {
      if (map.maxEntries() === 0 && map.type() !== 'free') map.setMaxEntries(ENTRIES);
      if (map.type() === 'stack_trace' && map.valueSize() === 0) map.setValueSize(STACK_BYTES);
    }
    const programs = object.programs();
    for (const program of programs) program.setAutoload(program.name === name);
    const program = programs.find((p) => p.name === name);
    if (!program) return { insns: undefined, xlated: undefined, problem: 'libbpf does not see it' };
    const before = program.insns();
    const error = object.load();
    const insns = program.insns();
    if (error === 0) return { insns, xlated: xlatedOf(kernel, program.fd()), problem: '' };
    // A program that was not relocated is as it was: no answer.
    const same = before.length === insns.length && before.every((byte, i) => byte === insns[i]);
    return { insns: same ? undefined : insns, xlated: undefined, problem: `error ${error}` };
  } finally {
    object.close();
  }
}

/** File descriptors and ids differ from load to load: each becomes the number of its first appearance. */
function normalised(insns: Uint8Array): string[] {
  const view = new DataView(insns.buffer, insns.byteOffset, insns.length);
  const seen = new Map<number, number>();
  const lines: string[] = [];
  for (let at = 0; at < insns.length; at += 8) {
    const source = insns[at + 1]! >> 4;
    const map = insns[at] === 0x18 && (source === 1 || source === 2);
    const imm = view.getInt32(at + 4, true);
    if (map && !seen.has(imm)) seen.set(imm, seen.size);
    const head = [...insns.subarray(at, at + 4)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    // An absent weak kernel function: libbpf calls number 0 before 1.3, and a helper that can't be since.
    if (
      insns[at] === 0x85 &&
      ((source === 2 && imm === 0) || (imm >= ABSENT_KFUNC && imm < ABSENT_KFUNC + 1000))
    ) {
      lines.push('call of an absent function');
      continue;
    }
    lines.push(`${head} ${map ? `map ${seen.get(imm)}` : imm}`);
  }
  return lines;
}

/** An object's spec, or `undefined`, said, where skep refuses the object. */
function parsed(file: string): ObjectSpec | undefined {
  try {
    return parseObject(readFileSync(file), file);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.log(`skep: ${error.message}`);
    return undefined;
  }
}

/** Where two listings first differ, or `undefined`. */
function difference(a: Uint8Array, b: Uint8Array): string | undefined {
  const [left, right] = [normalised(a), normalised(b)];
  const at = left.findIndex((line, i) => line !== right[i]);
  if (at < 0 && left.length === right.length) return undefined;
  const i = at < 0 ? left.length : at;
  return `instruction ${i}: skep ${left[i] ?? 'ends'} · libbpf ${right[i] ?? 'ends'}`;
}

function main(): void {
  const folder = process.argv[2] ?? process.env.SKEP_DEBIAN_OBJECTS ?? 'corpora/debian';
  const own = join(import.meta.dirname, '../test/loader');
  const folders = [own, ...(existsSync(folder) ? [folder] : [])];
  if (folders.length === 1) console.log(`${folder} is absent: only the project's own objects are compared`);
  const kernel = openLinux();
  const libbpf = openLibbpf();
  const kinds = new Map<string, number>(CORE_RELO_KINDS.map((kind) => [kind, 0]));
  const count = { programs: 0, equal: 0, xlated: 0, xlatedEqual: 0, unanswered: 0 };
  for (const file of folders.flatMap((f) => readdirSync(f).map((name) => join(f, name)))) {
    if (!file.endsWith('.o')) continue;
    const spec = parsed(file);
    if (!spec) {
      const object = libbpf.open(file);
      if (object?.load() === 0) {
        count.programs++;
        console.log(`${basename(file)}: skep refuses what libbpf loads`);
      }
      object?.close();
      continue;
    }
    for (const [name, program] of spec.programs) {
      const theirs = byLibbpf(kernel, libbpf, file, name);
      if (!theirs.insns) {
        count.unanswered++;
        if (process.env.VERBOSE) console.log(`libbpf: ${basename(file)} ${name}: ${theirs.problem}`);
        continue;
      }
      const ours = bySkep(kernel, spec, name);
      count.programs++;
      const differing = ours.insns ? difference(ours.insns, theirs.insns) : `skep: ${ours.problem}`;
      if (differing === undefined) {
        count.equal++;
        for (const relo of linkProgram(spec, program).coreRelos)
          kinds.set(relo.kind, kinds.get(relo.kind)! + 1);
      } else console.log(`${basename(file)} ${name}: ${differing}`);
      if (!ours.xlated || !theirs.xlated) {
        if (Boolean(ours.xlated) !== Boolean(theirs.xlated)) {
          console.log(
            `${basename(file)} ${name}: skep ${ours.problem || 'loads'} · libbpf ${theirs.problem || 'loads'}`,
          );
        }
        continue;
      }
      count.xlated++;
      const listed = difference(ours.xlated, theirs.xlated);
      if (listed === undefined) count.xlatedEqual++;
      else console.log(`${basename(file)} ${name}: xlated: ${listed}`);
    }
  }
  const missing = [...kinds].filter(([, n]) => n === 0).map(([kind]) => kind);
  console.log(
    `${count.equal} of ${count.programs} programs have libbpf's instructions; ${count.unanswered} libbpf refuses`,
  );
  console.log(
    `${count.xlatedEqual} of ${count.xlated} programs that the kernel took from both have the same listing`,
  );
  console.log(`CO-RE kinds: ${[...kinds].map(([kind, n]) => `${kind} ${n}`).join(', ')}`);
  console.log(`figure core_programs ${count.programs}`);
  console.log(
    `figure core_percent ${count.programs === 0 ? 0 : ((100 * count.equal) / count.programs).toFixed(2)}`,
  );
  if (missing.length > 0) console.log(`no relocation was compared of: ${missing.join(', ')}`);
  if (
    count.programs === 0 ||
    missing.length > 0 ||
    count.equal < count.programs ||
    count.xlatedEqual < count.xlated
  ) {
    process.exitCode = 1;
  }
  kernel.close();
}

main();
