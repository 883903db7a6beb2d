/**
 * What both assemblers share: walking a line's tokens, numbers and their ranges, labels and jump targets, and turning
 * the result into slots.
 */
import { InputError } from '../base/error.ts';
import { encode } from './encode.ts';
import { type Insn, type InsnIdx, type Reg, slots } from './insn.ts';
import { type Token, tokenize } from './lexer.ts';
import { MAX_REG } from './opcodes.ts';

export interface AsmOptions {
  /** The text's name, for messages; default `<asm>`. */
  readonly what?: string;
  readonly littleEndian?: boolean;
  /** Id of a helper, for `call bpf_map_lookup_elem`; a local label of that name comes first. */
  readonly helper?: (name: string) => number | undefined;
  /** A kernel function, for `call NAME` where NAME is neither label nor helper. */
  readonly kfunc?: (name: string) => { readonly btfId: number; readonly fdIdx: number } | undefined;
  /** Value of a name that stands for a number. */
  readonly constant?: (name: string) => bigint | undefined;
}

/** A program assembled from text. */
export interface Assembly {
  readonly bytes: Uint8Array;
  readonly insns: readonly Insn[];
  /** First slot behind each label. */
  readonly labels: ReadonlyMap<string, InsnIdx>;
  /** Line of the text, from 1, of each of `insns`. */
  readonly lines: readonly number[];
}

/** Where a jump goes: a distance in slots from the next instruction, or a label. */
export type Target = { readonly off: number } | { readonly label: Token };

/** An instruction that waits for its label's distance. */
export interface Pending {
  readonly target: Target;
  /** Bits of the field that the distance goes into. */
  readonly bits: 16 | 32;
  readonly make: (off: number) => Insn;
}

/** What a line's parser makes of one instruction. */
export type Parsed = Insn | Pending;

/** Walks the tokens of a line. Every failure names line, column, token and what was expected. */
export class Cursor {
  readonly options: AsmOptions;
  readonly what: string;
  private readonly tokens: readonly Token[];
  private at = 0;

  constructor(tokens: readonly Token[], options: AsmOptions) {
    this.tokens = tokens;
    this.options = options;
    this.what = options.what ?? '<asm>';
  }

  peek(ahead = 0): Token {
    return this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.at++;
    return token;
  }

  /** Whether the next token is `text`. */
  is(text: string): boolean {
    const token = this.peek();
    return token.kind !== 'end' && token.text === text;
  }

  /** Takes the tokens if they come next, in this order. */
  take(...texts: readonly string[]): boolean {
    const matches = texts.every((text, i) => {
      const token = this.peek(i);
      return token.kind !== 'end' && token.text === text;
    });
    if (matches) this.at += texts.length;
    return matches;
  }

  expect(...texts: readonly string[]): void {
    for (const text of texts) {
      if (!this.take(text)) this.fail(`expected ${JSON.stringify(text)}`);
    }
  }

  fail(why: string, token: Token = this.peek()): never {
    const found = token.kind === 'end' ? 'the end of the line' : JSON.stringify(token.text);
    throw new InputError('isa-asm', `${this.what}:${token.line}:${token.column}: ${why}, found ${found}`);
  }

  /** One of a table's keys by what the next token is. */
  choose<T>(choices: ReadonlyMap<string, T>, expected: string): T {
    const choice = choices.get(this.peek().text);
    if (choice === undefined || this.peek().kind === 'end') return this.fail(`expected ${expected}`);
    this.next();
    return choice;
  }

  /** A sum of numbers with signs, or of names that stand for numbers. @param expected what it is, for messages */
  number(min: bigint, max: bigint, expected: string): bigint {
    const start = this.peek();
    let value = this.term(expected);
    while (this.is('+') || this.is('-')) value += this.term(expected);
    if (value < min || value > max) {
      this.fail(`expected ${expected} from ${min} to ${max}, not ${value}`, start);
    }
    return value;
  }

  private term(expected: string): bigint {
    let sign = 1n;
    for (;;) {
      if (this.take('-')) sign = -sign;
      else if (!this.take('+')) break;
    }
    const token = this.peek();
    if (token.kind === 'name') {
      const value = this.options.constant?.(token.text);
      if (value !== undefined) {
        this.next();
        return sign * value;
      }
    }
    if (token.kind !== 'number') this.fail(`expected ${expected}`);
    this.next();
    return sign * token.value;
  }

  /** A 32-bit immediate, signed or unsigned; the result is signed. */
  imm32(): number {
    return Number(BigInt.asIntN(32, this.number(-(2n ** 31n), 2n ** 32n - 1n, 'a 32-bit number')));
  }

  /** An unsigned 32-bit number. */
  u32(expected: string): number {
    return Number(this.number(0n, 2n ** 32n - 1n, expected));
  }

  s32(expected: string): number {
    return Number(this.number(-(2n ** 31n), 2n ** 31n - 1n, expected));
  }

  /** A 64-bit immediate, signed or unsigned; the result is unsigned. */
  imm64(): bigint {
    return BigInt.asUintN(64, this.number(-(2n ** 63n), 2n ** 64n - 1n, 'a 64-bit number'));
  }

  off16(expected: string): number {
    return Number(this.number(-0x8000n, 0x7fffn, expected));
  }

  /** Whether a jump target's distance or label comes next. */
  target(): Target {
    const token = this.peek();
    if (
      token.kind === 'name' &&
      token.text === 'pc' &&
      (this.peek(1).text === '+' || this.peek(1).text === '-')
    ) {
      this.next();
    } else if (token.kind === 'name') {
      this.next();
      return { label: token };
    } else if (token.kind === 'number' && /^[fb]$/.test(this.peek(1).text) && this.adjacent()) {
      this.next();
      const direction = this.next();
      return { label: { ...token, kind: 'name', text: token.text + direction.text } };
    }
    return { off: this.s32('a label or a distance in instructions') };
  }

  private adjacent(): boolean {
    const token = this.peek();
    return this.peek(1).column === token.column + token.text.length;
  }
}

/** A register's number and, where the notation tells it, its width. */
export interface RegToken {
  readonly reg: Reg;
  readonly width: 32 | 64;
}

/** The register that a token names, or `undefined`. @param prefix what stands before the `r` or `w` */
export function registerOf(token: Token, prefix: '' | '%'): RegToken | undefined {
  const match = /^(%?)([rw])([0-9]+)$/.exec(token.kind === 'name' ? token.text : '');
  if (match === null || match[1] !== prefix) return undefined;
  const reg = Number(match[3]);
  if (reg > MAX_REG || match[3] !== String(reg)) return undefined;
  return { reg: reg as Reg, width: match[2] === 'w' ? 32 : 64 };
}

interface Line {
  readonly parsed: Parsed;
  readonly start: number;
  readonly line: number;
}

/**
 * Assembles a text line by line; labels, comments and `;` are dealt with here.
 *
 * @param parse reads one instruction
 * @param implicitExit a jump to `exit`, where no label has that name, goes to the first `exit` instruction
 */
export function assembleText(
  text: string,
  options: AsmOptions,
  parse: (cursor: Cursor) => Parsed,
  implicitExit = false,
): Assembly {
  const what = options.what ?? '<asm>';
  const labels = new Map<string, InsnIdx>();
  // Numeric labels may be defined again: a reference says which way to look.
  const numeric: { readonly name: string; readonly at: number }[] = [];
  const lines: Line[] = [];
  let slot = 0;
  for (const [index, source] of text.split('\n').entries()) {
    const cursor = new Cursor(tokenize(source, index + 1, what), options);
    while (cursor.peek().kind !== 'end') {
      if (cursor.take(';')) continue;
      const token = cursor.peek();
      if (token.kind !== 'symbol' && cursor.peek(1).text === ':' && cursor.peek(1).kind === 'symbol') {
        if (token.kind === 'number') numeric.push({ name: token.text, at: slot });
        else if (labels.has(token.text)) cursor.fail(`label ${token.text} is defined twice`);
        else labels.set(token.text, slot as InsnIdx);
        cursor.next();
        cursor.next();
        continue;
      }
      const parsed = parse(cursor);
      if (cursor.peek().kind !== 'end' && !cursor.is(';')) {
        cursor.fail('expected the end of the instruction');
      }
      lines.push({ parsed, start: slot, line: index + 1 });
      slot += 'target' in parsed && 'make' in parsed ? slots(parsed.make(0)) : slots(parsed);
    }
  }
  const exit = implicitExit
    ? lines.find(({ parsed }) => 'kind' in parsed && parsed.kind === 'exit')?.start
    : undefined;
  const place = (label: Token, from: number): number | undefined => {
    const way = /^([0-9]+)([fb])$/.exec(label.text);
    if (way === null) return labels.get(label.text) ?? (label.text === 'exit' ? exit : undefined);
    const same = numeric.filter((other) => BigInt(other.name) === BigInt(way[1]!));
    return way[2] === 'f'
      ? same.find((other) => other.at > from)?.at
      : same.findLast((other) => other.at <= from)?.at;
  };
  const insns = lines.map((line) => resolve(line, place, what));
  return {
    bytes: encode(insns, options.littleEndian ?? true),
    insns,
    labels,
    lines: lines.map((line) => line.line),
  };
}

function resolve(
  { parsed, start, line }: Line,
  place: (label: Token, from: number) => number | undefined,
  what: string,
): Insn {
  if (!('make' in parsed)) return parsed;
  const { target, bits, make } = parsed;
  let off: number;
  if ('off' in target) {
    off = target.off;
  } else {
    const to = place(target.label, start);
    const { column, text } = target.label;
    if (to === undefined) {
      throw new InputError('isa-asm', `${what}:${line}:${column}: there is no label ${text}`);
    }
    off = to - start - slots(make(0));
  }
  const limit = 2 ** (bits - 1);
  if (off < -limit || off >= limit) {
    throw new InputError(
      'isa-asm',
      `${what}:${line}: a jump over ${off} instructions does not fit into ${bits} bits; use the wide jump (gotol, ja32)`,
    );
  }
  return make(off);
}
