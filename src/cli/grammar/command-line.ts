/** One command line of bpftool's grammar, from its words to its exit code. */
import { resolve } from 'node:path';
import { Bug, InputError } from '../../base/error.ts';
import type { EmbeddedKernel } from '../../kernel/index.ts';
import type { Io } from '../io.ts';
import { nearest } from '../options.ts';
import type { World } from '../world/world.ts';
import { runBatch } from './batch.ts';
import type { Call } from './call.ts';
import { FLAG_NAMES, type Flags, parseFlags } from './flags.ts';
import { runObject } from './object.ts';
import { OBJECTS } from './objects.ts';
import { Output } from './output.ts';
import { exitCodeOf, exitWith, Failed, INVALID, Usage } from './refusal.ts';
import { printVersion } from './version.ts';
import { isPrefix, Words } from './words.ts';

const MAIN_USAGE = `Usage: skep [OPTIONS] OBJECT { COMMAND | help }
       skep batch file FILE
       skep version

       OBJECT := { ${OBJECTS.map(([name]) => name).join(' | ')} }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-V|--version} | --kernel { embedded | linux } | --instance NAME | --ephemeral }`;

/** @param kernel which one, where no kernel that stays is given by `io` */
export async function runCommandLine(
  argv: readonly string[],
  io: Io,
  kernel: 'embedded' | 'linux',
): Promise<number> {
  const { flags, words } = parseFlags(argv);
  const out = new Output(io, flags);
  const worlds = new Worlds(io, kernel);
  const opened = new OpenWorld(worlds);
  const call: Call = {
    io,
    flags,
    words: new Words(words),
    out,
    world: () => opened.get(),
    usage: () => mainUsage(out),
  };
  try {
    return await run(call, flags, worlds);
  } finally {
    opened[Symbol.dispose]();
    worlds.close();
    out.end();
  }
}

async function run(call: Call, flags: Flags, worlds: Worlds): Promise<number> {
  const { out } = call;
  try {
    if (flags.help) {
      mainUsage(out);
      return 0;
    }
    if (flags.unknown !== undefined) {
      out.error(`unrecognized option '${flags.unknown}'`);
      if (out.json) throw new Failed();
      const near = nearest(flags.unknown.replace(/^-+/, ''), FLAG_NAMES);
      throw new Usage(near === undefined ? '' : `did you mean --${near}?`);
    }
    await checkSigning(flags);
    if (flags.version) {
      printVersion(out);
      return 0;
    }
    await select(call, worlds);
    return 0;
  } catch (error) {
    return report(call, error);
  }
}

/** Signing takes all three: `-S`, a key and a certificate. */
function checkSigning({ sign, privateKey, certificate }: Flags): Promise<void> {
  return exitWith(INVALID, async () => {
    if (sign && (privateKey === undefined || certificate === undefined)) {
      throw new InputError(
        'cli-sign',
        '-i <identity_x509_cert> and -k <private_key> must be supplied with -S for signing',
      );
    }
    if (!sign && (privateKey !== undefined || certificate !== undefined)) {
      throw new InputError(
        'cli-sign',
        '--sign (or -S) must be explicitly passed with -i <identity_x509_cert> and -k <private_key> to sign the programs',
      );
    }
  });
}

/** Says why a command failed. @returns its exit code */
function report({ out, usage }: Call, error: unknown): number {
  if (error instanceof Usage) {
    usage();
    if (error.hint !== '') out.info(`\n${error.hint}`);
  } else if (error instanceof InputError) out.failure(error);
  else if (!(error instanceof Failed)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    out.error(`this is a fault of skep's own, please report it: ${text}`);
  }
  return exitCodeOf(error);
}

function mainUsage(out: Output): void {
  if (out.json) out.done();
  else out.info(MAIN_USAGE);
}

const TOP_WORDS = ['help', 'batch', ...OBJECTS.map(([name]) => name), 'version'];

/** Does what the next words say: one command, or a line of a batch file. */
async function select(call: Call, worlds: Worlds): Promise<void> {
  const { words, out } = call;
  const word = words.peek();
  const name = word === undefined ? 'help' : TOP_WORDS.find((candidate) => isPrefix(word, candidate));
  if (name === undefined) {
    const near = nearest(word ?? '', TOP_WORDS);
    throw new Usage(near === undefined ? '' : `there is no command ${word}; did you mean ${near}?`);
  }
  if (word !== undefined) words.skip();
  if (name === 'help') return mainUsage(out);
  if (name === 'version') return printVersion(out);
  if (name === 'batch') {
    const runLine = async (line: Call) => {
      const opened = new OpenWorld(worlds);
      const own: Call = { ...line, world: () => opened.get() };
      try {
        await select(own, worlds);
      } finally {
        line.usage = own.usage;
        opened[Symbol.dispose]();
      }
    };
    await runBatch(call, runLine, (line, error) => void report(line, error));
    return;
  }
  const load = OBJECTS.find(([object]) => object === name)?.[1];
  if (load === undefined) throw new Bug(`${name} is in no table`);
  await runObject(await load(), call);
}

/** Where the worlds of a command line come from; what they share ends with it. */
class Worlds {
  readonly #io: Io;
  readonly #kernel: 'embedded' | 'linux';
  #shared: EmbeddedKernel | undefined;

  constructor(io: Io, kernel: 'embedded' | 'linux') {
    this.#io = io;
    this.#kernel = kernel;
  }

  async make(): Promise<World> {
    if (this.#kernel === 'linux') {
      const { linuxWorld } = await import('../world/linux.ts');
      return linuxWorld();
    }
    if (this.#io.world) return this.#io.world();
    const { embeddedWorld, ephemeralKernel } = await import('../world/embedded.ts');
    this.#shared ??= ephemeralKernel();
    return embeddedWorld(this.#shared);
  }

  close(): void {
    this.#shared?.close();
  }
}

/** The kernel that a command uses, opened when it is first asked for. What the command opened is closed with it. */
class OpenWorld implements Disposable {
  readonly #worlds: Worlds;
  #world: Promise<World> | undefined;
  #open: World | undefined;

  constructor(worlds: Worlds) {
    this.#worlds = worlds;
  }

  get(): Promise<World> {
    this.#world ??= this.#worlds.make().then((world) => {
      this.#open = world;
      return world;
    });
    return this.#world;
  }

  [Symbol.dispose](): void {
    this.#open?.[Symbol.dispose]();
  }
}

/** A path of the command line as an absolute one. */
export function absolute(call: Call, path: string): string {
  return resolve(call.io.cwd, path);
}
