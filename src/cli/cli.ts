/** The command line without the process: arguments in, exit code out. */
import { InputError } from '../base/error.ts';
import { EXIT, type Io } from './io.ts';
import { parseArguments } from './options.ts';
import { COMMANDS } from './registry.ts';
import { routeOf } from './route.ts';

/** Runs one command line, without the program's name, in this process. Never throws. */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  try {
    const route = routeOf(argv, io.env);
    if (route.grammar === 'bpftool') {
      const { runCommandLine } = await import('./grammar/command-line.ts');
      return await runCommandLine(route.argv, io, route.kernel);
    }
    const [name, ...rest] = argv;
    if (name === '--version' || name === '-V') {
      io.stdout(`skep ${(await import('./grammar/version.ts')).skepVersion()}\n`);
      return EXIT.ok;
    }
    const asksHelp = name === undefined || name === '--help' || name === '-h';
    const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (asksHelp || load === undefined) {
      const help = await import('./help.ts');
      if (!asksHelp) await help.findCommand(name);
      await help.helpCommand.run({ positionals: new Map(), rest: [], options: new Map() }, io);
      return name === undefined ? EXIT.input : EXIT.ok;
    }
    const command = await load();
    const args = parseArguments(command.fact, rest);
    if (args.options.has('--help')) {
      io.stdout((await import('./help.ts')).commandHelp(command.fact));
      return EXIT.ok;
    }
    return await command.run(args, io);
  } catch (error) {
    return report(error, argv.includes('--json'), io);
  }
}

/** One sentence for a person, or `{"error":…}`; a verifier's log follows the sentence. */
function report(error: unknown, json: boolean, io: Io): number {
  if (!(error instanceof InputError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const text = `this is a fault of skep's own, please report it: ${stack}`;
    if (json) io.stdout(`${JSON.stringify({ error: text, code: 'bug' })}\n`);
    else io.stderr(`skep: ${text}\n`);
    return EXIT.refused;
  }
  const { message, code, errno, detail } = error;
  if (json) io.stdout(`${JSON.stringify({ error: message, code, errno, detail })}\n`);
  else {
    io.stderr(`skep: ${message}\n`);
    if (detail !== undefined && detail !== '') io.stderr(`${detail.trimEnd()}\n`);
  }
  // What carries an errno is a kernel's or the system's refusal, a missing file apart.
  return errno === undefined || MISSING.has(code) ? EXIT.input : EXIT.refused;
}

/** Failures that carry an errno and are about a file that the command line names. */
const MISSING: ReadonlySet<string> = new Set(['cli-read', 'cli-write']);
