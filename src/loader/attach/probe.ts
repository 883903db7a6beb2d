/** Probes in functions of the kernel and of programs. */
import { type AttachType, LINK_FLAGS, type PerfEventAttr } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import { Binary, findBinary } from './binary.ts';
import type { BpfLink, Link } from './link.ts';
import { openAndAttach, type PerfLinkOptions } from './perf.ts';
import { attachError, needType } from './place.ts';
import { type EventSource, eventSource, traceableFunctions, wildcard } from './tracefs.ts';

export interface KprobeOptions extends PerfLinkOptions {
  /** Bytes from the function's beginning. */
  readonly offset?: number;
  /** At its return; default what the section says. */
  readonly returns?: boolean;
}

/** Where a probe of the kernel is: a function's name or an address. */
export type KernelPlace = string | bigint;

/** Whether the section is one of returns (`kretprobe`, `uretprobe.multi`). */
export function returnsBySection(program: LoadedProgram): boolean {
  return /^\??(kret|uret)/.test(program.spec.section);
}

export function attachKprobe(program: LoadedProgram, place: KernelPlace, options: KprobeOptions = {}): Link {
  needType(program, ['kprobe'], 'functions');
  const { offset = 0, returns = returnsBySection(program), ...link } = options;
  const source = eventSource(program.kernel, 'kprobe');
  if (!source) throw attachError(program, 'the kernel has no kprobes (CONFIG_KPROBE_EVENTS)', 'ENOENT');
  if (returns && offset !== 0) throw attachError(program, 'a return has no offset', 'EINVAL');
  const bit = returns ? (source.bit('retprobe') ?? 0) : undefined;
  const event: PerfEventAttr = {
    type: source.type,
    config: bit === undefined ? 0n : 1n << BigInt(bit),
    ...(typeof place === 'string' ? { target: place, config2: offset } : { config2: place + BigInt(offset) }),
    cpu: 0,
  };
  return openAndAttach(program, event, link);
}

/** What the kernel calls the function of a system call, by processor. */
const SYSCALL_PREFIXES = [
  '__x64_sys_',
  '__arm64_sys_',
  '__s390x_sys_',
  '__riscv_sys_',
  'sys_',
  '__se_sys_',
] as const;

/** @param name of the system call: `openat` */
export function attachSyscall(program: LoadedProgram, name: string, options: KprobeOptions = {}): Link {
  const { kernel } = program;
  const symbol = SYSCALL_PREFIXES.map((prefix) => `${prefix}${name}`).find(
    (s) => kernel.ksym(s) !== undefined,
  );
  if (symbol === undefined)
    throw attachError(program, `the kernel lists no system call ${name} (/proc/kallsyms)`, 'ENOENT');
  return attachKprobe(program, symbol, { returns: program.spec.section.includes('kretsyscall'), ...options });
}

export interface MultiOptions {
  readonly returns?: boolean;
  /** One for each place. */
  readonly cookies?: readonly bigint[];
}

/** Functions by name, by a pattern with `*`, or by address. */
export type KernelPlaces =
  | { readonly symbols: readonly string[] }
  | { readonly pattern: string }
  | { readonly addresses: readonly bigint[] };

/** Many functions of the kernel by one link. */
export function attachKprobeMulti(
  program: LoadedProgram,
  places: KernelPlaces,
  options: MultiOptions = {},
): BpfLink {
  needType(program, ['kprobe'], 'functions');
  const attach_type: AttachType =
    program.attachType === 'trace_kprobe_session' ? 'trace_kprobe_session' : 'trace_kprobe_multi';
  const { returns = returnsBySection(program), cookies } = options;
  const list = 'pattern' in places ? { symbols: traceableFunctions(program.kernel, places.pattern) } : places;
  if ('symbols' in list && list.symbols.length === 0) {
    throw attachError(program, 'no function that can be traced matches', 'ENOENT');
  }
  return program.link({
    attach_type,
    kprobe_multi: {
      flags: returns ? LINK_FLAGS.BPF_F_KPROBE_MULTI_RETURN : 0,
      ...('symbols' in list ? { syms: list.symbols } : { addrs: list.addresses }),
      ...(cookies && { cookies }),
    },
  });
}

/** A place in an executable or library: a function, bytes behind it, or an offset in the file. */
export interface UserPlace {
  readonly symbol?: string;
  /** From the symbol's beginning, or from the file's without a symbol. */
  readonly offset?: bigint;
  /** As the file's symbols have it (`nm`), instead of a symbol. */
  readonly address?: bigint;
}

export interface UprobeOptions extends PerfLinkOptions {
  readonly returns?: boolean;
  /** Only this process; default every process. */
  readonly pid?: number;
  /** Offset in the file of a counter that is above zero while the probe is set (a semaphore). */
  readonly refCounter?: bigint;
}

/** @throws InputError where the kernel has no uprobes: before a file is looked for that need not be there */
function uprobes(program: LoadedProgram): EventSource {
  const source = eventSource(program.kernel, 'uprobe');
  if (source) return source;
  const reason =
    program.kernel.name === 'embedded'
      ? 'the embedded kernel runs no programs of other processes; use Linux'
      : 'the kernel has no uprobes (CONFIG_UPROBE_EVENTS)';
  throw attachError(program, reason, 'EOPNOTSUPP');
}

function offsetIn(binary: () => Binary, place: UserPlace): bigint {
  const { symbol, offset = 0n, address } = place;
  if (address !== undefined) return binary().offsetOf(address) + offset;
  return symbol === undefined ? offset : binary().functionOffset(symbol) + offset;
}

/** @param path of the file, or its name in the usual folders (`libc.so.6`) */
export function attachUprobe(
  program: LoadedProgram,
  path: string,
  place: UserPlace,
  options: UprobeOptions = {},
): Link {
  needType(program, ['kprobe'], 'functions');
  uprobes(program);
  const file = findBinary(program.kernel, path);
  let binary: Binary | undefined;
  const open = () => {
    binary ??= new Binary(program.kernel, file);
    return binary;
  };
  return attachUprobeAt(program, file, offsetIn(open, place), options);
}

/** At an offset in a file. */
export function attachUprobeAt(
  program: LoadedProgram,
  path: string,
  offset: bigint,
  options: UprobeOptions = {},
): Link {
  const { returns = returnsBySection(program), pid, refCounter = 0n, ...link } = options;
  const source = uprobes(program);
  const returnBit = returns ? 1n << BigInt(source.bit('retprobe') ?? 0) : 0n;
  const counterBit = source.bit('ref_ctr_offset');
  if (refCounter !== 0n && counterBit === undefined) {
    throw attachError(program, 'this kernel keeps no counters of probes (since 4.20)', 'EOPNOTSUPP');
  }
  return openAndAttach(
    program,
    {
      type: source.type,
      config: returnBit | (refCounter << BigInt(counterBit ?? 0)),
      target: path,
      config2: offset,
      ...(pid === undefined ? { cpu: 0 } : { pid }),
    },
    link,
  );
}

export interface UprobeMultiOptions extends MultiOptions {
  readonly pid?: number;
}

/** Many places of one file by one link. */
export function attachUprobeMulti(
  program: LoadedProgram,
  path: string,
  places: readonly UserPlace[] | { readonly pattern: string },
  options: UprobeMultiOptions = {},
): BpfLink {
  needType(program, ['kprobe'], 'functions');
  const attach_type: AttachType =
    program.attachType === 'trace_uprobe_session' ? 'trace_uprobe_session' : 'trace_uprobe_multi';
  const { returns = returnsBySection(program), cookies, pid } = options;
  const file = findBinary(program.kernel, path);
  let binary: Binary | undefined;
  const open = () => {
    binary ??= new Binary(program.kernel, file);
    return binary;
  };
  const offsets =
    'pattern' in places
      ? [
          ...new Set(
            open()
              .functions((name) => wildcard(places.pattern).test(name))
              .map(({ offset }) => offset),
          ),
        ]
      : places.map((place) => offsetIn(open, place));
  if (offsets.length === 0) throw attachError(program, `${file} has no function that matches`, 'ENOENT');
  return program.link({
    attach_type,
    uprobe_multi: {
      path: file,
      offsets,
      ...(cookies && { cookies }),
      flags: returns ? LINK_FLAGS.BPF_F_UPROBE_MULTI_RETURN : 0,
      ...(pid !== undefined && { pid }),
    },
  });
}
