/**
 * JSON as it is made, in bpftool's two layouts: on one line, or with each member on its own line and the elements of an
 * array side by side. Output begins before all is known, so an error in the middle stands where it happened.
 */
export class JsonWriter {
  readonly #write: (text: string) => void;
  readonly #pretty: boolean;
  #depth = 0;
  /** Something stands before in this array or object. */
  #follows = false;

  constructor(write: (text: string) => void, pretty: boolean) {
    this.#write = write;
    this.#pretty = pretty;
  }

  #line(): string {
    return this.#pretty ? `\n${'    '.repeat(this.#depth)}` : '';
  }

  #begin(bracket: string): void {
    this.#write(`${this.#follows ? ',' : ''}${bracket}`);
    this.#depth++;
    this.#follows = false;
  }

  #end(bracket: string): void {
    this.#depth--;
    this.#write(`${this.#follows ? this.#line() : ''}${bracket}`);
    this.#follows = true;
  }

  startObject(): this {
    this.#begin('{');
    return this;
  }

  endObject(): this {
    this.#end('}');
    return this;
  }

  startArray(): this {
    this.#begin('[');
    return this;
  }

  endArray(): this {
    this.#end(']');
    return this;
  }

  name(name: string): this {
    this.#write(
      `${this.#follows ? ',' : ''}${this.#line()}${JSON.stringify(name)}:${this.#pretty ? ' ' : ''}`,
    );
    this.#follows = false;
    return this;
  }

  /** A value that is written as it stands. */
  raw(text: string): this {
    this.#write(`${this.#follows ? ',' : ''}${text}`);
    this.#follows = true;
    return this;
  }

  value(value: string | number | bigint | boolean | null): this {
    return this.raw(typeof value === 'bigint' ? String(value) : JSON.stringify(value));
  }

  field(name: string, value: string | number | bigint | boolean | null): this {
    return this.name(name).value(value);
  }

  /** Levels that what comes next stands in. */
  get depth(): number {
    return this.#depth;
  }

  /** Lets the next value begin anew, without a comma. */
  restart(): void {
    this.#follows = false;
  }
}
