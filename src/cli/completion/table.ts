/** What may stand where in a command line, for all shells alike. */
import { FLAG_NAMES } from '../grammar/flags.ts';
import { OBJECTS } from '../grammar/objects.ts';
import { type OptionFact, optionsOf } from '../options.ts';
import { COMMANDS } from '../registry.ts';
import { commandWords, type Next } from './usage-words.ts';

/** At a place in the command line these words, and files, may come. */
export interface Step {
  /**
   * The words before: nothing, an object, object and command, or these two and the word before the cursor, which is `*` for
   * any other. Of skep's own commands: the command, or the command and an option that has a value.
   */
  readonly after: string;
  readonly words: readonly string[];
  readonly files: boolean;
}

export interface CompletionTable {
  /** In the order in which they are to be tried: `*` stands behind the others of its command. */
  readonly steps: readonly Step[];
  /** Options by the first word of the command line; `*` for the objects of bpftool's grammar. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  /** skep's own commands, whose words have no order. */
  readonly own: readonly string[];
  /** Options of bpftool's grammar behind which a value stands, and what it is. */
  readonly valued: readonly Step[];
}

/** Options of bpftool's grammar that route.ts takes out before it is read. */
const ROUTE_OPTIONS = ['--kernel', '--instance', '--ephemeral'];
const VALUED: readonly Step[] = [
  { after: '--kernel', words: ['embedded', 'linux'], files: false },
  { after: '--instance', words: [], files: false },
  { after: '--base-btf', words: [], files: true },
  { after: '-B', words: [], files: true },
];
/** Words of bpftool's grammar that are no objects. */
const BESIDE = ['batch', 'version'];

/** Reads the tables of the command line; every command is loaded for it. */
export async function completionTable(): Promise<CompletionTable> {
  const steps: Step[] = [];
  const options = new Map<string, readonly string[]>();
  const own = Object.keys(COMMANDS);
  const objects = await Promise.all(OBJECTS.map(([, load]) => load()));
  const first = [...own, ...objects.map(({ name }) => name), ...BESIDE];
  steps.push({ after: '', words: first, files: false });
  for (const load of Object.values(COMMANDS)) {
    const { fact } = await load();
    const all = optionsOf(fact);
    options.set(
      fact.name,
      all.map(({ name }) => name),
    );
    for (const option of all) if (option.value !== undefined) steps.push(...valueSteps(fact.name, option));
    const [positional] = fact.positionals;
    const words = fact.name === 'help' ? first : (positional?.choices ?? []);
    steps.push({ after: fact.name, words, files: positional !== undefined && words.length === 0 });
  }
  for (const object of objects) {
    const commands = commandWords(object.usage, object.name);
    const names = [...new Set([...object.commands.map(([name]) => name), 'help'])];
    steps.push({ after: object.name, words: names, files: false });
    for (const name of names) {
      const words = commands.get(name);
      if (!words) continue;
      const place = `${object.name} ${name}`;
      steps.push(step(place, words.first));
      for (const [word, next] of words.afterWord) steps.push(step(`${place} ${word}`, next));
      steps.push(step(`${place} *`, words.afterValue));
    }
  }
  steps.push(
    { after: 'batch', words: ['file'], files: false },
    { after: 'batch file', words: [], files: true },
  );
  options.set('*', [...FLAG_NAMES.map((name) => `--${name}`), ...ROUTE_OPTIONS]);
  return {
    steps: steps.filter(({ after, words, files }) => after === '' || words.length > 0 || files),
    options,
    own,
    valued: VALUED,
  };
}

function step(after: string, { words, files }: Next): Step {
  return { after, words: [...words], files };
}

/** What stands behind an option: one of its choices, or a file where its value is not a number. */
function valueSteps(command: string, option: OptionFact): Step[] {
  const { choices, value } = option;
  const files = choices === undefined && /FILE|IN|OUT/.test(value ?? '');
  const names = option.short === undefined ? [option.name] : [option.name, option.short];
  return names.map((name) => ({ after: `${command} ${name}`, words: choices ?? [], files }));
}
