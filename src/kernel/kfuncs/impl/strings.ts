/**
 * Strings anywhere in memory: what can't be read is `EFAULT`, what has no end within 64 KiB `E2BIG`.
 *
 * @see kernel/bpf/helpers.c, bpf_strcmp and the functions behind it
 */
import { addressError } from '../../helpers/impl/probe.ts';
import { err } from '../../helpers/impl/values.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';

/** `XATTR_SIZE_MAX`. */
const MOST = 65_536;

/** Reads bytes; throws an errno where there are none. */
class Text {
  readonly #u8: Uint8Array;
  readonly #at: number;
  readonly #end: number;

  constructor({ machine: { memory } }: HelperRun, pointer: bigint) {
    const region = pointer < 0xffff_ffffn ? memory.region(Number(pointer)) : undefined;
    // Where the kernel could have memory, only the byte that is read can be missing.
    if (!region && addressError(pointer) === err('ERANGE')) throw new Unreadable(err('ERANGE'));
    this.#u8 = memory.u8;
    this.#at = Number(pointer);
    this.#end = region?.end ?? 0;
  }

  byte(index: number): number {
    if (this.#at + index >= this.#end) throw new Unreadable(err('EFAULT'));
    return this.#u8[this.#at + index]!;
  }
}

class Unreadable {
  readonly status: number;

  constructor(status: number) {
    this.status = status;
  }
}

function reading(work: () => number): number {
  try {
    return work();
  } catch (error) {
    if (error instanceof Unreadable) return error.status;
    throw error;
  }
}

const lower = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

function compare(run: HelperRun, a: bigint, b: bigint, fold: (byte: number) => number): number {
  return reading(() => {
    const [left, right] = [new Text(run, a), new Text(run, b)];
    for (let i = 0; i < MOST; i++) {
      const [one, other] = [fold(left.byte(i)), fold(right.byte(i))];
      if (one !== other) return one < other ? -1 : 1;
      if (one === 0) return 0;
    }
    return err('E2BIG');
  });
}

export const bpf_strcmp: HelperImpl = (run, a, b) => compare(run, a, b, (byte) => byte);
export const bpf_strcasecmp: HelperImpl = (run, a, b) => compare(run, a, b, lower);

export const bpf_strnchr: HelperImpl = (run, string, count, char) =>
  find(run, string, count, Number(char & 0xffn));
export const bpf_strchr: HelperImpl = (run, string, char) =>
  find(run, string, BigInt(MOST), Number(char & 0xffn));

/** The first place of a byte; the zero that ends the string can be found, too. */
function find(run: HelperRun, string: bigint, count: bigint, char: number): number {
  return reading(() => {
    const text = new Text(run, string);
    for (let i = 0; i < MOST && BigInt(i) < count; i++) {
      const byte = text.byte(i);
      if (byte === char) return i;
      if (byte === 0) return err('ENOENT');
    }
    return count < BigInt(MOST) ? err('ENOENT') : err('E2BIG');
  });
}

export const bpf_strchrnul: HelperImpl = (run, string, char) =>
  reading(() => {
    const text = new Text(run, string);
    for (let i = 0; i < MOST; i++) {
      const byte = text.byte(i);
      if (byte === 0 || byte === Number(char & 0xffn)) return i;
    }
    return err('E2BIG');
  });

export const bpf_strrchr: HelperImpl = (run, string, char) =>
  reading(() => {
    const text = new Text(run, string);
    let last = err('ENOENT');
    for (let i = 0; i < MOST; i++) {
      const byte = text.byte(i);
      if (byte === Number(char & 0xffn)) last = i;
      if (byte === 0) return last;
    }
    return err('E2BIG');
  });

function length(run: HelperRun, string: bigint, count: bigint): number {
  return reading(() => {
    const text = new Text(run, string);
    let i = 0;
    for (; i < MOST && BigInt(i) < count; i++) if (text.byte(i) === 0) return i;
    return i === MOST ? err('E2BIG') : i;
  });
}

export const bpf_strnlen: HelperImpl = (run, string, count) => length(run, string, count);
export const bpf_strlen: HelperImpl = (run, string) => length(run, string, BigInt(MOST));

/** Bytes at the string's start that are (or are not) in a set. */
function span(run: HelperRun, string: bigint, set: bigint, inSet: boolean): number {
  return reading(() => {
    const [text, others] = [new Text(run, string), new Text(run, set)];
    for (let i = 0; i < MOST; i++) {
      const byte = text.byte(i);
      if (byte === 0) return i;
      let j = 0;
      for (; j < MOST; j++) {
        const other = others.byte(j);
        if (other === 0 || other === byte) break;
      }
      if (j === MOST) return err('E2BIG');
      if ((others.byte(j) === byte) !== inSet) return i;
    }
    return err('E2BIG');
  });
}

export const bpf_strspn: HelperImpl = (run, string, accept) => span(run, string, accept, true);
export const bpf_strcspn: HelperImpl = (run, string, reject) => span(run, string, reject, false);

/** Where a string begins in the first `count` bytes of another one. */
function search(run: HelperRun, string: bigint, wanted: bigint, count: bigint): number {
  return reading(() => {
    const [text, part] = [new Text(run, string), new Text(run, wanted)];
    for (let i = 0; i < MOST; i++) {
      for (let j = 0; ; j++) {
        if (j === MOST) return err('E2BIG');
        const byte = part.byte(j);
        if (byte === 0) return i;
        if (BigInt(i + j) >= count) return err('ENOENT');
        const here = text.byte(i + j);
        if (here === 0) return err('ENOENT');
        if (here !== byte) break;
      }
    }
    return err('E2BIG');
  });
}

export const bpf_strnstr: HelperImpl = (run, string, wanted, count) => search(run, string, wanted, count);
export const bpf_strstr: HelperImpl = (run, string, wanted) => search(run, string, wanted, BigInt(MOST));
