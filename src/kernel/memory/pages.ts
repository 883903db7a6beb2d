import { Bug } from '../../base/error.ts';

/** A run of pages: `first` is a page number. */
interface Run {
  first: number;
  count: number;
}

/**
 * Which pages of the address space are free. First fit in address order with coalescing, so the same requests in the
 * same order always give the same pages.
 */
export class PageRuns {
  /** Free runs below the end, in address order, never adjacent to each other. */
  readonly #free: Run[] = [];
  /** One past the last page that was ever handed out; pages from here on are untouched. */
  #end: number;

  constructor(first: number) {
    this.#end = first;
  }

  /** One past the last page in use. */
  get end(): number {
    return this.#end;
  }

  /** Where a run of `count` pages would go. */
  find(count: number): number {
    for (const run of this.#free) if (run.count >= count) return run.first;
    return this.#end;
  }

  /** Takes the run at `first`, an answer of {@link find} for the same count. */
  take(first: number, count: number): void {
    if (first === this.#end) {
      this.#end += count;
      return;
    }
    const index = this.#free.findIndex((run) => run.first === first);
    const run = this.#free[index];
    if (!run || run.count < count) throw new Bug(`taking pages ${first}+${count} that are not free`);
    run.first += count;
    run.count -= count;
    if (run.count === 0) this.#free.splice(index, 1);
  }

  give(first: number, count: number): void {
    let index = this.#free.findIndex((run) => run.first > first);
    if (index < 0) index = this.#free.length;
    const before = this.#free[index - 1];
    if (before && before.first + before.count === first) {
      before.count += count;
      index -= 1;
    } else {
      this.#free.splice(index, 0, { first, count });
    }
    const run = this.#free[index]!;
    const after = this.#free[index + 1];
    if (after && run.first + run.count === after.first) {
      run.count += after.count;
      this.#free.splice(index + 1, 1);
    }
    if (run.first + run.count === this.#end) {
      this.#end = run.first;
      this.#free.splice(index, 1);
    }
  }
}
