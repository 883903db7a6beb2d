import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CORE_RELO_KINDS, CoreRelocator, parseBtf } from '../../src/btf/index.ts';
import { compile, has, hasVmlinux, isRoot, readObject, scratch, VMLINUX } from './btf-tools.ts';

const ready = has('clang-19') && has('bpftool', 'version') && hasVmlinux && isRoot;
const dir = scratch();
afterAll(() => dir.remove());

/** What libbpf says about a record: `relo #3: patched insn #12 (ALU/ALU64) imm 1 -> 1`. */
interface Logged {
  local?: string;
  target?: string;
  from?: string;
  to?: string;
  poison: boolean;
}

function libbpfAnswers(object: string): Map<number, Logged> {
  const pin = '/sys/fs/bpf/skep_btf_core_test';
  const { stderr, stdout } = spawnSync('bpftool', ['-d', 'prog', 'load', object, pin], { encoding: 'utf8' });
  spawnSync('rm', ['-f', pin]);
  const answers = new Map<number, Logged>();
  for (const line of `${stdout}\n${stderr}`.split('\n')) {
    const found = /^libbpf: prog 'p': relo #(\d+): (.*)$/.exec(line);
    if (!found) continue;
    const answer = answers.get(Number(found[1])) ?? { poison: false };
    answers.set(Number(found[1]), answer);
    const text = found[2]!;
    const patched = /^patched insn #\d+ \(.*?\) (?:imm64|imm|off) (\S+) -> (\S+)$/.exec(text);
    if (text.startsWith('<')) answer.local = text;
    else if (text.startsWith('matching candidate #0 ')) answer.target = text.slice(22);
    else if (patched) Object.assign(answer, { from: patched[1], to: patched[2] });
    else if (text.includes('poison') || text.includes('substituting insn')) answer.poison = true;
  }
  return answers;
}

describe('CO-RE against the running kernel equals libbpf', () => {
  for (const cpu of ['v1', 'v3']) {
    it.skipIf(!ready)(`-mcpu=${cpu}`, () => {
      const object = join(dir.path, `core-${cpu}.o`);
      compile('clang-19', join(import.meta.dirname, '../btf/core.c'), object, [`-mcpu=${cpu}`]);
      const { btf, ext } = readObject(object);
      const relos = ext.coreRelos.flatMap(({ records }) => records);
      expect(new Set(relos.map(({ kind }) => kind))).toEqual(new Set(CORE_RELO_KINDS));
      const expected = libbpfAnswers(object);
      expect(expected.size).toBe(relos.length);
      const relocator = new CoreRelocator(btf, parseBtf(readFileSync(VMLINUX), VMLINUX));
      for (const [i, relo] of relos.entries()) {
        const answer = relocator.relocate(relo);
        if (!answer.ok) throw new Error(answer.problem);
        const want = expected.get(i)!;
        expect(answer.local).toBe(want.local);
        expect(answer.target).toBe(want.target);
        expect(answer.poison).toBe(want.poison);
        if (want.to !== undefined)
          expect({ i, local: answer.local, value: answer.value }).toEqual({
            i,
            local: want.local,
            value: BigInt(want.to),
          });
        if (want.from !== undefined && answer.validate) expect(answer.original).toBe(BigInt(want.from));
      }
    });
  }
});
