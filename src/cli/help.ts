import { InputError } from '../base/error.ts';
import { OBJECTS } from './grammar/objects.ts';
import { EXIT } from './io.ts';
import { type CommandFact, nearest, optionsOf, optionText, usageLine } from './options.ts';
import { COMMANDS, type Command } from './registry.ts';

const fact: CommandFact = {
  name: 'help',
  about: 'say what a command does',
  positionals: [{ name: 'COMMAND', optional: true }],
  options: [],
};

/** `skep help [COMMAND]`. */
export const helpCommand: Command = {
  fact,
  run: async (args, io) => {
    const name = args.positionals.get('COMMAND');
    const object = OBJECTS.find(([known]) => known === name);
    if (name === undefined) io.stdout(await overview());
    else if (object !== undefined) io.stdout((await object[1]()).usage);
    else io.stdout(commandHelp((await findCommand(name)).fact));
    return EXIT.ok;
  },
};

/** @throws InputError `cli-command` when there is none of that name */
export async function findCommand(name: string): Promise<Command> {
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load !== undefined) return load();
  const near = nearest(name, [...Object.keys(COMMANDS), ...OBJECTS.map(([object]) => object)]);
  throw new InputError(
    'cli-command',
    `there is no command ${name}; ${near === undefined ? 'skep help lists them' : `did you mean ${near}?`}`,
  );
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const objects = await Promise.all(OBJECTS.map(([, load]) => load()));
  const width = Math.max(...[...commands.map(({ fact }) => fact), ...objects].map(({ name }) => name.length));
  const line = ({ name, about }: { readonly name: string; readonly about: string }) =>
    `  skep ${name.padEnd(width)}  ${about}`;
  return [
    'skep runs, disassembles and assembles BPF programs in any process, or in the Linux kernel.',
    '',
    ...commands.map(({ fact }) => line(fact)),
    '',
    "bpftool's commands, on a kernel that stays, or with --kernel linux (SKEP_KERNEL=linux) on Linux:",
    '',
    ...objects.map(line),
    line({ name: 'batch', about: 'run the command lines of a file' }),
    '',
    'skep help COMMAND says more; skep --version prints the version.',
    "Exit codes: 0 done, 1 the kernel or the system refused, 2 the command line or a file is wrong; bpftool's",
    "commands have bpftool's codes: 0 done, 255 and its neighbours failed.",
    '',
  ].join('\n');
}

/** What `skep help COMMAND` and `skep COMMAND --help` print. */
export function commandHelp(command: CommandFact): string {
  const options = optionsOf(command).map((option) => ({ text: optionText(option), about: option.about }));
  const width = Math.max(...options.map(({ text }) => text.length));
  return [
    `usage: ${usageLine(command)}`,
    '',
    `${command.about[0]!.toUpperCase()}${command.about.slice(1)}.`,
    '',
    ...options.map(({ text, about }) => `  ${text.padEnd(width)}  ${about}`),
    ...(command.notes === undefined ? [] : ['', command.notes.trim()]),
    '',
  ].join('\n');
}
