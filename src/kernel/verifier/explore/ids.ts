/**
 * Compares the ids of two states. Ids are names without meaning: two states agree when there is a one-to-one
 * correspondence between the ids of the old state and those of the current one.
 */
export class IdMap {
  private readonly old: number[] = [];
  private readonly cur: number[] = [];
  private fresh = 0;

  /** @param lastId the highest id given so far: stand-ins for missing ids are numbered from there */
  reset(lastId: number): void {
    this.old.length = 0;
    this.cur.length = 0;
    this.fresh = lastId;
  }

  /** Whether `old` may correspond to `cur`; remembers the pair. Zero, no id, corresponds to zero only. */
  match(old: number, cur: number): boolean {
    if (old === 0 || cur === 0) return old === cur;
    for (let i = 0; i < this.old.length; i++) {
      if (this.old[i] === old) return this.cur[i] === cur;
      if (this.cur[i] === cur) return false;
    }
    this.old.push(old);
    this.cur.push(cur);
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
