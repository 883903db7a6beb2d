/** What is known of one case after it ran. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly road: string;
  readonly event: string;
  /** `lacking`: the kernel is built without it; `forbidden`: it refuses it to everybody. */
  readonly result: 'works' | 'lacking' | 'forbidden' | 'wrong';
  readonly before?: number;
  readonly fired?: number;
  readonly after?: number;
  readonly note?: string;
  readonly errno?: string;
  readonly reason?: string;
  /** What the kernel is built without. */
  readonly config?: string;
  /** The first Linux that has what it lacks. */
  readonly since?: string;
}
