import { InputError } from '../../base/error.ts';
import { nearest } from '../options.ts';
import { Usage } from './refusal.ts';

/** Whether a word of the command line stands for a keyword: it may be cut short. */
export function isPrefix(word: string | undefined, keyword: string): boolean {
  return word !== undefined && keyword.startsWith(word);
}

/** The words of a command line, read from front to back. */
export class Words {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  get left(): number {
    return this.#words.length - this.#at;
  }

  get rest(): readonly string[] {
    return this.#words.slice(this.#at);
  }

  peek(ahead = 0): string | undefined {
    return this.#words[this.#at + ahead];
  }

  /** The next word. @throws Usage when there is none */
  take(): string {
    const word = this.peek();
    if (word === undefined) throw new Usage();
    this.#at++;
    return word;
  }

  skip(count = 1): void {
    this.#at += count;
  }

  /** Takes the next word if it stands for the keyword. */
  accept(keyword: string): boolean {
    if (!isPrefix(this.peek(), keyword)) return false;
    this.#at++;
    return true;
  }

  /** @throws InputError as bpftool says it when fewer words are left */
  need(count: number): void {
    if (this.left >= count) return;
    const before = this.#words[this.#at - 1] ?? '';
    throw new InputError('cli-words', `'${before}' needs at least ${count} arguments, ${this.left} found`);
  }

  /** @throws InputError when words are left over */
  end(): void {
    const word = this.peek();
    if (word !== undefined) throw unexpected(word);
  }

  /**
   * A number as strtoul(3) reads it: decimal, 0x… or 0….
   * @param what `max entries`
   */
  number(what: string): number {
    const word = this.take();
    const value = parseNumber(word);
    if (value === undefined) throw new InputError('cli-number', `can't parse ${word} as ${what}`);
    return value;
  }

  /** A sentence that names the keyword most alike, where one is. */
  near(keywords: readonly string[]): string {
    const word = this.peek();
    const found = word === undefined ? undefined : nearest(word, keywords);
    return found === undefined ? '' : `did you mean '${found}'?`;
  }
}

/** What bpftool says of a word that it can't place. */
export function unexpected(word: string): InputError {
  return new InputError('cli-words', `what is '${word}'?`);
}

/** The low 32 bits of a number in C's notation; `undefined` for what is none. */
export function parseNumber(word: string): number | undefined {
  const found = /^([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)$/.exec(word);
  if (!found) return undefined;
  const digits = found[2]!;
  if (/^0[0-7]*[89]/.test(digits)) return undefined;
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return Number(BigInt.asUintN(32, found[1] === '-' ? -value : value));
}
