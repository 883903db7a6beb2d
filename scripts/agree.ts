/**
 * Where skep's verifier and Linux's disagree: the programs of Linux's selftests and test_verifier, judged by both.
 *
 *     npm run agree [-- --set golden|selftests|testverifier|all] [--filter REGEX] [--privilege root|net|bpf|none]
 *                      [--verbose] [--list] [--log2] [--limit SECONDS] [--json FILE] [--corpora FOLDER] [--retval]
 *
 * `golden` are the programs whose expectations Linux 6.12 and 7.2 share. `--privilege bpf` loads with CAP_BPF alone,
 * `net` with CAP_NET_ADMIN too, `none` with none of BPF's capabilities. The verdict compared is this kernel's own on the same
 * input; without privilege, where `kernel.unprivileged_bpf_disabled` is not 0, it is the one that test_verifier expects. `--retval` runs the programs that say what they return.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { linuxStatus } from '../src/linux/index.ts';
import { commonExpectations } from './agree-annotations.ts';
import type { Privilege, Result, Unit } from './agree-cases.ts';
import { messageClass } from './agree-log.ts';
import { Pool } from './agree-pool.ts';
import { figures, printReport } from './agree-report.ts';
import { agreeOnRetvals } from './agree-retval.ts';
import { type Corpora, DEFAULT_CORPORA, prepareCorpora } from './corpora.ts';
import { readTestVerifier } from './corpora-testverifier.ts';

const SETS = ['golden', 'selftests', 'testverifier', 'all'] as const;
type SetName = (typeof SETS)[number];
const CHUNK = 100;

const { values } = parseArgs({
  options: {
    set: { type: 'string', default: 'all' },
    filter: { type: 'string' },
    privilege: { type: 'string', default: 'root' },
    corpora: { type: 'string', default: DEFAULT_CORPORA },
    json: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    log2: { type: 'boolean', default: false },
    limit: { type: 'string', default: '180' },
    retval: { type: 'boolean', default: false },
  },
});

/** Units of work, with the number of cases for the progress line where it is known. */
function unitsOf(set: SetName, corpora: Corpora, golden: ReadonlySet<string>, filter?: RegExp): Unit[] {
  const units: Unit[] = [];
  if (set !== 'testverifier' && existsSync(corpora.objects)) {
    const wanted = new Set([...golden].map((id) => id.split(':')[0]));
    for (const file of readdirSync(corpora.objects).filter((name) => name.endsWith('.bpf.o'))) {
      const stem = file.replace(/\.bpf\.o$/, '');
      if (set === 'golden' && !wanted.has(stem)) continue;
      if (filter !== undefined && !couldMatch(filter, stem)) continue;
      units.push({ kind: 'object', file: join(corpora.objects, file) });
    }
  }
  if ((set === 'testverifier' || set === 'all') && existsSync(corpora.testVerifier)) {
    const { lines } = readTestVerifier(corpora.testVerifier);
    for (let from = 0; from < lines.length; from += CHUNK) {
      units.push({ kind: 'testverifier', file: corpora.testVerifier, from, to: from + CHUNK });
    }
  }
  return units;
}

/** Whether `^stem:` can match; saves parsing objects. */
function couldMatch(filter: RegExp, stem: string): boolean {
  if (filter.source.includes('|')) return true;
  const literal = /^\^([\w-]+):/.exec(filter.source)?.[1];
  return literal === undefined || literal === stem;
}

async function main(): Promise<number> {
  const set = values.set as SetName;
  const privilege = values.privilege as Privilege;
  if (!SETS.includes(set) || !['root', 'net', 'bpf', 'none'].includes(privilege)) {
    console.error(`--set is one of ${SETS.join(', ')}; --privilege one of root, net, bpf, none`);
    return 2;
  }
  const status = linuxStatus();
  if (!status.ok) {
    console.log(`skipped: ${status.reason}`);
    return 0;
  }
  const expectationsOnly =
    privilege === 'none' && readFileSync('/proc/sys/kernel/unprivileged_bpf_disabled', 'utf8').trim() !== '0';
  if (expectationsOnly)
    console.log(
      'kernel.unprivileged_bpf_disabled is not 0: Linux is not asked, skep is held against what the tests expect',
    );
  const corpora = await prepareCorpora(values.corpora);
  for (const reason of corpora.missing) console.log(`skipped: ${reason}`);
  if (!existsSync(corpora.objects) && !existsSync(corpora.testVerifier)) return 0;
  if (values.retval) {
    const only = values.filter === undefined ? undefined : new RegExp(values.filter);
    return existsSync(corpora.objects)
      ? agreeOnRetvals({ objects: corpora.objects, filter: only, list: values.list })
      : 0;
  }
  const golden =
    existsSync(corpora.progs) && existsSync(corpora.newerProgs)
      ? commonExpectations(corpora.progs, corpora.newerProgs)
      : new Set<string>();
  const filter = values.filter === undefined ? undefined : new RegExp(values.filter);
  const pool = new Pool({
    privilege,
    filter: values.filter,
    log2: values.log2 ? [...golden] : [],
    keepLogs: values.verbose,
    expectationsOnly,
    caseLimit: Number(values.limit) * 1000,
    memoryLimit: 2048,
  });
  const results: Result[] = [];
  const units = unitsOf(set, corpora, golden, filter);
  let said = 0;
  for (const [i, unit] of units.entries()) {
    await pool.run(unit, (result) => {
      if (set === 'golden' && !golden.has(result.id)) return;
      results.push(result);
      if (!process.stderr.isTTY || Date.now() - said < 200) return;
      said = Date.now();
      const share = Math.round((100 * i) / units.length);
      process.stderr.write(`\r\x1b[K${share} % · ${results.length} cases · ${result.id.slice(0, 60)}`);
    });
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  pool.close();
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 1)}\n`);
  printReport(results, golden, { list: values.list || values.verbose, verbose: values.verbose });
  if (expectationsOnly) await askWithBpf(results, units);
  for (const [name, value] of figures(results, golden, privilege)) console.log(`figure ${name} ${value}`);
  if (results.length > 0) return 0;
  console.error('no case was run: nothing was compared');
  return 1;
}

/**
 * What tests of an older Linux expect to be refused and skep accepts: this Linux judges it with CAP_BPF alone, by the same
 * rules of speculation.
 */
async function askWithBpf(results: readonly Result[], units: readonly Unit[]): Promise<void> {
  const softer = results.filter(({ outcome }) => outcome === 'softer');
  const numbers = softer.flatMap(({ id }) => /^#\d+ /.exec(id) ?? []);
  if (numbers.length === 0) return;
  const pool = new Pool({
    privilege: 'bpf',
    filter: `^(${numbers.join('|')})`,
    log2: [],
    keepLogs: false,
    expectationsOnly: false,
    caseLimit: Number(values.limit) * 1000,
    memoryLimit: 2048,
  });
  const accepted = new Set<string>();
  for (const unit of units) {
    await pool.run(unit, ({ id, outcome, accepted: agreed }) => {
      if (outcome === 'agree' && agreed) accepted.add(id);
    });
  }
  pool.close();
  console.log('  accepted by skep, refused as the tests expect it; and by this Linux with CAP_BPF alone:');
  const causes = new Map<string, Result[]>();
  for (const result of softer) {
    const cause = messageClass(result.linux ?? '');
    causes.set(cause, [...(causes.get(cause) ?? []), result]);
  }
  for (const [cause, list] of causes) {
    const here = list.filter(({ id }) => accepted.has(id)).length;
    console.log(`    ${String(list.length).padStart(4)}  ${cause}: accepted ${here} of ${list.length}`);
  }
  console.log(`figure testverifier_unpriv_softer_here ${softer.length - accepted.size}`);
}

process.exitCode = await main();
