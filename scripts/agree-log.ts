/** Reads verifiers' logs: the words of a verdict, the counts, and how much two logs have in common. */

/** Lines that say nothing of the verdict. */
const COUNTS = /^(processed \d+ insns|verification time|stack depth|mark_read|total_states)/;
const LISTING = /^(\d+: |;|from \d+ to \d+|func#\d+ |Live regs before|\s+\d+: |Validating |Func#\d+ )/;

/** The refusal's last words: what the log ends with, before the counts. */
export function verdictMessage(log: string): string {
  const lines = log.split('\n');
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i]!.trim();
    if (line === '' || COUNTS.test(line) || LISTING.test(line)) continue;
    return line;
  }
  return '';
}

/** Instructions processed, or -1. */
export function processed(log: string): number {
  return Number(/^processed (\d+) insns/m.exec(log)?.[1] ?? -1);
}

/** The numbers of the closing counts, or `undefined`. */
export function counts(log: string): { insns: number; totalStates: number; peakStates: number } | undefined {
  const found = /^processed (\d+) insns .* total_states (\d+) peak_states (\d+)/m.exec(log);
  return found
    ? { insns: Number(found[1]), totalStates: Number(found[2]), peakStates: Number(found[3]) }
    : undefined;
}

/** A message with what differs from program to program left out: the class of a refusal. */
export function messageClass(message: string): string {
  return message
    .replace(/0x[0-9a-f]+/g, 'N')
    .replace(/-?\d+/g, 'N')
    .replace(/'[^']*'/g, "'…'")
    .slice(0, 110);
}

/** A log without what differs from run to run: where the kernel has things in memory, and how long it took. */
export const masked = (log: string): string =>
  log.replace(/0xffff[0-9a-f]{12}/g, 'ADDRESS').replace(/^verification time.*$/gm, '');

/** Time is not compared. */
const comparable = (line: string): boolean => line !== '' && !line.startsWith('verification time');

/**
 * How many lines of the first log stand in the second, in order: by common beginning and end, and between them line by
 * line with a search of limited reach.
 */
export function linesAlike(a: string, b: string): { lines: number; same: number } {
  const left = a.split('\n').filter(comparable);
  const right = b.split('\n').filter(comparable);
  let same = 0;
  let at = 0;
  for (const line of left) {
    const reach = Math.min(right.length, at + 64);
    let found = at;
    while (found < reach && right[found] !== line) found++;
    if (found === reach) continue;
    same++;
    at = found + 1;
  }
  return { lines: Math.max(left.length, right.length), same };
}
