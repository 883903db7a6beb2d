/**
 * The formats of `bpf_trace_printk`, `bpf_trace_vprintk` and `bpf_snprintf`: a part of printk's.
 *
 * @see kernel/bpf/helpers.c, bpf_bprintf_prepare; Documentation/core-api/printk-formats.rst
 */

/** One conversion of a format. */
interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly kind: 'd' | 'u' | 'x' | 'X' | 'c' | 's' | 'pointer' | 'symbol' | 'trace' | 'ip4' | 'ip6';
  /** Bits of an integer. */
  readonly bits: 32 | 64;
  /** IP addresses: without separators. */
  readonly bare: boolean;
}

type Piece = string | Conversion;

/** What conversions of pointers read. */
export interface FormatMemory {
  /** The bytes at an address, as many as are mapped; `undefined` where nothing is. */
  bytes(addr: bigint, size: number): Uint8Array | undefined;
  /** The string at an address up to its zero; `undefined` where nothing is mapped. */
  string(addr: bigint): string | undefined;
}

const ALNUM = /[0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]/;

/** What may follow a conversion of a pointer or a string: nothing, space or punctuation, of Latin-1. @see lib/ctype.c */
const isEnd = (char: string | undefined): boolean =>
  char === undefined || (!ALNUM.test(char) && /[\s!-~\u00a0-\u00ff]/.test(char));

/** How many arguments a format takes, or `undefined` where Linux says EINVAL. */
export function countConversions(format: string): number | undefined {
  return parse(format)?.filter((piece) => typeof piece !== 'string').length;
}

/** The pieces of a format, or `undefined` where Linux says EINVAL. */
function parse(format: string): Piece[] | undefined {
  const pieces: Piece[] = [];
  let text = '';
  for (let i = 0; i < format.length; i++) {
    const char = format[i]!;
    // Text may have bytes beyond ASCII, conversions may not.
    if (!/[\x20-\x7e\t-\r\x80-\xff]/.test(char)) return undefined;
    if (char !== '%') {
      text += char;
      continue;
    }
    if (format[i + 1] === '%') {
      text += '%';
      i++;
      continue;
    }
    const match = /^([0 +-]*)([1-9]\d*)?(pks|pus|p[xKsSB]|p[iI][46]|p|s|c|(ll|l)?[idxXu])/.exec(
      format.slice(i + 1),
    );
    if (!match) return undefined;
    const [all, flags = '', width = '0', spec = '', length] = match;
    const conversion = convert(spec, length, flags, Number(width));
    i += all.length;
    const pointerOrString = spec.startsWith('p') || spec === 's';
    if (!conversion || (pointerOrString && spec.length !== 2 && !isEnd(format[i + 1]))) return undefined;
    if (text !== '') pieces.push(text);
    text = '';
    pieces.push(conversion);
  }
  if (text !== '') pieces.push(text);
  return pieces;
}

function convert(
  spec: string,
  length: string | undefined,
  flags: string,
  width: number,
): Conversion | undefined {
  const base = { flags, width, bits: length === undefined ? 32 : 64, bare: false } as const;
  if (spec === 's' || spec === 'pks' || spec === 'pus') return { ...base, kind: 's' };
  if (spec === 'c') return { ...base, kind: 'c' };
  if (spec === 'pB') return { ...base, kind: 'trace' };
  if (spec === 'ps' || spec === 'pS') return { ...base, kind: 'symbol', bits: 64 };
  if (/^p[iI][46]$/.test(spec)) {
    return { ...base, kind: spec[2] === '4' ? 'ip4' : 'ip6', bare: spec[1] === 'i' };
  }
  if (spec.startsWith('p')) return { ...base, kind: 'pointer', bits: 64 };
  const last = spec.at(-1)!;
  const kind = last === 'i' ? 'd' : last;
  return kind === 'd' || kind === 'u' || kind === 'x' || kind === 'X' ? { ...base, kind } : undefined;
}

/** Why a format is not printed: a conversion that is not allowed or lacks its argument, or too much for the buffer. */
export type FormatProblem = 'EINVAL' | 'ENOSPC';

/** Bytes of the buffer that arguments are gathered in. @see include/linux/bpf.h, MAX_BPRINTF_BIN_ARGS */
const GATHERED = 512;

/** Kinds whose text is made while arguments are gathered, and copied as it is. */
const READY: ReadonlySet<Conversion['kind']> = new Set<Conversion['kind']>(['ip4', 'ip6', 'trace']);

/**
 * Formats text, whose characters are bytes.
 * @param room bytes that there are for it, with its zero: addresses that begin behind them are left out, and what follows
 *   takes their bytes for its argument
 * @returns the text, of any length
 */
export function format(
  text: string,
  args: readonly bigint[],
  memory: FormatMemory,
  room = Number.POSITIVE_INFINITY,
): { readonly text: string } | FormatProblem {
  const pieces = parse(text);
  if (!pieces) return 'EINVAL';
  const gathered = new Gathered();
  let count = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') continue;
    const arg = args[count++];
    if (arg === undefined) return 'EINVAL';
    if (!gather(gathered, piece, arg, memory)) return 'ENOSPC';
  }
  gathered.rewind();
  let out = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') out += piece;
    else if (!READY.has(piece.kind)) out += render(piece, gathered);
    else if (out.length < room) out += gathered.string();
  }
  return { text: out };
}

/** The buffer that arguments are gathered in: strings with their zeros, numbers at multiples of 4 bytes. */
class Gathered {
  readonly #bytes = new DataView(new ArrayBuffer(GATHERED + 16));
  #at = 0;

  get left(): number {
    return GATHERED - this.#at;
  }

  rewind(): void {
    this.#at = 0;
  }

  /** @returns whether there was room */
  putNumber(value: bigint, size: 1 | 4 | 8): boolean {
    if (size > 1) this.#align();
    if (this.left < size) return false;
    if (size === 8) this.#bytes.setBigUint64(this.#at, BigInt.asUintN(64, value), true);
    else if (size === 4) this.#bytes.setUint32(this.#at, Number(value & 0xffff_ffffn), true);
    else this.#bytes.setUint8(this.#at, Number(value & 0xffn));
    this.#at += size;
    return true;
  }

  /** What does not fit is cut off. @param least bytes that there must be */
  putString(text: string, least: number): boolean {
    if (this.left < least) return false;
    const kept = text.slice(0, this.left - 1);
    for (let i = 0; i < kept.length; i++) this.#bytes.setUint8(this.#at + i, kept.charCodeAt(i));
    this.#bytes.setUint8(this.#at + kept.length, 0);
    this.#at += kept.length + 1;
    return true;
  }

  number(size: 1 | 4 | 8): bigint {
    if (size > 1) this.#align();
    const at = Math.min(this.#at, GATHERED);
    this.#at += size;
    if (size === 8) return this.#bytes.getBigUint64(at, true);
    return BigInt(size === 4 ? this.#bytes.getUint32(at, true) : this.#bytes.getUint8(at));
  }

  string(): string {
    let text = '';
    for (; this.#at < GATHERED; this.#at++) {
      const byte = this.#bytes.getUint8(this.#at);
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    this.#at += 1;
    return text;
  }

  #align(): void {
    this.#at = Math.ceil(this.#at / 4) * 4;
  }
}

/** @returns whether there was room for the argument */
function gather(
  gathered: Gathered,
  { kind, bits, bare }: Conversion,
  arg: bigint,
  memory: FormatMemory,
): boolean {
  switch (kind) {
    case 's':
      return gathered.putString(memory.string(arg) ?? '', 1);
    case 'c':
      return gathered.putNumber(arg, 1);
    case 'ip4':
    case 'ip6': {
      const size = kind === 'ip4' ? 4 : 16;
      return gathered.putString(ipText(memory.bytes(arg, size), kind, bare), size);
    }
    case 'trace':
      return gathered.putString(`0x${arg.toString(16)}`, 1);
    default:
      return gathered.putNumber(arg, bits === 64 ? 8 : 4);
  }
}

function render(conversion: Conversion, gathered: Gathered): string {
  const { kind, bits, flags, width } = conversion;
  if (kind === 's') return padText(conversion, gathered.string());
  if (kind === 'c') return padText(conversion, String.fromCharCode(Number(gathered.number(1))));
  const arg = gathered.number(bits === 64 ? 8 : 4);
  switch (kind) {
    case 'd': {
      const value = BigInt.asIntN(bits, arg);
      const sign = value < 0n ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
      return padNumber(conversion, sign, `${value < 0n ? -value : value}`);
    }
    case 'x':
    case 'X': {
      const digits = arg.toString(16);
      return padNumber(conversion, '', kind === 'X' ? digits.toUpperCase() : digits);
    }
    case 'pointer':
      return width > 0 ? padNumber(conversion, '', arg.toString(16)) : arg.toString(16).padStart(16, '0');
    case 'symbol':
      return padText(conversion, `0x${arg.toString(16)}`);
    default:
      return padNumber(conversion, '', `${arg}`);
  }
}

/** An address that can't be read is shown as zeros. */
function ipText(found: Uint8Array | undefined, kind: 'ip4' | 'ip6', bare: boolean): string {
  const bytes = found ?? new Uint8Array(kind === 'ip4' ? 4 : 16);
  if (kind === 'ip4') return [...bytes].map((b) => (bare ? String(b).padStart(3, '0') : String(b))).join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return words.map((word) => word.padStart(4, '0')).join(bare ? '' : ':');
}

function padNumber({ flags, width }: Conversion, sign: string, digits: string): string {
  if (flags.includes('-')) return (sign + digits).padEnd(width);
  if (flags.includes('0')) return sign + digits.padStart(width - sign.length, '0');
  return (sign + digits).padStart(width);
}

function padText({ flags, width }: Conversion, text: string): string {
  return flags.includes('-') ? text.padEnd(width) : text.padStart(width);
}
