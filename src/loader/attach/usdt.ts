/**
 * User statically-defined tracing: places that a program's author marked, whose notes say where their arguments are.
 * The specs of the arguments go into the maps that `usdt.bpf.h` declares, and the program finds its own by the cookie.
 *
 * @see https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation; libbpf's usdt.bpf.h
 */
import { InputError } from '../../base/error.ts';
import { findSection } from '../../elf/index.ts';
import type { LoadedProgram } from '../program.ts';
import { Binary, findBinary } from './binary.ts';
import { all, LinkGroup } from './link.ts';
import { attachError, needType } from './place.ts';
import { attachUprobeAt } from './probe.ts';

const NOTE_TYPE = 3;
const NOTE_NAME = 'stapsdt';
const MAX_ARGS = 12;
const SPEC_MAP = '__bpf_usdt_specs';

/** Where a probe's argument is: a number, a register, or memory that registers point to. */
export type UsdtArgument = {
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly signed: boolean;
} & (
  | { readonly kind: 'const'; readonly value: bigint }
  | { readonly kind: 'register'; readonly register: number }
  | {
      readonly kind: 'memory';
      /** Place in `struct pt_regs`, in bytes, as all registers here. */
      readonly register: number;
      readonly offset: bigint;
      readonly index?: { readonly register: number; readonly shift: number };
    }
);

/** One place of a probe. */
export interface UsdtNote {
  readonly provider: string;
  readonly name: string;
  readonly address: bigint;
  /** 0 for none. */
  readonly semaphore: bigint;
  readonly args: string;
}

/** Registers' places in `struct pt_regs`. */
const X86 = ['r15', 'r14', 'r13', 'r12', 'bp', 'bx', 'r11', 'r10', 'r9', 'r8', 'ax', 'cx', 'dx', 'si', 'di'];
const X86_PLACES: ReadonlyMap<string, number> = new Map([
  ...X86.flatMap((name, i) => x86Names(name).map((alias) => [alias, i * 8] as const)),
  ['rip', 128] as const,
  ...x86Names('sp').map((alias) => [alias, 152] as const),
]);

function x86Names(name: string): string[] {
  if (/^r\d/.test(name)) return [name, `${name}d`, `${name}w`, `${name}b`];
  const low = name.endsWith('x') ? `${name[0]}l` : `${name}l`;
  return [`r${name}`, `e${name}`, name, low];
}

function x86(name: string | undefined): number {
  const place = name === undefined ? undefined : X86_PLACES.get(name);
  if (place === undefined) throw badArgument(`%${name}`, 'no such register is known');
  return place;
}

function arm64(name: string): number {
  if (name === 'sp' || name === 'wsp') return 31 * 8;
  const number = /^[xw](\d+)$/.exec(name)?.[1];
  if (number === undefined || Number(number) > 30) throw badArgument(name, 'no such register is known');
  return Number(number) * 8;
}

function badArgument(text: string, reason: string): InputError {
  return new InputError('loader-usdt', `reading the argument '${text}' of a USDT probe: ${reason}`, {
    errno: 'EINVAL',
  });
}

const EM_AARCH64 = 183;

/** Reads a note's arguments: `-4@%edi 8@-16(%rbp) 4@$5`. @param machine of the file (`e_machine`) */
export function parseUsdtArguments(text: string, machine: number): readonly UsdtArgument[] {
  // Blanks inside brackets are part of an argument of arm64.
  return (text.match(/[^\s[\]]*\[[^\]]*\]|\S+/g) ?? []).map((part) => {
    const found = /^(-?)(1|2|4|8)@(.+)$/.exec(part);
    if (!found)
      throw badArgument(part, 'it is not of the form SIZE@PLACE with whole numbers of 1, 2, 4 or 8 bytes');
    const place = found[3]!;
    const common = { size: Number(found[2]), signed: found[1] === '-' };
    const parsed = machine === EM_AARCH64 ? armPlace(place) : x86Place(place);
    if (!parsed) throw badArgument(part, 'places of that form are not known');
    return { ...common, ...parsed };
  });
}

type Place = UsdtArgument extends infer A ? (A extends unknown ? Omit<A, 'size' | 'signed'> : never) : never;

function x86Place(text: string): Place | undefined {
  const constant = /^\$(-?(?:0x[0-9a-f]+|\d+))$/i.exec(text);
  if (constant) return { kind: 'const', value: number(constant[1]!) };
  const register = /^%(\w+)$/.exec(text);
  if (register) return { kind: 'register', register: x86(register[1]) };
  const memory = /^(-?(?:0x[0-9a-f]+|\d+))?\((?:%(\w+))?(?:,%(\w+)(?:,([1248]))?)?\)$/i.exec(text);
  if (!memory || memory[2] === undefined) return undefined;
  const [, offset = '0', base, index, scale = '1'] = memory;
  return {
    kind: 'memory',
    register: x86(base),
    offset: number(offset),
    ...(index !== undefined && { index: { register: x86(index), shift: Math.log2(Number(scale)) } }),
  };
}

function armPlace(text: string): Place | undefined {
  if (/^-?\d+$/.test(text)) return { kind: 'const', value: BigInt(text) };
  const memory = /^\[\s*(\w+)\s*(?:,\s*(-?\d+)\s*)?\]$/.exec(text);
  if (memory) return { kind: 'memory', register: arm64(memory[1]!), offset: BigInt(memory[2] ?? 0) };
  return /^\w+$/.test(text) ? { kind: 'register', register: arm64(text) } : undefined;
}

const number = (text: string): bigint => (text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text));

/** The probes in a file. */
export function readUsdtNotes(binary: Binary): readonly UsdtNote[] {
  const section = findSection(binary.elf, '.note.stapsdt');
  if (!section) return [];
  const base = findSection(binary.elf, '.stapsdt.base')?.addr;
  const { data } = section;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const decoder = new TextDecoder();
  const notes: UsdtNote[] = [];
  const align = (value: number) => (value + 3) & ~3;
  for (let at = 0; at + 12 <= data.length; ) {
    const [nameSize, size, type] = [0, 4, 8].map((field) => view.getUint32(at + field, true)) as [
      number,
      number,
      number,
    ];
    const start = at + 12 + align(nameSize);
    const end = start + size;
    if (end > data.length || start < at || end < start) break;
    const owner = decoder.decode(data.subarray(at + 12, at + 12 + Math.max(nameSize - 1, 0)));
    if (type === NOTE_TYPE && owner === NOTE_NAME && size >= 24) {
      // The linker may have moved the file since the note was written; the base moved along.
      const written = view.getBigUint64(start + 8, true);
      const moved = base === undefined || written === 0n ? 0n : base - written;
      const semaphore = view.getBigUint64(start + 16, true);
      const [provider = '', name = '', args = ''] = decoder
        .decode(data.subarray(start + 24, end))
        .split('\0');
      notes.push({
        provider,
        name,
        address: view.getBigUint64(start, true) + moved,
        semaphore: semaphore === 0n ? 0n : semaphore + moved,
        args,
      });
    }
    at = start + align(size);
  }
  return notes;
}

/** Sizes and places in `struct __bpf_usdt_spec`, which begins with its `struct __bpf_usdt_arg_spec`s. */
const ARG_BYTES = 16;
const SPEC = { cookie: MAX_ARGS * ARG_BYTES, count: MAX_ARGS * ARG_BYTES + 8 } as const;
const ARG_TYPES = { const: 0, register: 1, memory: 2, indexed: 3 } as const;

/** The spec of one place, as the program reads it. */
export function encodeUsdtSpec(args: readonly UsdtArgument[], cookie: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [i, arg] of args.entries()) {
    const at = i * ARG_BYTES;
    const index = arg.kind === 'memory' ? arg.index : undefined;
    view.setBigUint64(
      at,
      BigInt.asUintN(64, arg.kind === 'const' ? arg.value : arg.kind === 'memory' ? arg.offset : 0n),
      true,
    );
    const type = index ? ARG_TYPES.indexed : ARG_TYPES[arg.kind];
    const word = type | ((index?.register ?? 0) << 8) | ((index?.shift ?? 0) << 20);
    view.setUint32(at + 8, word, true);
    view.setInt16(at + 12, arg.kind === 'const' ? 0 : arg.register, true);
    view.setUint8(at + 14, arg.signed ? 1 : 0);
    view.setInt8(at + 15, 64 - arg.size * 8);
  }
  view.setBigUint64(SPEC.cookie, cookie, true);
  view.setInt16(SPEC.count, args.length, true);
  return bytes;
}

/** Whether the program was compiled with a header that knows memory by an index. */
function readsIndexed({ btf }: LoadedProgram): boolean {
  const id = btf?.find('__bpf_usdt_arg_spec', 'struct');
  if (btf === undefined || id === undefined) return false;
  return btf.typeOf(id, 'struct').members.some(({ name }) => name === 'scale_bitshift');
}

/** Numbers of specs that are in use, by the map that holds them. */
const used = new WeakMap<object, Set<number>>();

export interface UsdtOptions {
  /** Only this process; default every process. */
  readonly pid?: number;
  /** What `bpf_usdt_cookie` gives the program. */
  readonly cookie?: bigint;
}

/** The places of one probe; closing it gives their specs' room back. */
export class UsdtLink extends LinkGroup {
  readonly #release: () => void;

  constructor(links: LinkGroup['links'], release: () => void) {
    super(links);
    this.#release = release;
  }

  override close(): void {
    super.close();
    this.#release();
  }
}

/** Attaches to every place of a probe. @param path of the file, or its name in the usual folders */
export function attachUsdt(
  program: LoadedProgram,
  path: string,
  provider: string,
  name: string,
  options: UsdtOptions = {},
): UsdtLink {
  needType(program, ['kprobe'], 'USDT probes');
  const { kernel } = program;
  const map = program.maps.get(SPEC_MAP);
  if (!map) {
    throw attachError(
      program,
      `its object has no map ${SPEC_MAP}; include <bpf/usdt.bpf.h> and read the arguments with it`,
      'EINVAL',
    );
  }
  const file = findBinary(kernel, path);
  const binary = new Binary(kernel, file);
  const notes = readUsdtNotes(binary);
  const places = notes.filter((note) => note.provider === provider && note.name === name);
  if (places.length === 0) {
    const known = [...new Set(notes.map((note) => `${note.provider}:${note.name}`))].join(', ') || 'none';
    throw attachError(program, `${file} has no USDT probe ${provider}:${name}; it has: ${known}`, 'ENOENT');
  }
  const ids = used.get(map) ?? new Set<number>();
  used.set(map, ids);
  const { pid, cookie = 0n } = options;
  const valueSize = map.spec.valueSize;
  const taken: number[] = [];
  const release = () => {
    for (const id of taken.splice(0)) ids.delete(id);
  };
  const makers = places.map((note) => () => {
    const args = parseUsdtArguments(note.args, binary.elf.machine);
    if (args.some((arg) => arg.kind === 'memory' && arg.index) && !readsIndexed(program)) {
      throw attachError(
        program,
        'an argument of the probe is in memory by an index, which its usdt.bpf.h is too old to read; compile it with a newer one',
        'EINVAL',
      );
    }
    if (args.length > MAX_ARGS)
      throw attachError(program, `the probe has more than ${MAX_ARGS} arguments`, 'E2BIG');
    let id = 0;
    while (ids.has(id)) id++;
    if (id >= map.maxEntries) {
      throw attachError(
        program,
        `${SPEC_MAP} has room for ${map.maxEntries} places; enlarge it by maxEntries`,
        'E2BIG',
      );
    }
    const key = new Uint8Array(Uint32Array.of(id).buffer);
    kernel.bpf.map_update_elem({ map_fd: map.fd, key, value: encodeUsdtSpec(args, cookie, valueSize) });
    const link = attachUprobeAt(program, file, binary.offsetOf(note.address), {
      cookie: BigInt(id),
      ...(pid !== undefined && { pid }),
      ...(note.semaphore !== 0n && { refCounter: binary.offsetOf(note.semaphore) }),
    });
    ids.add(id);
    taken.push(id);
    return link;
  });
  try {
    return new UsdtLink([all(makers)], release);
  } catch (error) {
    release();
    throw error;
  }
}
