import { InputError } from '../../base/error.ts';
import type { Io } from '../io.ts';
import type { Flags } from './flags.ts';
import { JsonWriter } from './json-writer.ts';
import { strerror } from './refusal.ts';

const WAITING = 16384;

/** What a command prints: text, or JSON where it was asked for. Held back until there is much of it. */
export class Output {
  /** Where JSON is to be written; absent for text. */
  readonly json: JsonWriter | undefined;
  readonly #io: Io;
  #waiting: string[] = [];
  #length = 0;

  constructor(io: Io, flags: Flags) {
    this.#io = io;
    if (flags.json) this.json = new JsonWriter((text) => this.print(text), flags.pretty);
  }

  /** Writes to standard output as it stands. */
  print(text: string): void {
    this.#waiting.push(text);
    this.#length += text.length;
    if (this.#length > WAITING) this.flush();
  }

  /** Lets what was printed out; for output that someone watches. */
  flush(): void {
    if (this.#length === 0) return;
    const text = this.#waiting.join('');
    this.#waiting = [];
    this.#length = 0;
    this.#io.stdout(text);
  }

  /** `null`, the JSON of a command that has nothing to say. */
  done(): void {
    this.json?.value(null);
  }

  /** A note on standard error; none beside JSON. */
  info(text: string): void {
    if (!this.json) this.note(text);
  }

  /** A note on standard error, also beside JSON. */
  note(text: string): void {
    this.flush();
    this.#io.stderr(`${text}\n`);
  }

  /** An error in bpftool's layout. It may stand amid JSON that has begun. */
  error(message: string): void {
    if (this.json) this.json.startObject().field('error', message).endObject();
    else {
      this.flush();
      this.#io.stderr(`Error: ${message}\n`);
    }
  }

  /** An error, with what the kernel said about it on the lines that follow. */
  failure(error: InputError): void {
    this.error(error.message);
    const { cause, detail } = error;
    if (cause instanceof InputError && !cause.message.endsWith(`: ${strerror(cause)}`)) {
      this.info(`  ${cause.message}`);
    }
    if (detail !== undefined && detail !== '') this.info(detail.trimEnd());
  }

  end(): void {
    if (this.json) this.print('\n');
    this.flush();
  }
}
