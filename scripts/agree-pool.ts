/** Runs units of cases in a process of their own, which is ended and replaced when one case takes too long. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Result, Unit } from './agree-cases.ts';
import type { Order, Report } from './agree-worker.ts';

export interface PoolOptions extends Omit<Order, 'unit' | 'skip'> {
  /** A case may take so many milliseconds. */
  readonly caseLimit: number;
  /** Megabytes of heap that the process may use. */
  readonly memoryLimit: number;
}

/** One worker, used for one unit after the other. */
export class Pool {
  readonly #options: PoolOptions;
  #child: ChildProcess | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** @param take is called with each result as it comes */
  async run(unit: Unit, take: (result: Result) => void): Promise<void> {
    const skip: string[] = [];
    for (;;) {
      const stuck = await this.#once(unit, skip, take);
      if (stuck === undefined) return;
      skip.push(stuck);
    }
  }

  /** @returns the case that the process did not survive, or `undefined` when the unit is done */
  #once(unit: Unit, skip: string[], take: (result: Result) => void): Promise<string | undefined> {
    const { caseLimit, memoryLimit, ...rest } = this.#options;
    this.#child ??= fork(join(import.meta.dirname, 'agree-worker.ts'), {
      execArgv: [...process.execArgv, `--max-old-space-size=${memoryLimit}`],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    const child = this.#child;
    return new Promise((resolve) => {
      let current: string | undefined;
      let timer: NodeJS.Timeout | undefined;
      let stderr = '';
      let timedOut = false;
      const watch = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          timedOut = true;
          child.kill('SIGKILL');
        }, caseLimit);
      };
      const settle = (stuck: string | undefined): void => {
        clearTimeout(timer);
        child.off('message', hear).off('exit', ended);
        child.stderr!.off('data', keep);
        resolve(stuck);
      };
      const hear = (report: Report): void => {
        watch();
        if (report.kind === 'done') {
          settle(undefined);
          return;
        }
        if (report.kind === 'begin') {
          current = report.id;
          return;
        }
        skip.push(report.result.id);
        current = undefined;
        take(report.result);
      };
      const ended = (): void => {
        this.#child = undefined;
        if (current === undefined) throw new Error(`the worker ended between cases: ${stderr.slice(-2000)}`);
        const outcome = timedOut ? 'hang' : 'crash';
        const fatal = /^(?:FATAL ERROR|\w*Error):? .*$/m.exec(stderr)?.[0] ?? stderr.slice(-300);
        take({ id: current, outcome, skep: timedOut ? `no answer in ${caseLimit / 1000} s` : fatal });
        settle(current);
      };
      const keep = (data: Buffer): void => {
        stderr = (stderr + data.toString()).slice(-8000);
      };
      child.stderr!.on('data', keep);
      child.on('message', hear).on('exit', ended);
      watch();
      child.send({ unit, skip, ...rest } satisfies Order);
    });
  }

  close(): void {
    this.#child?.removeAllListeners('exit');
    this.#child?.kill();
    this.#child = undefined;
  }
}
