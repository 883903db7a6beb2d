/** Tables and figures of `agree.ts`. */
import type { Privilege, Result } from './agree-cases.ts';
import { messageClass } from './agree-log.ts';

/** Cases of test_verifier begin with their number. */
const isTestVerifier = ({ id }: Result): boolean => id.startsWith('#');
const percent = (part: number, whole: number): string =>
  whole === 0 ? 'none' : ((100 * part) / whole).toFixed(2);

interface SetOfResults {
  readonly name: string;
  readonly results: readonly Result[];
}

function sets(results: readonly Result[], golden: ReadonlySet<string>): SetOfResults[] {
  return [
    { name: 'golden', results: results.filter((r) => golden.has(r.id)) },
    { name: 'selftests', results: results.filter((r) => !isTestVerifier(r)) },
    { name: 'testverifier', results: results.filter(isTestVerifier) },
  ].filter((set) => set.results.length > 0);
}

const judgedOf = (results: readonly Result[]): Result[] => results.filter((r) => r.outcome !== 'unjudged');

/** `figure` lines: name and value. */
export function figures(
  results: readonly Result[],
  golden: ReadonlySet<string>,
  privilege: Privilege,
): [string, string | number][] {
  const lines: [string, string | number][] = [];
  const suffix = privilege === 'root' ? '' : `_${privilege === 'none' ? 'unpriv' : privilege}`;
  for (const { name, results: all } of sets(results, golden)) {
    const judged = judgedOf(all);
    const agreed = judged.filter((r) => r.outcome === 'agree').length;
    const key = name === 'golden' ? 'golden_verdict' : name;
    lines.push([`${key}${suffix}_percent`, percent(agreed, judged.length)]);
    lines.push([`${name}${suffix}_cases`, judged.length]);
    lines.push([`${name}${suffix}_softer`, judged.filter((r) => r.outcome === 'softer').length]);
    if (name !== 'golden') continue;
    const expecting = judged.filter((r) => r.expectedMessages !== undefined);
    const present = expecting.filter((r) => r.expectedMessages).length;
    lines.push([`golden_message${suffix}_percent`, percent(present, expecting.length)]);
    const logs = judged.flatMap((r) => (r.log2 ? [r.log2] : []));
    if (logs.length === 0) continue;
    const same = logs.reduce((sum, log) => sum + log.same, 0);
    const lineCount = logs.reduce((sum, log) => sum + log.lines, 0);
    lines.push([`log2_lines${suffix}_percent`, percent(same, lineCount)]);
    lines.push([
      `log2_programs_identical${suffix}`,
      `${logs.filter((l) => l.same === l.lines).length}/${logs.length}`,
    ]);
  }
  return lines;
}

/** A person's tables. */
export function printReport(
  results: readonly Result[],
  golden: ReadonlySet<string>,
  options: { readonly list: boolean; readonly verbose: boolean },
): void {
  for (const { name, results: all } of sets(results, golden)) {
    const judged = judgedOf(all);
    const count = (outcome: Result['outcome']): number => judged.filter((r) => r.outcome === outcome).length;
    const refused = judged.filter((r) => r.outcome === 'agree' && !r.accepted);
    const words = refused.filter((r) => r.sameMessage).length;
    const errnos = refused.filter((r) => r.sameErrno).length;
    const expected = judged.filter((r) => r.linuxAsExpected !== undefined);
    console.log(`\n${name}: ${judged.length} judged by Linux, ${all.length - judged.length} not`);
    console.log(
      `  verdict agrees ${count('agree')} · softer ${count('softer')} · harder ${count('harder')} · ` +
        `crash ${count('crash')} · hang ${count('hang')}`,
    );
    console.log(
      `  of ${refused.length} refused by both: last words the same ${words}, errno the same ${errnos}`,
    );
    console.log(
      `  Linux does what its tests expect in ${expected.filter((r) => r.linuxAsExpected).length} of ${expected.length}`,
    );
    counted(
      'not judged because',
      all.filter((r) => r.outcome === 'unjudged'),
      (r) => messageClass((r.unjudged ?? '').replace(/^.*?program \S+ \(section \S+\): /, '')),
    );
    if (name === 'golden') {
      counted(
        'expected text missing',
        judged.filter((r) => r.expectedMessages === false),
        (r) => r.missing!,
      );
      continue;
    }
    for (const outcome of ['softer', 'harder', 'crash', 'hang'] as const) {
      counted(
        outcome,
        judged.filter((r) => r.outcome === outcome),
        (r) => messageClass((outcome === 'softer' ? r.linux : r.skep)?.split('\n')[0] ?? ''),
      );
    }
    counted(
      'other last words (ours)',
      refused.filter((r) => !r.sameMessage),
      (r) => `${messageClass(r.skep ?? '').slice(0, 60)} | ${messageClass(r.linux ?? '').slice(0, 60)}`,
    );
  }
  if (!options.list) return;
  for (const result of results) {
    if (result.outcome === 'unjudged') continue;
    if (result.outcome === 'agree' && result.sameMessage !== false && result.expectedMessages !== false)
      continue;
    const { id, outcome, linux, skep, missing } = result;
    console.log(`\n${outcome} ${id}`);
    console.log(`  Linux: ${linux ?? 'accepted'}`);
    console.log(`  skep:  ${skep?.split('\n').slice(0, 3).join(' ') ?? 'accepted'}`);
    if (missing !== undefined) console.log(`  expected and missing: ${missing}`);
    if (!options.verbose || !result.logs) continue;
    console.log(`--- Linux\n${result.logs.linux}--- skep\n${result.logs.skep}---`);
  }
}

const SHOWN = 40;

function counted(title: string, results: readonly Result[], classOf: (result: Result) => string): void {
  const classes = new Map<string, Result[]>();
  for (const result of results) {
    const key = classOf(result);
    const list = classes.get(key);
    if (list) list.push(result);
    else classes.set(key, [result]);
  }
  if (classes.size === 0) return;
  console.log(`  ${title}: ${results.length} in ${classes.size} classes`);
  const sorted = [...classes].sort((a, b) => b[1].length - a[1].length);
  for (const [key, list] of sorted.slice(0, SHOWN)) {
    console.log(`    ${String(list.length).padStart(4)}  ${key}  (${list[0]!.id})`);
  }
  if (sorted.length > SHOWN) console.log(`          and ${sorted.length - SHOWN} more classes`);
}
