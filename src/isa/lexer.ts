/** Tokens of assembly text, shared by both notations. */
import { InputError } from '../base/error.ts';
import { ALU, JMP } from './opcodes.ts';

export interface Token {
  readonly kind: 'name' | 'number' | 'symbol' | 'end';
  /** As written; empty for `end`. */
  readonly text: string;
  /** The value of a number, without a sign. */
  readonly value: bigint;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
}

/** The operators of the tables that consist of punctuation, `s` in front of some; the longest match wins. */
const OPERATORS: readonly string[] = [
  ...new Set([...Object.values(ALU), ...Object.values(JMP)].map((fact) => fact.symbol)),
].sort((a, b) => b.length - a.length);

const SPACE = /[ \t\r]+/y;
const COMMENT = /\/\/.*|\/\*.*?\*\//y;
const NUMBER = /0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+/y;
const NAME = /%?[A-Za-z_.$][A-Za-z0-9_.$]*/y;
const PUNCTUATION = '()[]{},:;*+-=%&#@!~<>|^';

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/**
 * Splits one line. `#` begins a comment at the line's start and behind white space, since it also stands inside of
 * names (`bpf_map_lookup_elem#1`). The last token is `end`.
 *
 * @throws InputError `isa-asm` at a character that begins no token
 */
export function tokenize(text: string, line: number, what: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: Token['kind'], part: string, value = 0n) => {
    tokens.push({ kind, text: part, value, line, column: at + 1 });
    at += part.length;
  };
  while (at < text.length) {
    const skipped = match(SPACE, text, at) ?? match(COMMENT, text, at);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    if (text[at] === '#' && (at === 0 || /[\s;]/.test(text[at - 1]!))) break;
    const operator = OPERATORS.find((operator) => text.startsWith(operator, at));
    const number = match(NUMBER, text, at);
    const name = match(NAME, text, at);
    if (operator !== undefined) push('symbol', operator);
    else if (number !== undefined) push('number', number, BigInt(number));
    else if (name !== undefined) push('name', name);
    else if (PUNCTUATION.includes(text[at]!)) push('symbol', text[at]!);
    else {
      throw new InputError(
        'isa-asm',
        `${what}:${line}:${at + 1}: ${JSON.stringify(text[at])} begins no operand and no operator`,
      );
    }
  }
  push('end', '');
  return tokens;
}
