/** The process that judges changed copies of real programs for `fuzz-verifier.ts --mutate`. */
import { existsSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../src/base/error.ts';
import { decode, toLlvm } from '../src/isa/index.ts';
import { openLinux } from '../src/linux/index.ts';
import type { Bpf, ProgLoadAttr } from '../src/sys/index.ts';
import { type Case, casesOf, type Unit } from './agree-cases.ts';
import { type Judgement, TwoKernels } from './agree-kernels.ts';
import { messageClass, verdictMessage } from './agree-log.ts';
import { DEFAULT_CORPORA } from './corpora.ts';
import { readTestVerifier, type TestVerifierCase } from './corpora-testverifier.ts';
import { Random } from './fuzz-program.ts';
import { type Donors, mutate, smaller } from './fuzz-verifier-mutate.ts';
import type { Finding, FuzzOrder, FuzzReport } from './fuzz-verifier-worker.ts';

/** A case whose mutants take longer than this, in milliseconds, gets fewer of them. */
const CASE_MS = 3000;
const REPORT_EACH = 500;

/** The programs to start from: Linux's selftests, its test_verifier, Debian's objects, and this project's examples. */
function units(): Unit[] {
  const objects = [
    join(DEFAULT_CORPORA, 'selftests-6.12'),
    join(DEFAULT_CORPORA, 'debian'),
    join(import.meta.dirname, '../examples'),
  ].flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => name.endsWith('.o'))
          .sort()
          .map((name) => join(folder, name))
      : [],
  );
  const found: Unit[] = objects.map((file) => ({ kind: 'object', file }));
  const cases = join(DEFAULT_CORPORA, 'test_verifier-6.1.jsonl');
  if (existsSync(cases))
    found.push({ kind: 'testverifier', file: cases, from: 0, to: readTestVerifier(cases).lines.length });
  return found;
}

/** The instructions of test_verifier's cases. */
function donors(): Donors {
  const cases = join(DEFAULT_CORPORA, 'test_verifier-6.1.jsonl');
  if (!existsSync(cases)) return [];
  return readTestVerifier(cases).lines.flatMap((line) => {
    const insns = Uint8Array.from(Buffer.from((JSON.parse(line) as TestVerifierCase).insns, 'hex'));
    return insns.length > 0 && insns.length < 4096 ? [insns] : [];
  });
}

/** The cases of a unit that this machine can judge. */
function casesHere(unit: Unit): Case[] {
  return [...casesOf(unit)('root')].filter(({ here }) => here);
}

/** A name as a number. */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) value = Math.imul(value ^ name.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

class Mutants {
  readonly #kernels = new TwoKernels(openLinux());
  readonly #donors = donors();
  readonly #order: FuzzOrder;
  readonly #say: (report: FuzzReport) => void;
  readonly #known: Set<string>;
  readonly #progress: number;
  /** The same kernels; told of every load first. */
  readonly #hooked: TwoKernels;
  #hook: (attr: ProgLoadAttr) => void = () => undefined;
  readonly #at = new Float64Array(1);
  #counts = { done: 0, accepted: 0, ran: 0, compared: 0, sameWords: 0 };

  constructor(order: FuzzOrder, say: (report: FuzzReport) => void) {
    this.#order = order;
    this.#say = say;
    this.#known = new Set(order.known);
    this.#progress = openSync(order.progressFile, 'w');
    const bpf: Bpf = {
      ...this.#kernels.bpf,
      prog_load: (attr) => {
        this.#hook(attr);
        return this.#kernels.bpf.prog_load(attr);
      },
    };
    this.#hooked = new Proxy(this.#kernels, {
      get: (target, name) => {
        if (name === 'bpf') return bpf;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  run(): void {
    const from = units();
    // A case holds its object: all of them at once are a gigabyte.
    const ids = from.map((unit) => casesHere(unit).map(({ id }) => id));
    const each = Math.ceil(this.#order.count / ids.flat().length);
    const only = this.#order.only === undefined ? undefined : new RegExp(this.#order.only);
    const wanted = (id: string, base: number): boolean =>
      base + each > this.#order.first && only?.test(id) !== false;
    let first = 0;
    for (const [i, unit] of from.entries()) {
      const base = first;
      first += ids[i]!.length * each;
      if (!ids[i]!.some((id, n) => wanted(id, base + n * each))) continue;
      for (const [n, one] of casesHere(unit).entries()) {
        if (wanted(one.id, base + n * each)) this.#case(one, base + n * each, each);
      }
    }
    this.#flush();
    this.#say({ kind: 'done' });
  }

  #flush(): void {
    this.#say({ kind: 'counts', counts: this.#counts, megabytes: process.resourceUsage().maxRSS / 1024 });
    this.#counts = { done: 0, accepted: 0, ran: 0, compared: 0, sameWords: 0 };
  }

  /** Loads a case; while what it refers to is there, judges what can be made of it. */
  #case(one: Case, base: number, each: number): void {
    // What is loaded last is the case itself: those of test_verifier fill prog arrays before.
    let before = 0;
    if (one.id.startsWith('#')) this.#load(one, () => void before++);
    this.#load(one, (attr) => {
      if (--before > 0) return;
      if (before > -2) this.#mutants(one, attr, base, each);
      throw new InputError('fuzz-mutants', 'its mutants were judged', { errno: 'ECANCELED' });
    });
  }

  #load(one: Case, hook: (attr: ProgLoadAttr) => void): void {
    const two = this.#kernels;
    two.manner = { logLevel: 0, flagsSet: one.flags.set, flagsCleared: one.flags.cleared };
    this.#hook = hook;
    try {
      one.load(this.#hooked);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
    two.judged.splice(0);
  }

  #mutants(one: Case, given: ProgLoadAttr, first: number, each: number): void {
    const { log_level: _, log_size: __, ...plain } = given;
    const attr: ProgLoadAttr = {
      ...plain,
      prog_flags: ((given.prog_flags ?? 0) | one.flags.set) & ~one.flags.cleared,
    };
    const { linux } = this.#ask(attr, 1);
    // What Linux's verifier does not get to see is not compared.
    const compare = linux.accepted || linux.log !== '';
    const { insns } = attr;
    const until = performance.now() + CASE_MS;
    for (let n = 0; n < each && performance.now() < until; n++) {
      const seed = first + n;
      if (seed < this.#order.first) continue;
      this.#at[0] = seed;
      writeSync(this.#progress, new Uint8Array(this.#at.buffer), 0, 8, 0);
      const random = new Random((hash(one.id) ^ Math.imul(this.#order.seed + n, 0x9e3779b1)) | 0);
      const bytes = mutate(insns, this.#donors, random);
      this.#judge(
        `${one.id} / ${n}`,
        { ...attr, insns: bytes },
        compare,
        random.chance(this.#order.wordsShare),
      );
      // Its parent is gone: nobody hears it.
      if (process.ppid === 1) process.exit(1);
      if (this.#counts.done >= REPORT_EACH) this.#flush();
    }
  }

  #ask(attr: ProgLoadAttr, level: number): Judgement {
    const two = this.#kernels;
    two.manner = { logLevel: level };
    try {
      two.closeFd(two.bpf.prog_load(attr).fd);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
    return two.judged.splice(0).at(-1)!;
  }

  #judge(id: string, attr: ProgLoadAttr, compare: boolean, withLog: boolean): void {
    const judged = this.#ask(attr, withLog ? 1 : 0);
    const found = outcome(judged);
    this.#counts.done++;
    if (judged.linux.accepted) this.#counts.accepted++;
    if (withLog && compare && !judged.linux.accepted && found === 'agree') {
      this.#counts.compared++;
      const same = verdictMessage(judged.linux.log) === verdictMessage(judged.skep.log);
      if (same) this.#counts.sameWords++;
      else this.#finding(id, 'words', attr, this.#ask(attr, 1));
    }
    if (found === 'agree' || (found !== 'crash' && !compare)) return;
    this.#finding(id, found, attr, this.#ask(attr, 1));
  }

  #finding(id: string, found: Finding['outcome'], attr: ProgLoadAttr, judged: Judgement): void {
    const cause = causeOf(found, judged);
    const fresh = !this.#known.has(`${found} ${cause}`);
    this.#known.add(`${found} ${cause}`);
    let text = '';
    if (fresh) {
      const same = (insns: Uint8Array): boolean => {
        const now = this.#ask({ ...attr, insns }, 1);
        const what = outcome(now);
        const now2 = found === 'words' && what === 'agree' && !now.linux.accepted ? 'words' : what;
        return now2 === found && causeOf(found, now) === cause;
      };
      const small = { ...attr, insns: smaller(attr.insns, same) };
      text = listing(small, this.#ask(small, 1));
    }
    this.#say({
      kind: 'finding',
      finding: { seed: this.#at[0]!, outcome: found, cause, text: text && `${id}\n${text}` },
    });
  }
}

/** An answer may take so much processor time. */
const LIMIT_MS = 10_000;

function outcome({ linux, skep }: Judgement): 'agree' | 'softer' | 'harder' | 'crash' {
  if (skep.crash !== undefined || (skep.cpuMs ?? 0) > LIMIT_MS) return 'crash';
  if (skep.accepted === linux.accepted) return 'agree';
  return skep.accepted ? 'softer' : 'harder';
}

function causeOf(found: Finding['outcome'], { linux, skep }: Judgement): string {
  const words = (log: string): string => messageClass(verdictMessage(log));
  if (found === 'crash')
    return messageClass((skep.crash ?? `it took ${skep.cpuMs?.toFixed(0)} ms`).split('\n')[0]!);
  if (found === 'softer') return words(linux.log);
  if (found === 'words') return `${words(linux.log)} | ${words(skep.log)}`;
  return words(skep.log);
}

function listing(attr: ProgLoadAttr, { linux, skep }: Judgement): string {
  const { insns } = decode(attr.insns);
  const lines = [...insns.entries()].flatMap(([i, insn]) => {
    const text = insn && toLlvm(insn);
    return text === undefined || text === 'goto +0x0' ? [] : [`${i}: ${text}`];
  });
  const end = (log: string): string => log.slice(-1200);
  return [
    `${attr.prog_type} flags 0x${(attr.prog_flags ?? 0).toString(16)}`,
    ...lines.slice(0, 80),
    `--- Linux: ${linux.accepted ? 'accepted' : `${linux.errno} ${verdictMessage(linux.log)}`}\n${end(linux.log)}`,
    `--- skep: ${skep.accepted ? 'accepted' : `${skep.errno} ${verdictMessage(skep.log)}`}\n${skep.crash ?? end(skep.log)}`,
  ].join('\n');
}

process.on('message', (order: FuzzOrder) => new Mutants(order, (report) => void process.send!(report)).run());
