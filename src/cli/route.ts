/**
 * Where a command line is to be run, found out without loading anything: most of them are run by the kernel process, and
 * the client that hands them over must start fast.
 */
import { InputError } from '../base/error.ts';

/** How a command line is to be read and where it is to run. */
export interface Route {
  /** Whose grammar: bpftool's (`OBJECT COMMAND`), or that of skep's own commands. */
  readonly grammar: 'bpftool' | 'own';
  readonly kernel: 'embedded' | 'linux';
  /** The kernel process that is to run it; absent for this process. */
  readonly instance?: string;
  /** Without the options that said so. */
  readonly argv: readonly string[];
}

/** First words that are skep's own commands; they read their options themselves. */
const OWN = new Set(['run', 'verify', 'disasm', 'asm', 'kernel', 'completion']);
/** Objects of bpftool's grammar, by which abbreviations are told apart. */
const OBJECTS = [
  'help',
  'batch',
  'prog',
  'map',
  'link',
  'cgroup',
  'perf',
  'net',
  'feature',
  'btf',
  'gen',
  'struct_ops',
  'iter',
  'token',
  'version',
  'fs',
  'tc',
  'ip',
];
/** Those that need no kernel. */
const ALONE = new Set(['help', 'version', 'gen']);
const VALUED = new Set(['-B', '--base-btf', '-k', '-i']);
const DEFAULT_INSTANCE = 'default';

/** @throws InputError for options that are not what they should be */
export function routeOf(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Route {
  let kernel = env.SKEP_KERNEL;
  let instance = env.SKEP_INSTANCE;
  let ephemeral = false;
  const rest: string[] = [];
  const words: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const value = (name: string): string | undefined => {
      if (word === name) {
        const next = argv[++at];
        if (next === undefined) throw new InputError('cli-usage', `${name} needs a value`);
        return next;
      }
      return word.startsWith(`${name}=`) ? word.slice(name.length + 1) : undefined;
    };
    const ofKernel = value('--kernel');
    if (ofKernel !== undefined) {
      kernel = ofKernel;
      continue;
    }
    const ofInstance = value('--instance');
    if (ofInstance !== undefined) {
      instance = ofInstance;
      continue;
    }
    if (word === '--ephemeral') {
      ephemeral = true;
      continue;
    }
    rest.push(word);
    if (VALUED.has(word)) rest.push(argv[++at] ?? '');
    else if (!word.startsWith('-') || word === '-') words.push(word);
    if (words.length === 1 && OWN.has(words[0]!)) return { grammar: 'own', kernel: 'embedded', argv };
  }
  const object = OBJECTS.find((name) => words[0] !== undefined && name.startsWith(words[0]));
  if (object === undefined || isOverview(object, words, rest))
    return { grammar: 'own', kernel: 'embedded', argv };
  if (kernel !== undefined && kernel !== 'embedded' && kernel !== 'linux') {
    throw new InputError('cli-usage', `--kernel (or SKEP_KERNEL) is embedded or linux, not ${kernel}`);
  }
  const route = { grammar: 'bpftool', kernel: kernel ?? 'embedded', argv: rest } as const;
  const here =
    kernel === 'linux' || ephemeral || ALONE.has(object) || words[1] === 'help' || readsFile(words);
  return here ? route : { ...route, instance: instance ?? DEFAULT_INSTANCE };
}

/** `skep help COMMAND` of one of skep's own commands, or `help` of itself. */
function isOverview(object: string, words: readonly string[], rest: readonly string[]): boolean {
  if (object !== 'help' || words[0] !== 'help') return false;
  return rest.length === words.length || (words.length === 1 && /^(--help|-h)$/.test(rest[1] ?? ''));
}

/** `btf dump file …`. */
function readsFile(words: readonly string[]): boolean {
  const [object = '', command = '', source = ''] = words;
  return (
    object.length > 1 &&
    'btf'.startsWith(object) &&
    'dump'.startsWith(command) &&
    source.length > 0 &&
    'file'.startsWith(source)
  );
}
