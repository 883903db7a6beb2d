import { InputError } from '../base/error.ts';
import { SHELLS } from './completion/shells.ts';
import { completionTable } from './completion/table.ts';
import { EXIT } from './io.ts';
import { type CommandFact, nearest } from './options.ts';
import type { Command } from './registry.ts';

const NAMES = Object.keys(SHELLS);

const fact: CommandFact = {
  name: 'completion',
  about: "print a shell's completion script",
  positionals: [{ name: 'SHELL', choices: NAMES }],
  options: [],
  notes: `SHELL is bash, zsh or fish. In a shell's start file:

  bash  source <(skep completion bash)
  zsh   source <(skep completion zsh)
  fish  skep completion fish | source

Objects, commands, the words that may follow, options and files are completed; ids and names in the kernel are not.`,
};

/** `skep completion bash|zsh|fish`. */
export const completionCommand: Command = {
  fact,
  run: async (args, io) => {
    const name = args.positionals.get('SHELL')!;
    const script = Object.hasOwn(SHELLS, name) ? SHELLS[name as keyof typeof SHELLS] : undefined;
    if (!script) {
      const near = nearest(name, NAMES);
      throw new InputError(
        'cli-usage',
        `there is no completion for ${name}; ${near === undefined ? `there is for ${NAMES.join(', ')}` : `did you mean ${near}?`}`,
      );
    }
    io.stdout(script(await completionTable()));
    return EXIT.ok;
  },
};
