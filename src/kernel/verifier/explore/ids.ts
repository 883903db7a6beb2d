/**
 * Compares the ids of two states. Ids are names without meaning: two states agree when there is a one-to-one
 * correspondence between the ids of the old state and those of the current one.
 */
export class IdMap {
  private readonly old: number[] = [];
  private readonly cur: number[] = [];
  /** Pairs known; what the arrays hold behind them is left from before, since to empty an array costs more. */
  private pairs = 0;
  private fresh = 0;

  /** @param lastId the highest id given so far: stand-ins for missing ids are numbered from there */
  reset(lastId: number): void {
    this.pairs = 0;
    this.fresh = lastId;
  }

  /** Whether `old` may correspond to `cur`; remembers the pair. Zero, no id, corresponds to zero only. */
  match(old: number, cur: number): boolean {
    if (old === 0 || cur === 0) return old === cur;
    const { pairs } = this;
    for (let i = 0; i < pairs; i++) {
      if (this.old[i] === old) return this.cur[i] === cur;
      if (this.cur[i] === cur) return false;
    }
    this.old[pairs] = old;
    this.cur[pairs] = cur;
    this.pairs = pairs + 1;
    return true;
  }

  /**
   * As {@link match} for scalars: one that is linked to nothing in the old state may be linked to anything now, and
   * one that is linked to nothing now gets a stand-in of its own.
   */
  matchScalar(old: number, cur: number): boolean {
    return old === 0 || this.match(old, cur === 0 ? ++this.fresh : cur);
  }
}
