import type { KernelObject } from './object.ts';

const MAX_ID = 0x7fff_ffff;

/** The published objects of a kind by id. Ids count up from 1 and start over only when they run out. */
export class IdTable<O extends KernelObject> {
  readonly #objects = new Map<number, O>();
  #next = 1;

  /** Gives the object its id, until its end. */
  publish(object: O): O {
    while (this.#objects.has(this.#next)) this.#advance();
    object.id = this.#next;
    this.#objects.set(object.id, object);
    this.#advance();
    object.onEnd = () => this.#objects.delete(object.id);
    return object;
  }

  #advance(): void {
    this.#next = this.#next === MAX_ID ? 1 : this.#next + 1;
  }

  get(id: number): O | undefined {
    return this.#objects.get(id);
  }

  /** The smallest id above `id`. */
  after(id: number): number | undefined {
    let best: number | undefined;
    for (const other of this.#objects.keys()) {
      if (other > id && (best === undefined || other < best)) best = other;
    }
    return best;
  }
}
