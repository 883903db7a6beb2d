/** A storm of clients on a kernel process of its own, in a runtime folder of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Milliseconds after which a client that has not ended hangs. */
const HUNG = 60_000;
const MAP = '/sys/fs/bpf/storm';
/** What a client says when the kernel process ended under it; then its answer is no wrong one. */
const LOST = /the kernel process .*(ended|is dead|does not answer)|of another build/;

export interface StormResult {
  readonly commands: number;
  readonly clientsKilled: number;
  readonly kernelsKilled: number;
  readonly wrong: readonly string[];
  readonly hung: number;
  /** Processes and files that are there after the last `kernel stop`. */
  readonly left: readonly string[];
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Storm {
  readonly #cli: string;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #running = new Set<ChildProcess>();
  readonly #wrong: string[] = [];
  #commands = 0;
  #hung = 0;
  #clientsKilled = 0;
  #kernelsKilled = 0;

  /** @param folder that becomes the runtime folder */
  constructor(cli: string, folder: string) {
    this.#cli = cli;
    this.#folder = folder;
    mkdirSync(folder, { mode: 0o700 });
    this.#env = { ...process.env, XDG_RUNTIME_DIR: folder, SKEP_INSTANCE: 'storm' };
  }

  #start(argv: readonly string[]): { readonly child: ChildProcess; readonly done: Promise<Outcome> } {
    const child = spawn(process.execPath, [this.#cli, ...argv], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const done = new Promise<Outcome>((resolve) => {
      const late = setTimeout(() => {
        this.#hung++;
        child.kill('SIGKILL');
      }, HUNG);
      child.on('close', (code) => {
        clearTimeout(late);
        this.#running.delete(child);
        resolve({ code, stdout, stderr });
      });
    });
    return { child, done };
  }

  #kernelPid(): number | undefined {
    try {
      const text = readFileSync(join(this.#folder, 'skep', 'storm.json'), 'utf8');
      return (JSON.parse(text) as { pid: number }).pid;
    } catch {
      return undefined;
    }
  }

  /** One command of a client. A wrong answer is one that is neither right nor explained by a kernel that was killed. */
  async #command(client: number, round: number): Promise<void> {
    const key = [client & 255, round & 255, 7, 0].join(' ');
    const kinds = [
      ['map', 'update', 'pinned', MAP, 'key', ...key.split(' '), 'value', ...key.split(' ')],
      ['map', 'lookup', 'pinned', MAP, 'key', ...key.split(' ')],
      ['-j', 'map', 'show', 'pinned', MAP],
      ['map', 'create', MAP, ...'type hash key 4 value 4 entries 65536 name storm'.split(' ')],
    ];
    const argv = kinds[(client + round) % kinds.length]!;
    const { child, done } = this.#start(argv);
    const dies = Math.random() < 0.05;
    if (dies) {
      setTimeout(() => {
        if (child.exitCode === null) this.#clientsKilled++;
        child.kill('SIGKILL');
      }, Math.random() * 300);
    }
    const outcome = await done;
    this.#commands++;
    if (!dies && !right(argv, key, outcome)) {
      const { code, stdout, stderr } = outcome;
      this.#wrong.push(`${argv.join(' ')}: ${code} ${JSON.stringify(stdout)} ${JSON.stringify(stderr)}`);
    }
  }

  async run(seconds: number, clients: number): Promise<StormResult> {
    const end = Date.now() + seconds * 1000;
    const killer = setInterval(
      () => {
        const pid = this.#kernelPid();
        if (pid === undefined) return;
        try {
          // One that stands still is as bad as one that is gone.
          process.kill(pid, Math.random() < 0.8 ? 'SIGKILL' : 'SIGSTOP');
          this.#kernelsKilled++;
        } catch {
          // It had ended.
        }
      },
      Math.max(1000, seconds * 100),
    );
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let round = 0; Date.now() < end; round++) await this.#command(client, round);
      }),
    );
    clearInterval(killer);
    // Whatever state the last kill left it in, a stop leaves nothing.
    await this.#start(['map', 'show']).done;
    const pid = this.#kernelPid();
    await this.#start(['kernel', 'stop']).done;
    return {
      commands: this.#commands,
      clientsKilled: this.#clientsKilled,
      kernelsKilled: this.#kernelsKilled,
      wrong: this.#wrong,
      hung: this.#hung,
      left: this.#left(pid),
    };
  }

  #left(pid: number | undefined): string[] {
    const folder = join(this.#folder, 'skep');
    const files = existsSync(folder) ? readdirSync(folder).map((name) => `file ${name}`) : [];
    const mine = readdirSync('/proc').filter((name) => {
      try {
        return (
          /^\d+$/.test(name) &&
          readFileSync(`/proc/${name}/environ`, 'utf8').includes(`XDG_RUNTIME_DIR=${this.#folder}`)
        );
      } catch {
        return false;
      }
    });
    return [
      ...files,
      ...mine.map((name) => `process ${name}${Number(name) === pid ? ', the kernel process' : ''}`),
    ];
  }

  /** Whether a kernel process refuses a client of another user; `undefined` where none can be made. */
  otherUser(): boolean | undefined {
    if (process.getuid?.() !== 0) return undefined;
    spawnSync(process.execPath, [this.#cli, 'kernel', 'start'], { env: this.#env });
    const socket = join(this.#folder, 'skep', 'storm.sock');
    const token = readFileSync(join(this.#folder, 'skep', 'storm.json'), 'utf8');
    // Even where folder and socket let the other user in, and the token is known.
    const script = `
      const { connect } = require('node:net');
      const body = Buffer.from(JSON.stringify({ token: ${JSON.stringify((JSON.parse(token) as { token: string }).token)}, request: 'status', argv: [], cwd: '/', env: {}, colour: false }));
      const head = Buffer.alloc(5); head[0] = 1; head.writeUInt32LE(body.length, 1);
      const socket = connect(${JSON.stringify(socket)});
      socket.on('connect', () => socket.write(Buffer.concat([head, body])));
      socket.on('data', (chunk) => { console.log('frame ' + chunk[0]); process.exit(0); });
      socket.on('error', (error) => { console.log(error.code); process.exit(0); });`;
    const asOther = () =>
      spawnSync(process.execPath, ['-e', script], { uid: 65534, gid: 65534, encoding: 'utf8' }).stdout.trim();
    const closed = asOther();
    const open = [join(this.#folder, '..'), this.#folder, join(this.#folder, 'skep')];
    for (const folder of open) chmodSync(folder, 0o755);
    chmodSync(socket, 0o666);
    const opened = asOther();
    for (const folder of open) chmodSync(folder, 0o700);
    spawnSync(process.execPath, [this.#cli, 'kernel', 'stop'], { env: this.#env });
    return closed === 'EACCES' && opened === 'frame 22';
  }
}

function right(argv: readonly string[], key: string, { code, stdout, stderr }: Outcome): boolean {
  if (LOST.test(stderr)) return true;
  const absent = /No such file or directory/.test(stderr + stdout);
  switch (argv[1] === 'map' ? argv[2] : argv[1]) {
    case 'update':
      return (code === 0 && stdout === '') || (code === 255 && absent);
    case 'lookup': {
      if (code === 254) return stdout.includes('Not found');
      const bytes = key
        .split(' ')
        .map((byte) => Number(byte).toString(16).padStart(2, '0'))
        .join(' ');
      return (code === 0 && stdout === `key: ${bytes}  value: ${bytes}\n`) || (code === 255 && absent);
    }
    case 'show':
      return (
        (code === 0 && (JSON.parse(stdout) as { name: string }).name === 'storm') || (code === 255 && absent)
      );
    default:
      // Another client made it already.
      return (
        code === 0 ||
        (code === 255 && /already exists/.test(stderr)) ||
        (code === 239 && /File exists/.test(stderr))
      );
  }
}
