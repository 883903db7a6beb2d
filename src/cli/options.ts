/**
 * Command lines by table: each command says its positionals and options once, and parsing, checking and `help`
 * follow from that. Options may stand anywhere; `--` ends them.
 */
import { InputError } from '../base/error.ts';

/** An option of a command. One without `value` is a switch. */
export interface OptionFact {
  /** `--pcap`. */
  readonly name: string;
  /** `-o`. */
  readonly short?: string;
  /** Name of its value in the help (`FILE`). */
  readonly value?: string;
  /** The only values that it may have. */
  readonly choices?: readonly string[];
  readonly about: string;
}

interface PositionalFact {
  readonly name: string;
  readonly optional?: boolean;
  /** The words that it may be, for completion; the command checks them itself. */
  readonly choices?: readonly string[];
  /** Of the last one: it may be given many times. */
  readonly rest?: true;
}

/** What a command line says about a command: its name, what it takes, what it is for. */
export interface CommandFact {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly about: string;
  readonly positionals: readonly PositionalFact[];
  readonly options: readonly OptionFact[];
  /** Lines that follow the options in the command's help. */
  readonly notes?: string;
}

/** A parsed command line. */
export interface Arguments {
  /** By the positional's name. */
  readonly positionals: ReadonlyMap<string, string>;
  /** Every value of a positional that may be given many times. */
  readonly rest: readonly string[];
  /** By the option's long name; a switch that is given is `''`. */
  readonly options: ReadonlyMap<string, string>;
}

export const JSON_OPTION: OptionFact = { name: '--json', about: 'print JSON' };
const HELP_OPTION: OptionFact = { name: '--help', short: '-h', about: 'print this' };

/** Every option of a command, those that all have included. */
export function optionsOf(command: CommandFact): readonly OptionFact[] {
  return [...command.options, HELP_OPTION];
}

/** @throws InputError `cli-usage` saying what is wrong and how it is meant */
export function parseArguments(command: CommandFact, argv: readonly string[]): Arguments {
  const options = new Map<string, string>();
  const given: string[] = [];
  const known = optionsOf(command);
  let ended = false;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (ended || !word.startsWith('-') || word === '-') {
      given.push(word);
      continue;
    }
    if (word === '--') {
      ended = true;
      continue;
    }
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const name = equals < 0 ? word : word.slice(0, equals);
    const option = known.find((fact) => fact.name === name || fact.short === name);
    if (option === undefined) {
      const near = nearest(
        name,
        known.map((fact) => fact.name),
      );
      throw usage(
        command,
        `there is no option ${name}${near === undefined ? '' : `; did you mean ${near}?`}`,
      );
    }
    if (option.value === undefined) {
      if (equals >= 0) throw usage(command, `${option.name} takes no value`);
      options.set(option.name, '');
      continue;
    }
    const value = equals < 0 ? argv[++at] : word.slice(equals + 1);
    if (value === undefined) throw usage(command, `${option.name} needs a value (${option.value})`);
    if (option.choices !== undefined && !option.choices.includes(value)) {
      throw usage(command, `${option.name} is ${option.choices.join(' or ')}, not ${value}`);
    }
    options.set(option.name, value);
  }
  if (options.has('--help')) return { positionals: new Map(), rest: [], options };
  const positionals = new Map<string, string>();
  for (const [i, fact] of command.positionals.entries()) {
    const value = given[i];
    if (value !== undefined) positionals.set(fact.name, value);
    else if (!fact.optional) throw usage(command, `${fact.name} is missing`);
  }
  const last = command.positionals.length - 1;
  const rest = command.positionals[last]?.rest ? given.slice(last) : [];
  const extra = rest.length > 0 ? undefined : given[command.positionals.length];
  if (extra !== undefined) throw usage(command, `${extra} is one argument too many`);
  return { positionals, rest, options };
}

function usage(command: CommandFact, problem: string): InputError {
  return new InputError('cli-usage', `${problem} (usage: ${usageLine(command)})`);
}

/** `skep disasm OBJECT [--source]`. */
export function usageLine(command: CommandFact): string {
  const parts = [
    ...command.positionals.map((fact) => {
      const name = fact.rest ? `${fact.name}…` : fact.name;
      return fact.optional ? `[${name}]` : name;
    }),
    ...command.options.map((fact) => `[${optionText(fact)}]`),
  ];
  return ['skep', command.name, ...parts].join(' ');
}

export function optionText(option: OptionFact): string {
  const names = option.short === undefined ? option.name : `${option.short}, ${option.name}`;
  return option.value === undefined ? names : `${names} ${option.choices?.join('|') ?? option.value}`;
}

/** The word of a list that is spelled most alike, if any is close. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const scored = words.map((candidate) => ({ candidate, cost: distance(word, candidate) }));
  const best = scored.toSorted((a, b) => a.cost - b.cost)[0];
  return best !== undefined && best.cost <= Math.max(1, Math.floor(word.length / 3))
    ? best.candidate
    : undefined;
}

/** How many letters are to be put in, left out, changed, or swapped with their neighbour. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : changed;
      next.push(Math.min(changed, swapped, row[j]! + 1, next[j - 1]! + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** A whole number from 1 up. */
export function countOption(command: CommandFact, args: Arguments, name: string, otherwise: number): number {
  const text = args.options.get(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 0x7fff_ffff) {
    throw usage(command, `${name} is a whole number from 1 to 2147483647, not ${text}`);
  }
  return value;
}
