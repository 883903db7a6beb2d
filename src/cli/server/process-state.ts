/** What Linux tells of another process; elsewhere, whether it is there. */
import { readFileSync } from 'node:fs';

export interface ProcessState {
  /** `R`, `S`, `T` …; `?` where it can't be told. */
  readonly state: string;
  /** Processor time so far, in ticks. */
  readonly cpu: number;
  /** When it started; tells it from a later one of the same number. */
  readonly ticks: string;
}

/** `undefined` when there is no such process. */
export function processState(pid: number): ProcessState | undefined {
  if (process.platform !== 'linux') {
    try {
      process.kill(pid, 0);
      return { state: '?', cpu: 0, ticks: '' };
    } catch {
      return undefined;
    }
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0] ?? '?';
    if (state === 'Z' || state === 'X') return undefined;
    return { state, cpu: Number(fields[11]) + Number(fields[12]), ticks: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}
