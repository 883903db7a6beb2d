/** One line on a terminal that says how far a long run is. Nothing is shown before a second has passed, or to a pipe. */
import type { Io } from '../io.ts';

const FIRST_MS = 1000;
const EVERY_MS = 200;

export class Progress {
  readonly #io: Io;
  /** Bytes of the whole capture; 0 when not known. */
  readonly #size: number;
  readonly #start = performance.now();
  #last = 0;
  #shown = false;

  constructor(io: Io, size: number) {
    this.#io = io;
    this.#size = size;
  }

  /** @param packets run so far @param bytes of the capture that are behind */
  update(packets: number, bytes: number): void {
    const width = this.#io.progressWidth;
    if (width === undefined) return;
    const elapsed = performance.now() - this.#start;
    if (elapsed < FIRST_MS || elapsed - this.#last < EVERY_MS) return;
    this.#last = elapsed;
    this.#shown = true;
    const text = progressText(packets, bytes, this.#size, elapsed);
    this.#io.stderr(`\r${text.slice(0, width - 1)}\x1b[K`);
  }

  /** Wipes the line. */
  end(): void {
    if (this.#shown) this.#io.stderr('\r\x1b[K');
    this.#shown = false;
  }
}

/** `42 % · 120,000 packets · 45,000 packets/s · 3 s left`. */
export function progressText(packets: number, bytes: number, size: number, elapsedMs: number): string {
  const rate = packets / (elapsedMs / 1000);
  const parts = [
    `${packets.toLocaleString('en')} packets`,
    `${Math.round(rate).toLocaleString('en')} packets/s`,
  ];
  if (size > 0 && bytes > 0) {
    const share = Math.min(bytes / size, 1);
    parts.unshift(`${Math.floor(share * 100)} %`);
    parts.push(`${duration(((1 - share) / share) * elapsedMs)} left`);
  }
  return parts.join(' · ');
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
