/**
 * Makes the corpora that the verifier is held against: Linux's BPF selftests, as objects and as data.
 *
 *     npm run corpora [-- --into FOLDER]
 *
 * Fetches Linux's sources as Debian packages, compiles the selftests' programs with clang and converts the cases of
 * test_verifier. Works without root, touches only the folder (default `corpora`, or `$SKEP_CORPORA`), and does only
 * what is not done yet. Where a tool is missing, says so and leaves that part out.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchSources } from './corpora-debian.ts';
import { compileSelftests } from './corpora-selftests.ts';
import { convertTestVerifier } from './corpora-testverifier.ts';

/** Where the parts are. */
export interface Corpora {
  /** Objects of 6.12's programs. */
  readonly objects: string;
  /** 6.12's and a newer Linux's sources of them. */
  readonly progs: string;
  readonly newerProgs: string;
  /** The cases of 6.1's test_verifier, a line each. */
  readonly testVerifier: string;
  /** What could not be had, a sentence each. */
  readonly missing: readonly string[];
}

export const DEFAULT_CORPORA = process.env.SKEP_CORPORA ?? resolve(import.meta.dirname, '../corpora');
const PROGS = 'tools/testing/selftests/bpf/progs';

/** Makes what is not there yet. @param say takes a person's lines */
export async function prepareCorpora(
  folder = DEFAULT_CORPORA,
  say: (line: string) => void = (line) => console.error(line),
): Promise<Corpora> {
  const missing = [...fetchSources(folder, (step) => say(`corpora: ${step}`)).missing];
  const objects = join(folder, 'selftests-6.12');
  const testVerifier = join(folder, 'test_verifier-6.1.jsonl');
  if (existsSync(join(folder, 'linux-6.12'))) {
    let said = 0;
    const compiled = await compileSelftests(join(folder, 'linux-6.12'), objects, (done, of) => {
      if (Date.now() - said < 5000 && done < of) return;
      if (said > 0) say(`corpora: ${done} of ${of} selftests compiled`);
      said = Date.now();
    });
    if (compiled.missing !== undefined) missing.push(`the selftests are not compiled: ${compiled.missing}`);
  }
  if (existsSync(join(folder, 'linux-6.1'))) {
    const reason = await convertTestVerifier(join(folder, 'linux-6.1'), testVerifier);
    if (reason !== undefined) missing.push(`test_verifier is not converted: ${reason}`);
  }
  return {
    objects,
    progs: join(folder, 'linux-6.12', PROGS),
    newerProgs: join(folder, 'linux-7.2', PROGS),
    testVerifier,
    missing,
  };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { into: { type: 'string', default: DEFAULT_CORPORA } } });
  const { missing } = await prepareCorpora(values.into, (line) => console.log(line));
  for (const reason of missing) console.log(`skipped: ${reason}`);
  console.log(missing.length === 0 ? `the corpora are in ${values.into}` : 'the corpora are incomplete');
  process.exitCode = missing.length === 0 ? 0 : 1;
}
