/** The cases that both kernels judge, and the result of judging one. */
import { readFileSync } from 'node:fs';
import { Bug, InputError } from '../src/base/error.ts';
import { ALL_CAPABILITIES, type Capabilities, NO_CAPABILITIES } from '../src/kernel/verifier/index.ts';
import { loadObject, type ObjectSpec, parseObject } from '../src/loader/index.ts';
import { PROG_LOAD_FLAGS, progTypeName } from '../src/sys/index.ts';
import { type Annotations, missingMessage, readAnnotations } from './agree-annotations.ts';
import type { Answer, Judgement, TwoKernels } from './agree-kernels.ts';
import { linesAlike, masked, processed, verdictMessage } from './agree-log.ts';
import { loadCase } from './agree-testverifier.ts';
import { capabilityDropper } from './capabilities.ts';
import { readTestVerifier, type TestVerifierCase } from './corpora-testverifier.ts';

export type Privilege = 'root' | 'net' | 'bpf' | 'none';

export const PRIVILEGES: Readonly<Record<Privilege, Capabilities>> = {
  root: ALL_CAPABILITIES,
  net: { ...NO_CAPABILITIES, bpf: true, netAdmin: true },
  bpf: { ...NO_CAPABILITIES, bpf: true },
  none: NO_CAPABILITIES,
};

/** What a worker does in one go: the programs of an object, or some cases of test_verifier. */
export type Unit =
  | { readonly kind: 'object'; readonly file: string }
  | { readonly kind: 'testverifier'; readonly file: string; readonly from: number; readonly to: number };

/** How a case went. */
export interface Result {
  readonly id: string;
  /**
   * `agree`; `softer` (skep accepts what Linux refuses) and `harder`; `crash` and `hang` are no verdict of skep's;
   * `unjudged` when Linux's verifier was not reached.
   */
  readonly outcome: 'agree' | 'softer' | 'harder' | 'crash' | 'hang' | 'unjudged';
  /** Why Linux did not judge. */
  readonly unjudged?: string;
  readonly accepted?: boolean;
  /** The refusals' last words. */
  readonly linux?: string;
  readonly skep?: string;
  /** Whether both refuse with the same words, and errno. */
  readonly sameMessage?: boolean;
  readonly sameErrno?: boolean;
  /** Whether Linux itself does what is expected of it: verdict and messages. */
  readonly linuxAsExpected?: boolean;
  /** Whether skep's log has the expected messages; absent where none are expected, or Linux's lacks them. */
  readonly expectedMessages?: boolean;
  readonly missing?: string;
  readonly log2?: { readonly lines: number; readonly same: number };
  readonly processed?: { readonly linux: number; readonly skep: number };
  readonly ms?: { readonly linux: number; readonly skep: number };
  /** The logs' ends, when they were asked for. */
  readonly logs?: { readonly linux: string; readonly skep: string };
}

export interface RunOptions {
  readonly privilege: Privilege;
  readonly filter: RegExp | undefined;
  /** Cases that were already run, or that must not be run again. */
  readonly skip: ReadonlySet<string>;
  /** Compare level 2 logs of the accepted programs with these ids. */
  readonly log2: ReadonlySet<string>;
  readonly keepLogs: boolean;
  /** Linux lets no such caller in: skep's verdict is held against what the test expects. */
  readonly expectationsOnly: boolean;
}

/** Level 2 logs longer than this are not compared: their lines would drown all others. */
const LOG2_BYTES = 4 << 20;
const KEPT_LOG = 6000;

interface Expected {
  readonly accept: boolean | undefined;
  readonly messages: readonly string[];
}

/** Runs the cases of a unit, one after the other. */
export function* runUnit(
  kernels: TwoKernels,
  unit: Unit,
  options: RunOptions,
): Generator<{ begin: string } | { result: Result }> {
  kernels.mapsUnprivileged = options.expectationsOnly;
  for (const { id, load, level, flags, expected, here } of casesOf(unit)(options.privilege)) {
    if (options.skip.has(id) || options.filter?.test(id) === false) continue;
    yield { begin: id };
    if (!here) {
      yield { result: { id, outcome: 'unjudged', unjudged: 'for another processor' } };
      continue;
    }
    const capabilities = PRIVILEGES[options.privilege];
    const dropper = options.privilege === 'root' ? undefined : capabilityDropper(capabilities);
    const manner = {
      flagsSet: flags.set,
      flagsCleared: flags.cleared,
      capabilities,
      ...(dropper && { lowered: dropper }),
    };
    kernels.manner = { ...manner, logLevel: Math.max(1, level) };
    const reason = attempt(() => load(kernels));
    const last = kernels.judged.splice(0).at(-1);
    const judged = last && options.expectationsOnly ? asExpected(last, expected) : last;
    if (!judged || (!judged.linux.accepted && judged.linux.log === '')) {
      const why = judged ? `refused before verification: ${judged.linux.errno}` : (reason ?? 'not loaded');
      yield { result: { id, outcome: 'unjudged', unjudged: why } };
      continue;
    }
    const result = compare(id, judged, expected, options);
    if (result.outcome !== 'agree' || !result.accepted || !options.log2.has(id)) {
      yield { result };
      continue;
    }
    kernels.manner = { ...manner, logLevel: 2 };
    attempt(() => load(kernels));
    const second = kernels.judged.splice(0).at(-1);
    const fits = second && second.linux.log.length < LOG2_BYTES;
    yield {
      result: fits
        ? { ...result, log2: linesAlike(masked(second.linux.log), masked(second.skep.log)) }
        : result,
    };
  }
}

/** As if Linux had said what the test expects of it. */
function asExpected(judged: Judgement, { accept, messages }: Expected): Judgement | undefined {
  if (accept === undefined) return undefined;
  const log = accept ? 'accepted' : messages.join('\n') || 'refused';
  return { ...judged, linux: { accepted: accept, log, ms: 0 } };
}

/** @returns why it failed, or `undefined` */
function attempt(load: () => void): string | undefined {
  try {
    load();
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

function compare(id: string, judged: Judgement, expected: Expected, options: RunOptions): Result {
  const { linux, skep } = judged;
  const outcome =
    skep.crash !== undefined
      ? 'crash'
      : skep.accepted === linux.accepted
        ? 'agree'
        : skep.accepted
          ? 'softer'
          : 'harder';
  const said = verdictMessage(linux.log);
  const own = skep.crash ?? verdictMessage(skep.log);
  const linuxHas = missingMessage(linux.log, expected.messages) === undefined;
  const missing = missingMessage(skep.log, expected.messages);
  const counts = { linux: processed(linux.log), skep: processed(skep.log) };
  const wanted = expected.accept === undefined || expected.accept === linux.accepted;
  return {
    id,
    outcome,
    accepted: linux.accepted,
    ...(!linux.accepted && { linux: said }),
    ...((!skep.accepted || skep.crash) && { skep: own }),
    ...(outcome === 'agree' &&
      !linux.accepted && { sameMessage: said === own, sameErrno: linux.errno === skep.errno }),
    ...((expected.accept !== undefined || expected.messages.length > 0) && {
      linuxAsExpected: wanted && linuxHas,
    }),
    ...(expected.messages.length > 0 &&
      linuxHas && { expectedMessages: missing === undefined, ...(missing !== undefined && { missing }) }),
    processed: counts,
    ms: { linux: linux.ms, skep: skep.ms },
    ...(options.keepLogs && { logs: { linux: end(linux), skep: end(skep) } }),
  };
}

function end({ log, crash }: Answer): string {
  return crash ?? (log.length > KEPT_LOG ? `…${log.slice(-KEPT_LOG)}` : log);
}

/** A case, ready to be loaded. */
export interface Case {
  readonly id: string;
  readonly load: (kernels: TwoKernels) => void;
  readonly level: number;
  readonly flags: { readonly set: number; readonly cleared: number };
  readonly expected: Expected;
  readonly here: boolean;
}

type Cases = (privilege: Privilege) => Iterable<Case>;

/** The cases of a unit. */
export function casesOf(unit: Unit): Cases {
  return unit.kind === 'object' ? objectCases(unit.file) : testVerifierCases(unit);
}

/** Flags that the selftests' runner gives every program. */
const TESTING = PROG_LOAD_FLAGS.BPF_F_TEST_RND_HI32 | PROG_LOAD_FLAGS.BPF_F_TEST_REG_INVARIANTS;

function objectCases(file: string): Cases {
  return function* (privilege) {
    const stem = file.replace(/^.*\//, '').replace(/\.bpf\.o$|\.o$/, '');
    let spec: ObjectSpec;
    try {
      spec = parseObject(new Uint8Array(readFileSync(file)), `${stem}.o`);
    } catch (error) {
      if (error instanceof InputError || error instanceof Bug) return;
      throw error;
    }
    for (const program of spec.programs.values()) {
      const func = spec.functions[program.func]!.btfType;
      const notes = spec.btf && func !== undefined ? readAnnotations(spec.btf, func) : undefined;
      yield {
        id: `${stem}:${program.name}`,
        load: (kernels) =>
          loadObject(kernels, spec, {
            programs: [program.name],
            maps: 'used',
            logLevel: kernels.manner.logLevel,
          }).close(),
        level: notes?.logLevel ?? 0,
        flags: {
          set: (TESTING | (notes?.flagsSet ?? 0)) & ~(notes?.flagsCleared ?? 0),
          cleared: notes?.flagsCleared ?? 0,
        },
        expected: expectation(notes, privilege),
        here: notes?.here ?? true,
      };
    }
  };
}

function expectation(notes: Annotations | undefined, privilege: Privilege): Expected {
  const said = privilege === 'none' ? notes?.unprivileged : notes?.root;
  return said && privilege !== 'bpf' && privilege !== 'net' ? said : { accept: undefined, messages: [] };
}

const EXPECTED: readonly (boolean | undefined)[] = [undefined, true, false, true];
const STRICT = 2;
const UNALIGNED = 1;

const UNPRIVILEGED_TYPES: ReadonlySet<string> = new Set(['socket_filter', 'cgroup_skb']);

function testVerifierCases({ file, from, to }: Unit & { kind: 'testverifier' }): Cases {
  return function* (privilege) {
    const { types, lines } = readTestVerifier(file);
    for (const [i, line] of lines.slice(from, to).entries()) {
      const data = JSON.parse(line) as TestVerifierCase;
      const unprivileged = privilege === 'none';
      // The suite runs only these types without privilege.
      if (unprivileged && !UNPRIVILEGED_TYPES.has(progTypeName(data.prog_type || 1) ?? '')) continue;
      const result = unprivileged && data.result_unpriv !== 0 ? data.result_unpriv : data.result;
      const text = unprivileged && data.errstr_unpriv !== '' ? data.errstr_unpriv : data.errstr;
      const accept = EXPECTED[result];
      const wanted = result === 1 ? '' : text;
      const set =
        PROG_LOAD_FLAGS.BPF_F_TEST_RND_HI32 |
        (data.flags & STRICT ? PROG_LOAD_FLAGS.BPF_F_STRICT_ALIGNMENT : 0) |
        (data.flags & UNALIGNED ? PROG_LOAD_FLAGS.BPF_F_ANY_ALIGNMENT : 0) |
        (data.flags & ~(STRICT | UNALIGNED));
      yield {
        id: `#${from + i} ${data.descr}`,
        load: (kernels) => {
          // What the case needs is made with every privilege.
          const { manner } = kernels;
          kernels.manner = { logLevel: manner.logLevel };
          loadCase(kernels, data, types, () => {
            kernels.judged.length = 0;
            kernels.manner = manner;
          });
        },
        level: result === 3 ? 2 : 1,
        flags: { set, cleared: 0 },
        expected:
          privilege === 'bpf' || privilege === 'net'
            ? { accept: undefined, messages: [] }
            : { accept, messages: wanted.split('\t').filter((m) => m !== '') },
        here: true,
      };
    }
  };
}
