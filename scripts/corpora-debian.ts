/**
 * Linux's BPF selftests from Debian's source packages: fetched with lists and caches of their own (nothing is
 * installed, nothing under /etc is touched, no root is needed), and only the parts that the suites read are unpacked.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A version of Linux that a suite needs, and what of its source. */
export interface SourceNeed {
  /** Folder in the corpora. */
  readonly folder: string;
  /** Packages that will do, the best first; a pattern stands for the newest that matches. */
  readonly packages: readonly (string | RegExp)[];
  readonly paths: readonly string[];
}

export const SOURCES: readonly SourceNeed[] = [
  {
    folder: 'linux-6.1',
    packages: ['linux-source-6.1'],
    paths: ['tools/testing/selftests/bpf', 'tools/include', 'tools/lib/bpf', 'include/linux/filter.h'],
  },
  {
    folder: 'linux-6.12',
    packages: ['linux-source-6.12'],
    paths: ['tools/testing/selftests/bpf', 'tools/include', 'tools/lib/bpf', 'scripts/bpf_doc.py'],
  },
  {
    folder: 'linux-7.2',
    packages: ['linux-source-7.2', /^linux-source-7\.\d+$/],
    paths: ['tools/testing/selftests/bpf/progs'],
  },
];

const SUITES = ['bookworm', 'trixie', 'trixie-backports', 'forky', 'sid'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Why packages can't be fetched here, in one sentence, or `undefined`. */
export function noDebian(): string | undefined {
  for (const tool of ['apt-get', 'dpkg-deb', 'tar', 'xz']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return `there is no ${tool} here: the corpora come as Debian packages`;
    }
  }
  if (!existsSync(KEYRING)) return `${KEYRING} is missing: the corpora are signed by Debian`;
  return undefined;
}

/** The machine's own Debian mirror. */
function mirror(): string {
  const uris = execFileSync('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], {
    encoding: 'utf8',
  }).split('\n');
  const own = uris.find((uri) => /\/debian\/?$/.test(uri));
  if (own !== undefined) return own;
  throw new Error('the sources of apt name no Debian mirror');
}

/** apt with a folder of its own for everything that it reads and writes. */
class Apt {
  readonly #options: readonly string[];

  constructor(folder: string) {
    for (const sub of ['lists/partial', 'cache/archives/partial', 'state']) {
      mkdirSync(join(folder, sub), { recursive: true });
    }
    const uri = mirror();
    writeFileSync(
      join(folder, 'sources.list'),
      SUITES.map((suite) => `deb [signed-by=${KEYRING}] ${uri} ${suite} main\n`).join(''),
    );
    this.#options = Object.entries({
      'Dir::Etc::sourcelist': join(folder, 'sources.list'),
      'Dir::Etc::sourceparts': '/dev/null',
      'Dir::State': join(folder, 'state'),
      'Dir::State::lists': join(folder, 'lists'),
      'Dir::State::status': '/dev/null',
      'Dir::Cache': join(folder, 'cache'),
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
    }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  }

  update(): void {
    execFileSync('apt-get', [...this.#options, '-q', 'update'], { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  packages(): string[] {
    const names = execFileSync('apt-cache', [...this.#options, 'pkgnames', 'linux-source-'], {
      encoding: 'utf8',
    });
    return names.split('\n').filter((name) => name !== '');
  }

  /** Downloads into `folder`. @returns the file */
  download(name: string, folder: string): string {
    execFileSync('apt-get', [...this.#options, '-q', 'download', name], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return join(folder, readdirSync(folder).find((file) => file.startsWith(`${name}_`))!);
  }
}

function choose(known: readonly string[], wanted: SourceNeed['packages']): string | undefined {
  for (const name of wanted) {
    if (typeof name === 'string') {
      if (known.includes(name)) return name;
      continue;
    }
    const found = known.filter((k) => name.test(k));
    found.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    if (found.length > 0) return found.at(-1)!;
  }
  return undefined;
}

/** Unpacks the wanted parts of the tarball that a source package holds. */
function unpack(deb: string, name: string, paths: readonly string[], into: string): void {
  const script =
    'set -o pipefail; deb=$1 name=$2 into=$3; shift 3; dpkg-deb --fsys-tarfile "$deb" | ' +
    'tar -xO "./usr/src/$name.tar.xz" | tar -xJ -C "$into" --strip-components=1 "$@"';
  const members = paths.map((path) => `${name}/${path}`);
  execFileSync('bash', ['-c', script, 'unpack', deb, name, into, ...members], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/**
 * Fetches what is not there yet.
 *
 * @param say called with each step, for a person
 * @returns what could not be had, a sentence each
 */
export function fetchSources(corpora: string, say: (step: string) => void): { readonly missing: string[] } {
  const wanted = SOURCES.filter((source) => !existsSync(join(corpora, source.folder)));
  if (wanted.length === 0) return { missing: [] };
  const reason = noDebian();
  if (reason !== undefined) return { missing: [reason] };
  mkdirSync(corpora, { recursive: true });
  const missing: string[] = [];
  const work = mkdtempSync(join(tmpdir(), 'skep-corpora-'));
  try {
    const apt = new Apt(join(work, 'apt'));
    say('reading the package lists');
    apt.update();
    const known = apt.packages();
    for (const { folder, packages, paths } of wanted) {
      const name = choose(known, packages);
      if (name === undefined) {
        missing.push(`${folder}: the mirror has none of ${packages.join(', ')}`);
        continue;
      }
      say(`downloading ${name}`);
      const deb = apt.download(name, work);
      say(`unpacking ${name}`);
      const partial = mkdtempSync(join(corpora, '.partial-'));
      unpack(deb, name, paths, partial);
      rmSync(deb);
      renameSync(partial, join(corpora, folder));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
    for (const rest of readdirSync(corpora).filter((file) => file.startsWith('.partial-'))) {
      rmSync(join(corpora, rest), { recursive: true, force: true });
    }
  }
  return { missing };
}
