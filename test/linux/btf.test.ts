/** BTF held against bpftool, clang and the running kernel's BTF_LOAD. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { type Btf, dumpC, dumpRaw, encodeBtf, parseBtf, rawType, validateBtf } from '../../src/btf/index.ts';
import { linuxStatus, openLinux } from '../../src/linux/index.ts';
import { compile, has, hasVmlinux, loadableBtf, readObject, scratch, VMLINUX } from './btf-tools.ts';

const SHAPES = join(import.meta.dirname, '../btf/shapes.c');
const dir = scratch();
afterAll(() => dir.remove());

const hasBpftool = has('bpftool', 'version');
const clangs = ['clang-14', 'clang-19'].map((clang) => ({ clang, there: has(clang) }));

function bpftool(...args: string[]): string {
  return execFileSync('bpftool', args, { encoding: 'utf8', maxBuffer: 1 << 30 });
}

/** Enums of one and of eight bytes get an attribute, as from newer versions of bpftool; 7.1 lays them out as `int`. */
function withoutModes(text: string): string {
  return text
    .replaceAll(/ __attribute__\(\(mode\((byte|word)\)\)\)/g, '')
    .replaceAll('btf_type_tag("address_space(1)")', 'address_space(1)');
}

/** Whether two long texts are equal, without the cost of a difference that nobody reads. */
function expectSame(ours: string, theirs: string): void {
  const [a, b] = [ours.split('\n'), theirs.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  if (at >= 0) expect({ line: at, text: a[at] }).toEqual({ line: at, text: b[at] });
  expect(a.length).toBe(b.length);
}

function expectCompiles(clang: string, text: string): void {
  const header = join(dir.path, 'dump.c');
  writeFileSync(header, text);
  const { status, stderr } = spawnSync(
    clang,
    ['-g', '-O2', '-target', 'bpf', '-c', header, '-o', '/dev/null'],
    {
      encoding: 'utf8',
    },
  );
  expect({ status, stderr: stderr.slice(0, 500) }).toEqual({ status: 0, stderr: '' });
}

describe('the running kernel’s BTF', () => {
  const load = () => parseBtf(readFileSync(VMLINUX), VMLINUX);

  it.skipIf(!hasVmlinux)('is what Linux accepts, and is written as it was read', () => {
    const btf = load();
    expect(btf.length).toBeGreaterThan(10_000);
    expect(Buffer.compare(encodeBtf(btf), btf.bytes)).toBe(0);
    expect(validateBtf(btf)).toBeUndefined();
  });

  it.skipIf(!hasVmlinux || !hasBpftool)('dumps as with bpftool, as records and as C', () => {
    const btf = load();
    expectSame(dumpRaw(btf), bpftool('btf', 'dump', 'file', VMLINUX));
    expectSame(
      withoutModes(dumpC(btf)),
      withoutModes(bpftool('btf', 'dump', 'file', VMLINUX, 'format', 'c')),
    );
  });

  for (const { clang, there } of clangs) {
    it.skipIf(!hasVmlinux || !there)(`dumps as C that ${clang} compiles`, () =>
      expectCompiles(clang, dumpC(load())),
    );
  }
});

describe('an object’s BTF', () => {
  for (const { clang, there } of clangs) {
    it.skipIf(!there || !hasBpftool)(`by ${clang} dumps as with bpftool, and compiles`, () => {
      const object = join(dir.path, `${clang}.o`);
      compile(clang, SHAPES, object);
      const { btf } = readObject(object);
      const dump = (...args: string[]) => bpftool(...args, 'btf', 'dump', 'file', object);
      expectSame(dumpRaw(btf), dump());
      const types = [...btf.ids()].map((id) => rawType(btf, id));
      const json = JSON.stringify(types, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
      // bpftool prints large unsigned enumerators of 32 bits as if they were negative ones of 64.
      const theirs = dump('-j').replaceAll(
        /"val":(18446744\d{12})/g,
        (_, value) => `"val":${BigInt(value) & 0xffffffffn}`,
      );
      expect(JSON.parse(json)).toEqual(JSON.parse(theirs).types);
      const text = dumpC(btf);
      expectSame(withoutModes(text), withoutModes(bpftool('btf', 'dump', 'file', object, 'format', 'c')));
      expectCompiles(clang, text);
    });

    it.skipIf(!there)(`by ${clang}, dumped as C and compiled again, has the same layouts`, () => {
      const object = join(dir.path, `${clang}.o`);
      compile(clang, SHAPES, object);
      const { btf } = readObject(object);
      const structs = [...btf.ids()].filter((id) => btf.kind(id) === 'struct' && btf.nameOf(id) !== '');
      const source = join(dir.path, 'again.c');
      const uses = structs.map((id) => `struct ${btf.nameOf(id)} use_${btf.nameOf(id)};`).join('\n');
      writeFileSync(source, `${dumpC(btf)}\n${uses}\nint f(void) { return 0; }\n`);
      compile(clang, source, join(dir.path, 'again.o'));
      const again = readObject(join(dir.path, 'again.o')).btf;
      expect(structs.length).toBeGreaterThan(10);
      for (const id of structs) {
        const name = btf.nameOf(id);
        expect(layout(again, name)).toEqual(layout(btf, name));
      }
    });
  }
});

/** Named members of a struct with their places. */
function layout(btf: Btf, name: string): unknown {
  const type = btf.typeOf(btf.find(name, 'struct')!, 'struct');
  const members = type.members.filter((member) => member.name !== '');
  return { size: type.size, members: members.map((m) => [m.name, m.bitOffset, m.bitSize]) };
}

describe('BTF_LOAD', () => {
  const clang = clangs.find(({ there }) => there)?.clang;
  const ready = linuxStatus().ok && clang !== undefined;
  const MUTATIONS = 4000;

  it.skipIf(!ready)(`accepts and rejects what we do, over ${MUTATIONS} changed BTFs`, () => {
    const object = join(dir.path, 'load.o');
    compile(clang!, SHAPES, object);
    const original = loadableBtf(readObject(object).btf);
    using kernel = openLinux();
    const linuxRejects = (btf: Uint8Array): string | undefined => {
      try {
        kernel.closeFd(kernel.bpf.btf_load({ btf }));
        return undefined;
      } catch (error) {
        if (error instanceof InputError) return error.message;
        throw error;
      }
    };
    const weReject = (btf: Uint8Array): string | undefined => {
      try {
        return validateBtf(parseBtf(btf, 'changed'))?.problem;
      } catch (error) {
        if (error instanceof InputError) return error.message;
        throw error;
      }
    };
    expect(linuxRejects(original)).toBeUndefined();
    expect(weReject(original)).toBeUndefined();
    let state = 20_240_229;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor(state / 65_536) % below;
    };
    const words = new DataView(original.buffer).getUint32(12, true) / 4;
    let rejected = 0;
    for (let i = 0; i < MUTATIONS; i++) {
      const changed = original.slice();
      const view = new DataView(changed.buffer);
      for (let n = 1 + random(2); n > 0; n--) {
        const at = 24 + 4 * random(words);
        const old = view.getUint32(at, true);
        const choices = [
          random(200),
          old ^ (1 << random(32)),
          old + 1,
          old - 1,
          (random(20) << 24) | (old & 0xffff),
        ];
        view.setUint32(at, choices[random(choices.length)]! >>> 0, true);
      }
      const theirs = linuxRejects(changed);
      const ours = weReject(changed);
      if (theirs !== undefined) rejected++;
      // Reading refuses pointers that spell themselves, which C can't declare and Linux never looks at.
      if (ours?.includes('is declared by itself')) continue;
      expect({ i, ours, theirs, rejected: ours !== undefined }).toEqual({
        i,
        ours,
        theirs,
        rejected: theirs !== undefined,
      });
    }
    expect(rejected).toBeGreaterThan(MUTATIONS / 10);
    expect(rejected).toBeLessThan(MUTATIONS);
  });
});
