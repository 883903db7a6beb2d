/**
 * The public declarations of every entry point, as one text in `docs/api.txt`: a change of the API is a diff that
 * somebody reads. Fails when the text in git is not what the sources declare; `BLESS=1` rewrites it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const SNAPSHOT = 'docs/api.txt';
const ENTRIES: Readonly<Record<string, string>> = {
  skep: 'index.d.ts',
  'skep/isa': 'isa/index.d.ts',
  'skep/elf': 'elf/index.d.ts',
  'skep/btf': 'btf/index.d.ts',
  'skep/pcap': 'pcap/index.d.ts',
  'skep/sys': 'sys/index.d.ts',
};

interface Exported {
  readonly name: string;
  readonly text: string;
}

/** Splits a declaration file into its top-level statements: each begins in the first column. */
function statements(text: string): string[] {
  const found: string[] = [];
  let comment = '';
  for (const part of text.split(/\n(?=(?:export|import|declare|interface|type|\/\*\*))/)) {
    if (part.startsWith('/**') && /\*\/\s*$/.test(part)) {
      comment = part;
    } else {
      found.push(comment === '' || part.startsWith('import') ? part : `${comment}\n${part}`);
      comment = '';
    }
  }
  return found.map((statement) => statement.trim()).filter((statement) => statement !== '');
}

const RE_EXPORT = /^export (?:type )?\{([^}]*)\} from '([^']+)';$/s;
const DECLARED =
  /^(?:\/\*\*.*?\*\/\s*)?export (?:declare )?(?:abstract )?(?:function|const|class|interface|type|let) (\w+)/s;

function exportsOf(file: string): Exported[] {
  const all: Exported[] = [];
  for (const statement of statements(readFileSync(file, 'utf8'))) {
    const bare = statement.replace(/^\/\*\*.*?\*\/\s*/s, '');
    const again = RE_EXPORT.exec(bare);
    if (again !== null) {
      const source = exportsOf(join(dirname(file), again[2]!.replace(/\.ts$/, '.d.ts')));
      for (const item of again[1]!.split(',').map((name) => name.trim().replace(/^type /, ''))) {
        if (item === '') continue;
        const [from, to] = item.split(' as ');
        const matches = source.filter((one) => one.name === from);
        if (matches.length === 0) throw new Error(`${file}: ${from} is not declared in ${again[2]}`);
        for (const match of matches) all.push({ name: to ?? from!, text: match.text });
      }
    } else {
      const name = DECLARED.exec(statement)?.[1];
      if (name !== undefined) all.push({ name, text: statement });
    }
  }
  return all;
}

/** Tables of facts are their own record: of a constant that is longer than this the first lines stand for it. */
const MOST_LINES = 30;

function shortened(text: string): string {
  const lines = text.split('\n');
  const table = /^export declare const /m.test(text);
  if (!table || lines.length <= MOST_LINES) return text;
  return [...lines.slice(0, 8), `  … ${lines.length - 8} more lines`].join('\n');
}

const out = mkdtempSync(join(tmpdir(), 'skep-api-'));
let report = '';
try {
  execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json', '--outDir', out], { stdio: 'inherit' });
  for (const [entry, file] of Object.entries(ENTRIES)) {
    const items = exportsOf(join(out, file)).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    if (items.length === 0) throw new Error(`${entry} exports nothing: the snapshot would be empty`);
    report += `=== ${entry} (${items.length} names)\n\n${items.map((item) => shortened(item.text)).join('\n\n')}\n\n`;
  }
} finally {
  rmSync(out, { recursive: true, force: true });
}
const known = existsSync(SNAPSHOT) ? readFileSync(SNAPSHOT, 'utf8') : '';
if (report === known) {
  console.log(`api: ${SNAPSHOT} is what the sources declare`);
} else if (process.env.BLESS === '1') {
  writeFileSync(SNAPSHOT, report);
  console.log(`api: ${SNAPSHOT} rewritten; read its diff`);
} else {
  console.error(`api: the public declarations differ from ${SNAPSHOT}; BLESS=1 npm run api rewrites it`);
  process.exitCode = 1;
}
