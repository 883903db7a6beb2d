/**
 * The formats of `bpf_trace_printk`, `bpf_trace_vprintk` and `bpf_snprintf`: a part of printk's.
 *
 * @see kernel/bpf/helpers.c, bpf_bprintf_prepare; Documentation/core-api/printk-formats.rst
 */

/** One conversion of a format. */
interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly kind: 'd' | 'u' | 'x' | 'X' | 'c' | 's' | 'pointer' | 'symbol' | 'ip4' | 'ip6';
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

const isEnd = (char: string | undefined): boolean =>
  char === undefined || /\s/.test(char) || /[!-/:-@[-`{-~]/.test(char);

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
    if (!/[\x20-\x7e\t-\r]/.test(char)) return undefined;
    if (char !== '%') {
      text += char;
      continue;
    }
    if (format[i + 1] === '%') {
      text += '%';
      i++;
      continue;
    }
    const match = /^([0 +-]*)([1-9]\d*)?(pks|pus|p[xKsSB]|p[iI][46]|p|s|c|(ll|l|z)?[idxXu])/.exec(
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
  if (spec === 'pB') return { ...base, kind: 'symbol' };
  if (/^p[iI][46]$/.test(spec)) {
    return { ...base, kind: spec[2] === '4' ? 'ip4' : 'ip6', bare: spec[1] === 'i' };
  }
  if (spec.startsWith('p')) return { ...base, kind: 'pointer' };
  const last = spec.at(-1)!;
  const kind = last === 'i' ? 'd' : last;
  return kind === 'd' || kind === 'u' || kind === 'x' || kind === 'X' ? { ...base, kind } : undefined;
}

/**
 * Formats text.
 * @returns the text, or `undefined` where Linux says EINVAL: a conversion that is not allowed, or more conversions
 *   than arguments
 */
export function format(text: string, args: readonly bigint[], memory: FormatMemory): string | undefined {
  const pieces = parse(text);
  if (!pieces) return undefined;
  let next = 0;
  let out = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      out += piece;
      continue;
    }
    const arg = args[next++];
    if (arg === undefined) return undefined;
    out += render(piece, arg, memory);
  }
  return out;
}

function render(conversion: Conversion, arg: bigint, memory: FormatMemory): string {
  const { kind, bits, bare } = conversion;
  switch (kind) {
    case 'd': {
      const value = BigInt.asIntN(bits, arg);
      const sign =
        value < 0n ? '-' : conversion.flags.includes('+') ? '+' : conversion.flags.includes(' ') ? ' ' : '';
      return padNumber(conversion, sign, `${value < 0n ? -value : value}`);
    }
    case 'u':
      return padNumber(conversion, '', `${BigInt.asUintN(bits, arg)}`);
    case 'x':
    case 'X': {
      const digits = BigInt.asUintN(bits, arg).toString(16);
      return padNumber(conversion, '', kind === 'X' ? digits.toUpperCase() : digits);
    }
    case 'c':
      return padText(conversion, String.fromCharCode(Number(arg & 0xffn)));
    case 's':
      return padText(conversion, memory.string(arg) ?? '');
    case 'pointer':
    case 'symbol':
      return padText(
        conversion,
        kind === 'symbol' ? `0x${arg.toString(16)}` : arg.toString(16).padStart(16, '0'),
      );
    case 'ip4':
    case 'ip6':
      return padText(conversion, ipText(memory.bytes(arg, kind === 'ip4' ? 4 : 16), kind, bare));
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
