/** One exchange of a client with the kernel process. */
import { connect, type Socket } from 'node:net';
import type { Place } from './place.ts';
import { FRAME, FrameReader, frame, type Hello } from './protocol.ts';

/** How an exchange ended. */
export type Ending =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'status' | 'otherBuild' | 'refused'; readonly text: string }
  /** The connection broke: before the command began, or after. */
  | { readonly kind: 'broken'; readonly began: boolean }
  /** Nobody listens. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'abandoned' };

export interface Listener {
  readonly stdout: (bytes: Buffer) => void;
  readonly stderr: (bytes: Buffer) => void;
  readonly wantStdin: () => void;
}

export class Connection {
  readonly ending: Promise<Ending>;
  /** Whether the kernel process has answered. */
  answered = false;
  readonly #socket: Socket;
  #end: (ending: Ending) => void = () => {};

  constructor(place: Place, hello: Hello, listener: Listener) {
    this.ending = new Promise((resolve) => {
      this.#end = resolve;
    });
    let connected = false;
    const socket = connect(place.socket);
    this.#socket = socket;
    const reader = new FrameReader((kind, body) => this.#take(kind, body, listener));
    socket.on('connect', () => {
      connected = true;
      socket.write(frame(FRAME.hello, JSON.stringify(hello)));
    });
    socket.on('data', (chunk) => {
      if (!reader.push(chunk)) socket.destroy();
    });
    // What happened shows at the close.
    socket.on('error', () => {});
    socket.on('close', () =>
      this.#end(connected ? { kind: 'broken', began: this.answered } : { kind: 'absent' }),
    );
  }

  #take(kind: number, body: Buffer, listener: Listener): void {
    switch (kind) {
      case FRAME.ready:
        this.answered = true;
        return;
      case FRAME.stdout:
        listener.stdout(body);
        return;
      case FRAME.stderr:
        listener.stderr(body);
        return;
      case FRAME.wantStdin:
        listener.wantStdin();
        return;
      case FRAME.exit:
        this.#end({ kind: 'exit', code: Number(body.toString()) });
        this.#socket.end();
        return;
      case FRAME.status:
        this.#end({ kind: 'status', text: body.toString() });
        return;
      case FRAME.otherBuild:
        this.#end({ kind: 'otherBuild', text: body.toString() });
        return;
      case FRAME.refused:
        this.#end({ kind: 'refused', text: body.toString() });
    }
  }

  send(...args: Parameters<typeof frame>): void {
    if (this.#socket.writable) this.#socket.write(frame(...args));
  }

  /** Ends the exchange as if the other side had. */
  abandonAsBroken(): void {
    this.#end({ kind: 'broken', began: false });
    this.#socket.destroy();
  }

  /** Ends the exchange from this side. */
  abandon(): void {
    this.#end({ kind: 'abandoned' });
    this.#socket.destroy();
  }
}
