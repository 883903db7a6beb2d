/** The process that judges the fuzzer's programs for `fuzz-verifier.ts`, which ends it when a program takes too long. */
import { openSync, writeSync } from 'node:fs';
import { decode, toLlvm } from '../src/isa/index.ts';
import { verdictMessage } from './agree-log.ts';
import { generate } from './fuzz-generate.ts';
import { Judge, type Outcome, type Verdict } from './fuzz-judge.ts';
import { type FuzzProgram, Random } from './fuzz-program.ts';

export interface FuzzOrder {
  /** Seed of the first program of the whole run; of mutants, what makes this run other than others. */
  readonly seed: number;
  /** Where this process begins, and how many programs it judges. */
  readonly first: number;
  readonly count: number;
  /** Share of the accepted programs that could be run which are run. */
  readonly runShare: number;
  /** Of mutants: share of the refusals of which the words are compared; the others are judged without a log. */
  readonly wordsShare: number;
  /** Where this process writes the seed it is at: 8 bytes. */
  readonly progressFile: string;
  /** Of mutants: those of the cases whose names match. */
  readonly only?: string;
  /** Causes that were seen before: they are counted, not made small. */
  readonly known: readonly string[];
}

export interface Finding {
  readonly seed: number;
  /** `run`: accepted by both, with other results; `words`: refused by both, with other words. */
  readonly outcome: Outcome | 'run' | 'words';
  readonly cause: string;
  /** The small program and both logs; empty where the cause is known. */
  readonly text: string;
}

export interface FuzzCounts {
  readonly done: number;
  readonly accepted: number;
  readonly ran: number;
  /** Refusals whose words were compared, and those that have the same. */
  readonly compared: number;
  readonly sameWords: number;
}

export type FuzzReport =
  /** Since the last report; and the most memory that the process has had. */
  | { readonly kind: 'counts'; readonly counts: FuzzCounts; readonly megabytes: number }
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'done' };

const BATCH = 200;

function listing(judge: Judge, program: FuzzProgram, bytes: Uint8Array): string {
  const verdict = judge.judgeBytes(program, bytes, 1);
  const { linux, skep } = verdict.judgement;
  const { insns } = decode(bytes);
  const lines = [...insns.entries()].flatMap(([i, insn]) => (insn ? [`${i}: ${toLlvm(insn)}`] : []));
  const head = `${program.type} ${program.privilege} flags 0x${program.flags.toString(16)}`;
  const said = (name: string, { accepted, log, crash }: typeof skep): string =>
    `--- ${name}: ${accepted ? 'accepted' : verdictMessage(log)}\n${(crash ?? log).slice(-1500)}`;
  return [head, ...lines, said('Linux', linux), said('skep', skep)].join('\n');
}

function work(order: FuzzOrder, say: (report: FuzzReport) => void): void {
  const judge = new Judge();
  const known = new Set(order.known);
  const progress = openSync(order.progressFile, 'w');
  const at = new Float64Array(1);
  let counts = { done: 0, accepted: 0, ran: 0, compared: 0, sameWords: 0 };
  const flush = (): void => {
    say({ kind: 'counts', counts, megabytes: process.resourceUsage().maxRSS / 1024 });
    counts = { done: 0, accepted: 0, ran: 0, compared: 0, sameWords: 0 };
  };
  for (let seed = order.first; seed < order.seed + order.count; seed++) {
    at[0] = seed;
    writeSync(progress, new Uint8Array(at.buffer), 0, 8, 0);
    const program = generate(seed);
    const verdict: Verdict = judge.judge(program);
    counts.done++;
    if (verdict.accepted) counts.accepted++;
    if (verdict.outcome !== 'agree') {
      const again = judge.judge(program, 1);
      const cause = again.outcome === verdict.outcome ? again.cause : 'only without a log';
      const { outcome } = verdict;
      const fresh = !known.has(`${outcome} ${cause}`);
      known.add(`${outcome} ${cause}`);
      const small = fresh ? judge.minimise(program) : program;
      const text = fresh ? listing(judge, small, judge.bytes(small)) : '';
      say({ kind: 'finding', finding: { seed, outcome, cause, text } });
    } else if (verdict.accepted && new Random(seed + 7).chance(order.runShare)) {
      const difference = judge.run(program, seed);
      if (difference !== 'not run') counts.ran++;
      if (difference !== undefined && difference !== 'not run') {
        const text = `${difference}\n${listing(judge, program, judge.bytes(program)).split('\n--- Linux')[0]}`;
        say({ kind: 'finding', finding: { seed, outcome: 'run', cause: 'other results', text } });
      }
    }
    // Its parent is gone: nobody hears it.
    if (process.ppid === 1) process.exit(1);
    if (counts.done === BATCH) flush();
  }
  flush();
  say({ kind: 'done' });
}

process.on('message', (order: FuzzOrder) => work(order, (report) => void process.send!(report)));
