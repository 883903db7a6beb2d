/**
 * Hands a command line to the kernel process and is its terminal: standard streams, interrupts, size. Starts the kernel
 * process where there is none, and says so and mends it where it is dead, hung or of another build.
 */
import { InputError } from '../../base/error.ts';
import type { Io } from '../io.ts';
import { Connection, type Ending } from './connection.ts';
import { buildOf, type Info, type Place, placeOf, readInfo } from './place.ts';
import { FRAME, type Hello, type Status } from './protocol.ts';
import type { Started } from './start.ts';

/** Milliseconds until a kernel process that is there has to answer, before it is looked at more closely. */
const ANSWER = 5_000;
/** Milliseconds until one that was started has to be there. */
const START = 30_000;
/** Variables of the client's environment that a command may look at. */
const ENV = ['NO_COLOR', 'TZ', 'TERM', 'LANG', 'LC_ALL'];

/** What the client's process gives. */
export interface Terminal extends Pick<Io, 'stdout' | 'stderr' | 'colour' | 'progressWidth'> {
  /** Calls back with what comes on standard input, and `undefined` at its end. */
  readonly onStdin: (take: (chunk: Uint8Array | undefined) => void) => void;
  /** @returns what ends the calls */
  readonly onInterrupt: (callback: () => void) => () => void;
  /** @returns what ends the calls */
  readonly onResize: (callback: (columns: number) => void) => () => void;
}

/** Runs a command line in the kernel process. @returns its exit code */
export async function forward(
  argv: readonly string[],
  instance: string,
  terminal: Terminal,
): Promise<number> {
  const place = placeOf(instance);
  const deadline = Date.now() + START;
  let wait = 4;
  let started: Started | undefined;
  for (;;) {
    const info = readInfo(place);
    const ending =
      info === undefined
        ? ({ kind: 'absent' } as const)
        : await exchange(place, info, hello(info, argv, terminal), terminal);
    switch (ending.kind) {
      case 'exit':
        return ending.code;
      case 'abandoned':
        return 130;
      case 'status':
        return 0;
      case 'broken':
        if (!ending.began) break;
        terminal.stderr(
          `skep: the kernel process (pid ${info?.pid}) ended while the command ran; what it held is lost, and the next command starts a new one\n`,
        );
        return 1;
      case 'otherBuild':
        await replace(info!, JSON.parse(ending.text) as Status, terminal);
        break;
      case 'refused':
        // A process that has taken over meanwhile has another token.
        if (readInfo(place)?.token === info?.token) {
          throw new InputError('kernel-refused', ending.text, { errno: 'EPERM' });
        }
        break;
      case 'absent':
        if (started?.failed) throw await notStarted(place);
        started = (await start(place, info, terminal)) ?? started;
    }
    if (Date.now() > deadline) throw await notStarted(place);
    await (await import('./start.ts')).pause(wait);
    wait = Math.min(wait * 2, 100);
  }
}

function hello(info: Info, argv: readonly string[], terminal: Terminal): Hello {
  const env = Object.fromEntries(
    ENV.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  return {
    token: info.token,
    build: buildOf(process.argv[1]!),
    request: 'command',
    pid: process.pid,
    argv,
    cwd: process.cwd(),
    env,
    colour: terminal.colour,
    ...(terminal.progressWidth !== undefined && { columns: terminal.progressWidth }),
  };
}

async function exchange(place: Place, info: Info, wanted: Hello, terminal: Terminal): Promise<Ending> {
  let interrupts = 0;
  const connection = new Connection(place, wanted, {
    stdout: terminal.stdout,
    stderr: terminal.stderr,
    wantStdin: () =>
      terminal.onStdin((chunk) =>
        chunk === undefined ? connection.send(FRAME.eof) : connection.send(FRAME.stdin, chunk),
      ),
  });
  const noInterrupts = terminal.onInterrupt(() => {
    interrupts++;
    // Whoever insists, or waits for one that does not answer, is let go.
    if (interrupts > 1 || !connection.answered) connection.abandon();
    else connection.send(FRAME.interrupt);
  });
  const noResizes = terminal.onResize((columns) => connection.send(FRAME.resize, String(columns)));
  const patience = setTimeout(() => {
    if (!connection.answered) void watch(info, connection, terminal);
  }, ANSWER);
  try {
    return await connection.ending;
  } finally {
    clearTimeout(patience);
    noInterrupts();
    noResizes();
  }
}

/** A kernel process has not answered for a while: one that works is waited for, one that does not is ended. */
async function watch(info: Info, connection: Connection, terminal: Terminal): Promise<void> {
  const { kill, pause } = await import('./start.ts');
  const { processState } = await import('./process-state.ts');
  let said = false;
  while (!connection.answered) {
    const before = processState(info.pid);
    await pause(1000);
    const after = processState(info.pid);
    if (connection.answered) return;
    if (before === undefined || after === undefined) return connection.abandonAsBroken();
    if (after.state === '?' || after.cpu === before.cpu) {
      terminal.stderr(
        `skep: the kernel process (pid ${info.pid}) does not answer and does nothing; it is ended, what it held is lost, and a new one is started\n`,
      );
      told.add(info.token);
      await kill(info);
      return connection.abandonAsBroken();
    }
    if (!said)
      terminal.stderr(`skep: the kernel process (pid ${info.pid}) is busy; waiting (Ctrl-C ends this)\n`);
    said = true;
  }
}

/** Ends a kernel process of another build. */
async function replace(info: Info, status: Status, terminal: Terminal): Promise<void> {
  const { kill } = await import('./start.ts');
  const { heldText } = await import('./held.ts');
  terminal.stderr(
    `skep: the kernel process (pid ${status.pid}, skep ${status.version}) is of another build than this command; a new one is started. ${heldText(status)}\n`,
  );
  told.add(info.token);
  await kill(info);
}

/** Processes whose end was told of, by their tokens. */
const told = new Set<string>();

/** @param info of a process that does not listen any more */
async function start(place: Place, info: Info | undefined, terminal: Terminal): Promise<Started | undefined> {
  const { isAlive, startInBackground } = await import('./start.ts');
  if (info !== undefined) {
    // It has said who it is and is about to listen, or has stopped listening and is about to end.
    if (isAlive(info)) return undefined;
    if (readInfo(place)?.token === info.token && !told.has(info.token)) {
      told.add(info.token);
      terminal.stderr(
        `skep: the kernel process (pid ${info.pid}) is dead; what it held is lost, and a new one is started\n`,
      );
    }
  }
  return startInBackground(place, []);
}

async function notStarted(place: Place): Promise<InputError> {
  const { readFileSync } = await import('node:fs');
  let log = '';
  try {
    log = readFileSync(place.log, 'utf8').trim();
  } catch {
    // Then there is nothing to tell.
  }
  return new InputError(
    'kernel-start',
    `starting the kernel process ${place.instance}: it ended at once, or was not there after ${START / 1000} seconds; skep --ephemeral does without it`,
    { errno: 'ETIMEDOUT', detail: log },
  );
}
