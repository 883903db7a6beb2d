/** Text for the trace log and into buffers. @see kernel/trace/bpf_trace.c; kernel/bpf/helpers.c, bpf_snprintf */

import { BTF_KINDS, type Btf, type BtfTypeId, resolveType, trySizeOf } from '../../../btf/index.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { type FormatMemory, type FormatProblem, format } from '../format.ts';
import { SHOW_FLAGS, showValue } from '../show-btf.ts';
import { addressError } from './probe.ts';
import { addr, err, size } from './values.ts';

const TRACE_LENGTH = 1024;
const MAX_ARGS = 12;

/** Bytes as characters of the same numbers: `TextDecoder` takes some of Latin-1's for others. */
function characters(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

const utf8 = new TextDecoder();
/** What a person sees of characters that are bytes. */
const shown = (text: string): string => utf8.decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));

function formatMemory({ machine: { memory } }: HelperRun): FormatMemory {
  const inside = (at: bigint, length: number) => {
    if (at + BigInt(length) > 0xffff_ffffn) return undefined;
    const region = memory.region(Number(at));
    return region && Number(at) + length <= region.end ? region : undefined;
  };
  return {
    bytes: (at, length) => (inside(at, length) ? memory.read(addr(at), length) : undefined),
    string: (at) => {
      const region = inside(at, 1);
      if (!region) return undefined;
      const bytes = memory.window(addr(at), region.end - Number(at));
      const end = bytes.indexOf(0);
      return characters(bytes.slice(0, end < 0 ? bytes.length : end));
    },
  };
}

/** The format's text, or `undefined` when no zero ends it. */
function formatAt({ machine: { memory } }: HelperRun, at: bigint, length: number): string | undefined {
  const bytes = memory.window(addr(at), length);
  const end = bytes.indexOf(0);
  return end < 0 ? undefined : characters(bytes.slice(0, end));
}

/** The arguments of the variants that take them as an array of 64-bit words. */
export function words({ machine: { memory } }: HelperRun, at: bigint, length: bigint): bigint[] | undefined {
  if (length % 8n !== 0n || length > BigInt(MAX_ARGS * 8) || (length > 0n && at === 0n)) return undefined;
  return Array.from({ length: size(length) / 8 }, (_, i) => memory.readU64(addr(at) + 8 * i));
}

/** The text of a format that a zero ends. @param room bytes that there are for it */
export function formatString(
  run: HelperRun,
  at: bigint,
  args: readonly bigint[],
  room?: number,
): { readonly text: string } | FormatProblem {
  const memory = formatMemory(run);
  const text = memory.string(at);
  return text === undefined ? 'EINVAL' : format(text, args, memory, room);
}

function trace(run: HelperRun, at: bigint, length: bigint, args: readonly bigint[] | undefined): number {
  const text = formatAt(run, at, size(length));
  const found = text === undefined || !args ? 'EINVAL' : format(text, args, formatMemory(run), TRACE_LENGTH);
  if (typeof found === 'string') return err(found);
  run.machine.trace(shown(found.text.slice(0, TRACE_LENGTH - 1).replace(/\n$/, '')));
  return found.text.length;
}

export const trace_printk: HelperImpl = (run, at, length, r3, r4, r5) => trace(run, at, length, [r3, r4, r5]);

export const trace_vprintk: HelperImpl = (run, at, length, data, dataLength) =>
  trace(run, at, length, words(run, data, dataLength));

/** @returns the length that the whole text has with its zero, whether or not it fits */
export const snprintf: HelperImpl = (run, out, outLength, formatPointer, data, dataLength) => {
  const args = words(run, data, dataLength);
  const room = size(outLength);
  const found = args ? formatString(run, formatPointer, args, room) : 'EINVAL';
  if (typeof found === 'string') return err(found);
  const result = found.text;
  if (room > 0) {
    const { memory } = run.machine;
    const fitting = Math.min(result.length, room - 1);
    for (let i = 0; i < fitting; i++) memory.u8[addr(out) + i] = result.charCodeAt(i);
    memory.u8[addr(out) + fitting] = 0;
  }
  return result.length + 1;
};

/** `struct btf_ptr`: the pointer, the type's id in the kernel's BTF, and flags that must be zero. */
const BTF_PTR = { pointer: 0, type: 8, size: 16 } as const;
/** Bytes of a value that are looked at; what is behind them shows as zeros. */
const MOST_SHOWN = 1 << 16;

/** Kinds that have no value to be shown. */
const VALUELESS: ReadonlySet<string> = new Set(['fwd', 'func', 'func_proto', 'float', 'decl_tag']);

/** The value of a type at an address as text, or a negative errno. */
function shownValue(
  run: HelperRun,
  btf: Btf,
  id: BtfTypeId,
  pointer: bigint,
  flags: number,
): string | number {
  const { kind } = resolveType(btf, id);
  if (kind !== 'void' && VALUELESS.has(kind)) return `<unsupported kind:${BTF_KINDS[kind].id}>`;
  const length = trySizeOf(btf, id);
  if (length === undefined) return err('EINVAL');
  const bytes = formatMemory(run).bytes(pointer, Math.min(length, MOST_SHOWN));
  return bytes ? showValue(btf, id, bytes, flags) : addressError(pointer);
}

/** @returns the length that the whole text has, whether or not it fits */
export const snprintf_btf: HelperImpl = (run, out, outLength, what, whatLength, flags) => {
  const { memory } = run.machine;
  const { btf } = run.kernel.world;
  if (Number(whatLength) !== BTF_PTR.size || flags & ~BigInt(SHOW_FLAGS)) return err('EINVAL');
  const id = memory.view.getInt32(addr(what) + BTF_PTR.type, true);
  if (!btf || id === 0) return err('EINVAL');
  if (id < 0 || id >= btf.endId) return err('ENOENT');
  const pointer = memory.readU64(addr(what) + BTF_PTR.pointer);
  const text = shownValue(run, btf, id as BtfTypeId, pointer, Number(flags));
  if (typeof text === 'number') return text;
  const room = size(outLength);
  const fitting = Math.min(text.length, room - 1);
  for (let i = 0; i < fitting; i++) memory.u8[addr(out) + i] = text.charCodeAt(i);
  memory.u8[addr(out) + fitting] = 0;
  return text.length;
};
