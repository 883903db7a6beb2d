/**
 * Fetches Debian's xdp-tools and libbpf-tools (`apt-get download`, nothing is installed) and writes every BPF object
 * in them to a folder: files that are objects, and objects that executables embed as libbpf skeletons.
 *
 *     npx tsx scripts/fetch-debian-objects.ts corpora/debian
 *
 * The suites that want them look in `$SKEP_DEBIAN_OBJECTS`, or in `corpora/debian`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ELF_TYPE, EM_BPF, readElf } from '../src/elf/index.ts';

const PACKAGES = ['xdp-tools', 'libbpf-tools'];

/** The BPF objects inside a file's bytes, the whole file among them. */
function embeddedObjects(bytes: Buffer): Uint8Array[] {
  const found: Uint8Array[] = [];
  const magic = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2]);
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    if (at + 64 > bytes.length) break;
    const little = bytes[at + 5] === 1;
    const half = (offset: number) =>
      little ? bytes.readUInt16LE(at + offset) : bytes.readUInt16BE(at + offset);
    if (half(16) !== ELF_TYPE.rel || half(18) !== EM_BPF) continue;
    const tableAt = Number(little ? bytes.readBigUInt64LE(at + 40) : bytes.readBigUInt64BE(at + 40));
    const rest = new Uint8Array(bytes.subarray(at));
    const elf = readElf(rest, 'embedded object');
    const ends = elf.sections.map((s) => s.offset + s.data.length);
    found.push(rest.slice(0, Math.max(tableAt + half(58) * half(60), ...ends)));
  }
  return found;
}

function fetchObjects(folder: string): number {
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'skep-debian-'));
  let count = 0;
  try {
    execFileSync('apt-get', ['download', '-q', ...PACKAGES], {
      cwd: work,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    for (const deb of readdirSync(work).filter((f) => f.endsWith('.deb'))) {
      const root = join(work, basename(deb, '.deb'));
      execFileSync('dpkg-deb', ['-x', join(work, deb), root]);
      const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
      for (const file of files) {
        const objects = embeddedObjects(readFileSync(join(file.parentPath, file.name)));
        for (const [i, object] of objects.entries()) {
          const stem = basename(file.name, '.o');
          const name = `${deb.split('_')[0]}.${stem}${objects.length > 1 ? `.${i}` : ''}.o`;
          writeFileSync(join(folder, name), object);
          count++;
        }
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return count;
}

const folder = process.argv[2];
if (!folder) {
  console.error('usage: tsx scripts/fetch-debian-objects.ts FOLDER');
  process.exit(2);
}
console.log(`${fetchObjects(folder)} objects in ${folder}`);
