import { readFileSync } from 'node:fs';
import { InputError } from '../base/error.ts';
import { EXIT, type Io } from './io.ts';
import { type Arguments, type CommandFact, countOption, JSON_OPTION, nearest } from './options.ts';
import type { Command } from './registry.ts';
import { Connection } from './server/connection.ts';
import { heldText } from './server/held.ts';
import { type Place, placeOf, readInfo } from './server/place.ts';
import type { Hello, Status } from './server/protocol.ts';
import { isAlive, kill, pause, removeFiles, type Started, startInBackground } from './server/start.ts';

const fact: CommandFact = {
  name: 'kernel',
  about: 'start, stop and look at the embedded kernel that stays',
  positionals: [{ name: 'ACTION', choices: ['start', 'stop', 'restart', 'status', 'logs', 'run'] }],
  options: [
    { name: '--instance', value: 'NAME', about: 'which of several (SKEP_INSTANCE, default)' },
    {
      name: '--cpus',
      value: 'N',
      about: 'of start, restart and run: how many CPUs it has (as many as the machine)',
    },
    {
      name: '--btf',
      value: 'FILE',
      about: "of start, restart and run: the kernel's types (the running Linux's, where it shows them)",
    },
    JSON_OPTION,
  ],
  notes: `ACTION is

  start    start it in the background; commands that need it do so too
  stop     end it, and say what is lost: all that it holds
  restart  stop and start it
  status   say whether it runs and what it holds; exit code 1 when it does not run
  logs     print what it wrote
  run      be it, in the foreground, until interrupted

It listens on a socket in $XDG_RUNTIME_DIR/skep, or in a folder of the temporary one that only its user may enter. A kernel
that holds nothing ends after a quarter of an hour without a command.`,
};

const ACTIONS: Readonly<Record<string, (args: Arguments, io: Io, place: Place) => Promise<number>>> = {
  start,
  stop,
  restart: async (args, io, place) => {
    await stop(args, io, place);
    return start(args, io, place);
  },
  status,
  logs,
  run,
};

/** `skep kernel start|stop|restart|status|logs|run`. */
export const kernelCommand: Command = {
  fact,
  run: async (args, io) => {
    const word = args.positionals.get('ACTION')!;
    const action = Object.hasOwn(ACTIONS, word) ? ACTIONS[word] : undefined;
    if (action === undefined) {
      const near = nearest(word, Object.keys(ACTIONS));
      throw new InputError(
        'cli-usage',
        `skep kernel has no action ${word}; ${near === undefined ? `there are: ${Object.keys(ACTIONS).join(', ')}` : `did you mean ${near}?`}`,
      );
    }
    const place = placeOf(args.options.get('--instance') ?? io.env.SKEP_INSTANCE ?? 'default');
    return await action(args, io, place);
  },
};

/** What the options of `start` mean for the process that is started. */
function passedOn(args: Arguments): string[] {
  return ['--cpus', '--btf'].flatMap((name) => {
    const value = args.options.get(name);
    return value === undefined ? [] : [name, value];
  });
}

/** Asks a kernel process something. @returns `undefined` when none runs */
async function ask(place: Place, request: 'status' | 'stop'): Promise<Status | 'silent' | undefined> {
  const info = readInfo(place);
  if (info === undefined || !isAlive(info)) return undefined;
  const hello: Hello = { token: info.token, request, argv: [], cwd: '/', env: {}, colour: false };
  const nothing = () => {};
  const connection = new Connection(place, hello, { stdout: nothing, stderr: nothing, wantStdin: nothing });
  const patience = setTimeout(() => connection.abandon(), 5_000);
  const ending = await connection.ending;
  clearTimeout(patience);
  if (ending.kind === 'status') return JSON.parse(ending.text) as Status;
  if (ending.kind === 'refused') throw new InputError('kernel-refused', ending.text, { errno: 'EPERM' });
  return ending.kind === 'abandoned' ? 'silent' : undefined;
}

async function start(args: Arguments, io: Io, place: Place): Promise<number> {
  const deadline = Date.now() + 30_000;
  let started: Started | undefined;
  for (;;) {
    const found = await ask(place, 'status');
    if (found !== undefined && found !== 'silent') {
      if (!args.options.has('--json')) {
        io.stdout(
          `kernel ${place.instance} ${started === undefined ? 'runs already' : 'is started'}: pid ${found.pid}\n`,
        );
      } else io.stdout(`${JSON.stringify(found)}\n`);
      return EXIT.ok;
    }
    if (started?.failed || Date.now() > deadline) {
      throw new InputError(
        'kernel-start',
        `starting kernel ${place.instance}: it ended at once, or was not there after 30 seconds`,
        {
          errno: 'ETIMEDOUT',
          detail: readLog(place),
        },
      );
    }
    if (found === undefined) {
      started ??= startInBackground(place, passedOn(args));
    }
    await pause(30);
  }
}

async function stop(args: Arguments, io: Io, place: Place): Promise<number> {
  const info = readInfo(place);
  const found = await ask(place, 'stop');
  if (found === undefined || info === undefined) {
    removeFiles(place);
    if (!args.options.has('--json')) io.stdout(`kernel ${place.instance} does not run\n`);
    else io.stdout('null\n');
    return EXIT.ok;
  }
  if (found === 'silent') {
    await kill(info);
    removeFiles(place);
    io.stderr(
      `kernel ${place.instance} (pid ${info.pid}) did not answer and was ended; what it held is lost\n`,
    );
    return EXIT.ok;
  }
  for (let i = 0; i < 500 && isAlive(info); i++) await pause(10);
  // A client that came meanwhile may have begun to start another.
  if (readInfo(place) === undefined) removeFiles(place);
  if (args.options.has('--json')) io.stdout(`${JSON.stringify(found)}\n`);
  else io.stdout(`kernel ${place.instance} (pid ${found.pid}) is stopped. ${heldText(found)}\n`);
  return EXIT.ok;
}

async function status(args: Arguments, io: Io, place: Place): Promise<number> {
  const found = await ask(place, 'status');
  const json = args.options.has('--json');
  if (found === undefined || found === 'silent') {
    const problem = found === undefined ? 'does not run' : 'runs, but does not answer';
    io.stdout(json ? 'null\n' : `kernel ${place.instance} ${problem}\n`);
    return EXIT.refused;
  }
  if (json) io.stdout(`${JSON.stringify(found)}\n`);
  else {
    const { pid, version, started, programs, maps, links, pins, cpus, release } = found;
    io.stdout(
      `kernel ${place.instance} runs: pid ${pid}, skep ${version}, since ${new Date(started).toISOString()}\n` +
        `  behaves as Linux ${release || '(not asked for anything yet)'} with ${cpus} CPUs\n` +
        `  socket ${place.socket}\n` +
        `  holds ${programs} programs, ${maps} maps, ${links} links, ${pins.length} pins\n` +
        pins.map((pin) => `    ${pin}\n`).join(''),
    );
  }
  return EXIT.ok;
}

function readLog(place: Place): string {
  try {
    return readFileSync(place.log, 'utf8');
  } catch {
    return '';
  }
}

async function logs(_args: Arguments, io: Io, place: Place): Promise<number> {
  io.stdout(readLog(place));
  return EXIT.ok;
}

async function run(args: Arguments, io: Io, place: Place): Promise<number> {
  const { KernelProcess } = await import('./server/serve.ts');
  const { kernelOptions } = await import('./world/embedded.ts');
  const options = kernelOptions(args.options.get('--btf'));
  const cpus = countOption(fact, args, '--cpus', options.cpus ?? 1);
  const kernel = new KernelProcess(place, { ...options, cpus });
  if (!(await kernel.listen())) {
    io.stderr(`kernel ${place.instance} runs already\n`);
    return EXIT.ok;
  }
  io.stdout(
    `${new Date().toISOString()} kernel ${place.instance}, pid ${process.pid}, listens on ${place.socket}\n`,
  );
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => kernel.stop());
  await kernel.end;
  return EXIT.ok;
}
