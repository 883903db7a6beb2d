/** The options that stand anywhere in a command line of bpftool's grammar. */

export interface Flags {
  readonly json: boolean;
  readonly pretty: boolean;
  /** Show the paths that objects are pinned at. */
  readonly bpffs: boolean;
  /** Verifier logs and the loader's notes. */
  readonly debug: boolean;
  /** Accept what map definitions say beyond what is known. */
  readonly mapcompat: boolean;
  /** Mount no BPF file system. */
  readonly nomount: boolean;
  readonly useLoader: boolean;
  /** Sign the loader program. */
  readonly sign: boolean;
  readonly privateKey: string | undefined;
  readonly certificate: string | undefined;
  readonly baseBtf: string | undefined;
  /** Skeletons are to be C, for this version of libbpf; empty where none is said. */
  readonly c: string | undefined;
  readonly version: boolean;
  readonly help: boolean;
  /** The option that is not known, as it stands in the command line. */
  readonly unknown: string | undefined;
}

type Switch = Exclude<keyof Flags, 'baseBtf' | 'privateKey' | 'certificate' | 'c' | 'unknown'>;

interface FlagFact {
  readonly long: string;
  readonly sets: readonly Switch[];
}

/** By letter. `legacy` asks for what is always so here. */
const SWITCHES: Readonly<Record<string, FlagFact>> = {
  V: { long: 'version', sets: ['version'] },
  h: { long: 'help', sets: ['help'] },
  p: { long: 'pretty', sets: ['json', 'pretty'] },
  j: { long: 'json', sets: ['json'] },
  f: { long: 'bpffs', sets: ['bpffs'] },
  L: { long: 'use-loader', sets: ['useLoader'] },
  S: { long: 'sign', sets: ['sign', 'useLoader'] },
  m: { long: 'mapcompat', sets: ['mapcompat'] },
  n: { long: 'nomount', sets: ['nomount'] },
  d: { long: 'debug', sets: ['debug'] },
  l: { long: 'legacy', sets: [] },
};
/** The long name of an option with a value. */
const BASE_BTF = 'base-btf';
/** Options with a value, by letter. */
const VALUED = { B: 'baseBtf', k: 'privateKey', i: 'certificate' } as const;
/** Its value can only stand behind `=`. */
const C = 'c';
const LONG_NAMES = [...Object.values(SWITCHES).map(({ long }) => long), BASE_BTF, C];

/** Long options, without their dashes. */
export const FLAG_NAMES: readonly string[] = LONG_NAMES;

function isValued(letter: string): letter is keyof typeof VALUED {
  return Object.hasOwn(VALUED, letter);
}

/** Splits a command line as getopt_long(3) does: options anywhere, letters together, long names cut short. */
export function parseFlags(argv: readonly string[]): { readonly flags: Flags; readonly words: string[] } {
  const set = new Set<Switch>();
  const values: { baseBtf?: string; privateKey?: string; certificate?: string } = {};
  let c: string | undefined;
  let unknown: string | undefined;
  const words: string[] = [];
  const apply = (letter: string): boolean => {
    const fact = SWITCHES[letter];
    for (const name of fact?.sets ?? []) set.add(name);
    return fact !== undefined;
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '--') {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      words.push(word);
      continue;
    }
    if (word.startsWith('--')) {
      const [name = '', value] = word.slice(2).split('=', 2);
      const matches = LONG_NAMES.filter((long) => long.startsWith(name));
      const long = matches.includes(name) ? name : matches.length === 1 ? matches[0] : undefined;
      if (long === BASE_BTF) {
        const given = value ?? argv[++at];
        if (given === undefined) unknown ??= word;
        else values.baseBtf = given;
      } else if (long === C) c = value ?? '';
      else {
        const letter = Object.keys(SWITCHES).find((key) => SWITCHES[key]!.long === long);
        if (letter === undefined || value !== undefined) unknown ??= word;
        else apply(letter);
      }
    } else {
      for (let i = 1; i < word.length; i++) {
        const letter = word[i]!;
        if (isValued(letter)) {
          const given = i + 1 < word.length ? word.slice(i + 1) : argv[++at];
          if (given === undefined) unknown ??= word;
          else values[VALUED[letter]] = given;
          break;
        }
        if (!apply(letter)) unknown ??= word;
      }
    }
    if (unknown !== undefined) break;
  }
  const has = (name: Switch) => set.has(name);
  return {
    flags: {
      json: has('json'),
      pretty: has('pretty'),
      bpffs: has('bpffs'),
      debug: has('debug'),
      mapcompat: has('mapcompat'),
      nomount: has('nomount'),
      useLoader: has('useLoader'),
      sign: has('sign'),
      version: has('version'),
      help: has('help'),
      baseBtf: values.baseBtf,
      privateKey: values.privateKey,
      certificate: values.certificate,
      c,
      unknown,
    },
    words,
  };
}
