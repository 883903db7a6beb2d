/** An object word (`prog`, `map`) and its commands, as bpftool's command line has them. */
import { nearest } from '../options.ts';
import type { Call } from './call.ts';
import { Usage } from './refusal.ts';
import { isPrefix } from './words.ts';

/** Does one command. Failures are thrown: see refusal.ts. */
export type Action = (call: Call) => void | Promise<void>;

export interface ObjectFact {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly about: string;
  /** In the order that abbreviations are tried; the first is what the object alone does. `help` is added as the last, unless it has its place. */
  readonly commands: readonly (readonly [name: string, load: () => Promise<Action>])[];
  /** The help's text after `Usage: `, with `skep` for the program's name; begins with the object's name. */
  readonly usage: string;
  /** With JSON, too, the usage is text on standard error, as bpftool's is for this object. */
  readonly usageIsText?: boolean;
}

/** Finds the command that the next word stands for and does it. */
export async function runObject(object: ObjectFact, call: Call): Promise<void> {
  const { words } = call;
  const word = words.peek();
  call.usage = () => help(object, call);
  const commands = object.commands.some(([name]) => name === 'help')
    ? object.commands
    : [...object.commands, ['help', async () => helpAction] as const];
  const found = word === undefined ? commands[0] : commands.find(([name]) => isPrefix(word, name));
  if (found === undefined) {
    const names = commands.map(([name]) => name);
    const near = nearest(word ?? '', names);
    throw new Usage(
      near === undefined ? '' : `there is no '${object.name} ${word}'; did you mean '${near}'?`,
    );
  }
  if (word !== undefined) words.skip();
  const action = await found[1]();
  await action(call);
}

/** `OBJECT help`. */
export const helpAction: Action = (call) => call.usage();

/** Prints the object's usage, on standard error as bpftool does. */
function help(object: ObjectFact, { out }: Call): void {
  if (object.usageIsText) out.note(object.usage.trimEnd());
  else if (out.json) out.done();
  else out.info(object.usage.trimEnd());
}
