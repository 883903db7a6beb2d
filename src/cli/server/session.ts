import type { Socket } from 'node:net';
import type { EmbeddedKernel } from '../../kernel/index.ts';
import { runCommandLine } from '../grammar/command-line.ts';
import type { Io } from '../io.ts';
import { embeddedWorld } from '../world/embedded.ts';
import { FRAME, frame, type Hello } from './protocol.ts';

/** Exit code of a command that the user interrupted. */
const INTERRUPTED = 130;

/** One command line of a client, run in the kernel process. */
export class Session {
  readonly #socket: Socket;
  readonly #hello: Hello;
  readonly #kernel: () => EmbeddedKernel;
  readonly #interrupts = new Set<() => void>();
  readonly #stdin: Uint8Array[] = [];
  #stdinEnd: (() => void) | undefined;
  #stdinEnded = false;
  #columns: number | undefined;
  #gone = false;

  constructor(socket: Socket, hello: Hello, kernel: () => EmbeddedKernel) {
    this.#socket = socket;
    this.#hello = hello;
    this.#kernel = kernel;
    this.#columns = hello.columns;
  }

  async run(): Promise<void> {
    this.#send(FRAME.ready);
    const code = await runCommandLine(this.#hello.argv, this.#io(), 'embedded');
    this.#send(FRAME.exit, String(code));
    this.#socket.end();
  }

  #send(...args: Parameters<typeof frame>): void {
    if (!this.#gone && this.#socket.writable) this.#socket.write(frame(...args));
  }

  #io(): Io {
    const session = this;
    return {
      stdout: (bytes) => this.#send(FRAME.stdout, bytes),
      stderr: (bytes) => this.#send(FRAME.stderr, bytes),
      stdin: () => this.#readStdin(),
      cwd: this.#hello.cwd,
      env: this.#hello.env,
      get progressWidth() {
        return session.#columns;
      },
      colour: this.#hello.colour,
      onInterrupt: (callback) => {
        this.#interrupts.add(callback);
        if (this.#gone) callback();
        return () => this.#interrupts.delete(callback);
      },
      world: () => {
        const { pid } = this.#hello;
        return embeddedWorld(
          this.#kernel(),
          undefined,
          pid === undefined ? undefined : { pid, comm: 'skep' },
        );
      },
    };
  }

  async #readStdin(): Promise<Uint8Array> {
    this.#send(FRAME.wantStdin);
    if (!this.#stdinEnded && !this.#gone) {
      await new Promise<void>((resolve) => {
        this.#stdinEnd = resolve;
      });
    }
    return Buffer.concat(this.#stdin);
  }

  /** A frame of the client's. */
  take(kind: number, body: Buffer): void {
    switch (kind) {
      case FRAME.stdin:
        this.#stdin.push(Buffer.from(body));
        return;
      case FRAME.eof:
        this.#stdinEnded = true;
        this.#stdinEnd?.();
        return;
      case FRAME.resize:
        this.#columns = Number(body.toString());
        return;
      case FRAME.interrupt:
        if (this.#interrupts.size > 0) this.#interrupt();
        else {
          this.#send(FRAME.exit, String(INTERRUPTED));
          this.#socket.end();
        }
    }
  }

  #interrupt(): void {
    for (const callback of [...this.#interrupts]) callback();
  }

  /** The client went away: what waits for something ends. */
  leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#stdinEnd?.();
    this.#interrupt();
  }
}
