/**
 * What a client and the kernel process say to each other: frames of a kind (one byte), a length (four bytes, little
 * endian) and so many bytes.
 */

export const FRAME = {
  /** Client: what is wanted, as JSON ({@link Hello}). The first frame. */
  hello: 1,
  /** Client: bytes of standard input. */
  stdin: 2,
  /** Client: standard input has ended. */
  eof: 3,
  /** Client: the user interrupts. */
  interrupt: 4,
  /** Client: the terminal has so many columns now, as decimal text. */
  resize: 5,
  /** Kernel process: the hello is understood, the command begins. */
  ready: 16,
  stdout: 17,
  stderr: 18,
  /** Kernel process: standard input is wanted. */
  wantStdin: 19,
  /** Kernel process: it ended, with this exit code as decimal text. The last frame. */
  exit: 20,
  /** Kernel process: it is of another build; what it holds, as JSON ({@link Status}). The last frame. */
  otherBuild: 21,
  /** Kernel process: why it does not talk to this client, as text. The last frame. */
  refused: 22,
  /** Kernel process: the answer to a request, as JSON ({@link Status}). */
  status: 23,
} as const;
export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

/** What a client asks for. */
export interface Hello {
  readonly token: string;
  /** Of the client; absent where any will do (`kernel stop`). */
  readonly build?: string;
  readonly request: 'command' | 'status' | 'stop';
  /** Of the client's process. */
  readonly pid?: number;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly colour: boolean;
  readonly columns?: number;
}

/** What a kernel process is and holds. */
export interface Status {
  readonly instance: string;
  readonly pid: number;
  readonly version: string;
  /** Unix time, in milliseconds. */
  readonly started: number;
  readonly release: string;
  readonly cpus: number;
  readonly programs: number;
  readonly maps: number;
  readonly links: number;
  readonly pins: readonly string[];
  /** Bytes of the kernel's memory. */
  readonly memory: number;
}

const HEADER = 5;
/** A frame that is longer is none of ours. */
const LONGEST = 1 << 30;

export function frame(kind: FrameKind, body: string | Uint8Array = ''): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const whole = Buffer.allocUnsafe(HEADER + bytes.length);
  whole[0] = kind;
  whole.writeUInt32LE(bytes.length, 1);
  whole.set(bytes, HEADER);
  return whole;
}

/** Puts frames together again from what a stream brings. */
export class FrameReader {
  #waiting: Buffer = Buffer.alloc(0);
  readonly #take: (kind: number, body: Buffer) => void;

  constructor(take: (kind: number, body: Buffer) => void) {
    this.#take = take;
  }

  /** @returns false when the bytes are no frames */
  push(chunk: Buffer): boolean {
    this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk]);
    let at = 0;
    while (this.#waiting.length - at >= HEADER) {
      const length = this.#waiting.readUInt32LE(at + 1);
      if (length > LONGEST) return false;
      if (this.#waiting.length - at < HEADER + length) break;
      this.#take(this.#waiting[at]!, this.#waiting.subarray(at + HEADER, at + HEADER + length));
      at += HEADER + length;
    }
    this.#waiting = this.#waiting.subarray(at);
    return true;
  }
}
