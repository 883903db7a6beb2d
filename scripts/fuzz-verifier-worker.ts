/** The process that judges the fuzzer's programs for `fuzz-verifier.ts`, which ends it when a program takes too long. */
import { openSync, writeSync } from 'node:fs';
import { decode, toLlvm } from '../src/isa/index.ts';
import { verdictMessage } from './agree-log.ts';
import { generate } from './fuzz-generate.ts';
import { Judge, type Outcome, type Verdict } from './fuzz-judge.ts';
import { type FuzzProgram, Random } from './fuzz-program.ts';

export interface FuzzOrder {
  readonly first: number;
  readonly count: number;
  /** Bytes of programs are changed at random: what is asked is that there is an answer. */
  readonly mutate: boolean;
  /** Share of the accepted programs that could be run which are run. */
  readonly runShare: number;
  /** Where this process writes the seed it is at: 8 bytes. */
  readonly progressFile: string;
  /** Causes that were seen before: they are counted, not made small. */
  readonly known: readonly string[];
}

export interface Finding {
  readonly seed: number;
  readonly outcome: Outcome | 'run';
  readonly cause: string;
  /** The small program and both logs; empty where the cause is known. */
  readonly text: string;
}

export type FuzzReport =
  | { readonly kind: 'counts'; readonly done: number; readonly accepted: number; readonly ran: number }
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

/** Changes some bytes, words or whole instructions. */
function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  const out = bytes.slice();
  for (let n = 1 + random.below(4); n > 0; n--) {
    const at = random.below(out.length);
    switch (random.below(5)) {
      case 0:
        out[at] = random.next() & 255;
        break;
      case 1:
        out[at] = out[at]! ^ (1 << random.below(8));
        break;
      case 2:
        out.copyWithin(at & ~7, random.below(out.length) & ~7, (random.below(out.length) & ~7) + 8);
        break;
      case 3:
        // Opcodes that exist, in place of others.
        out[at & ~7] = random.pick([
          0x05, 0x06, 0x18, 0x61, 0x85, 0x95, 0xbf, 0xdb, 0xc3, 0x81, 0xe5, 0x30, 0x50,
        ]);
        break;
      default:
        new DataView(out.buffer).setInt32((at & ~7) + 4, random.imm(), true);
    }
  }
  return out;
}

function work(order: FuzzOrder, say: (report: FuzzReport) => void): void {
  const judge = new Judge();
  const known = new Set(order.known);
  const progress = openSync(order.progressFile, 'w');
  const at = new Float64Array(1);
  let [done, accepted, ran] = [0, 0, 0];
  const flush = (): void => {
    say({ kind: 'counts', done, accepted, ran });
    [done, accepted, ran] = [0, 0, 0];
  };
  for (let seed = order.first; seed < order.first + order.count; seed++) {
    at[0] = seed;
    writeSync(progress, new Uint8Array(at.buffer), 0, 8, 0);
    const program = generate(seed);
    const bytes = order.mutate ? mutate(judge.bytes(program), new Random(seed ^ 0x5eed)) : undefined;
    const verdict: Verdict = bytes ? judge.judgeBytes(program, bytes) : judge.judge(program);
    done++;
    if (verdict.accepted) accepted++;
    if (verdict.outcome !== 'agree') {
      const again = bytes ? judge.judgeBytes(program, bytes, 1) : judge.judge(program, 1);
      const cause = again.outcome === verdict.outcome ? again.cause : 'only without a log';
      const { outcome } = verdict;
      const fresh = !known.has(`${outcome} ${cause}`);
      known.add(`${outcome} ${cause}`);
      const small = fresh && !bytes ? judge.minimise(program) : program;
      const text = fresh ? listing(judge, small, bytes ?? judge.bytes(small)) : '';
      say({ kind: 'finding', finding: { seed, outcome, cause, text } });
    } else if (verdict.accepted && !bytes && program.repeatable && program.privilege === 'careful') {
      const share = new Random(seed + 7);
      if (share.chance(order.runShare)) {
        const difference = judge.run(program, seed);
        if (difference !== 'not run') ran++;
        if (difference !== undefined && difference !== 'not run') {
          const text = `${difference}\n${listing(judge, program, judge.bytes(program)).split('\n--- Linux')[0]}`;
          say({ kind: 'finding', finding: { seed, outcome: 'run', cause: 'other results', text } });
        }
      }
    }
    if (done === BATCH) flush();
  }
  flush();
  say({ kind: 'done' });
}

process.on('message', (order: FuzzOrder) => work(order, (report) => void process.send!(report)));
