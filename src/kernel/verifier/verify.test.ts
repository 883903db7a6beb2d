import { describe, expect, it } from 'vitest';
import {
  ACCEPTED,
  bytes,
  call,
  chain,
  EXIT,
  NEXT,
  R0,
  type Raw,
  REFUSED,
} from '../../../test/verifier/structure-cases.ts';
import { ALL_CAPABILITIES, type MapFacts, NO_CAPABILITIES, type VerifyEnvironment } from './environment.ts';
import type { ProgramInput } from './program.ts';
import { isRejection, verify } from './verify.ts';

function map(type: MapFacts['type'], valueSize: number, maxEntries: number, id: number): MapFacts {
  return { id, name: '', type, keySize: 4, valueSize, maxEntries, flags: 0, frozen: false };
}

const MAPS = new Map<number, MapFacts | 'not-a-map'>([
  [0, 'not-a-map'],
  [3, map('array', 8, 1, 1)],
  [4, map('array', 8, 4, 2)],
  [5, map('hash', 8, 4, 3)],
]);

const environment: VerifyEnvironment = {
  map: (fd) => MAPS.get(fd) ?? (fd >= 100 && fd < 200 ? map('array', 8, 1, fd) : 'bad-fd'),
  capabilities: ALL_CAPABILITIES,
  kernelVersion: '6.18',
  logLevel: 1,
  helperImplemented: () => true,
};

function load(
  slots: readonly Raw[],
  input: Partial<ProgramInput> = {},
  env: Partial<VerifyEnvironment> = {},
) {
  return verify(
    { name: 't', type: 'socket_filter', insns: bytes(slots), license: 'GPL', flags: 0, ...input },
    { ...environment, ...env },
  );
}

describe('verify', () => {
  it.each(Object.entries(REFUSED))('refuses as Linux does: %s', (_, [slots, errno, problem]) => {
    const result = load(slots);
    if (!isRejection(result)) throw new Error('accepted');
    expect([result.errno, result.problem]).toEqual([errno, problem]);
    expect(result.log).toContain(`${problem}\nprocessed `);
    expect(result.reason).not.toBe('');
  });

  it.each(Object.entries(ACCEPTED))('accepts as Linux does: %s', (_, slots) => {
    const result = load(slots);
    expect(isRejection(result) && result.problem).toBe(false);
  });

  it('limits the size by the caller', () => {
    const body = (n: number): Raw[] => [...Array.from({ length: n - 1 }, () => R0), EXIT];
    expect(load([])).toMatchObject({ errno: 'E2BIG', log: '' });
    expect(isRejection(load(body(5000)))).toBe(false);
    expect(load(body(5000), {}, { capabilities: NO_CAPABILITIES })).toMatchObject({ code: 'program-size' });
    expect(isRejection(load(body(4096), {}, { capabilities: NO_CAPABILITIES }))).toBe(false);
  });

  it('takes loops and calls only from a caller with CAP_BPF', () => {
    const unprivileged = { capabilities: NO_CAPABILITIES };
    expect(load(ACCEPTED['bounded loop']!, {}, unprivileged)).toMatchObject({
      errno: 'EINVAL',
      problem: 'back-edge from insn 2 to 1',
    });
    expect(load(chain(1), {}, unprivileged)).toMatchObject({ errno: 'EPERM', code: 'not-permitted' });
  });

  it('follows constants in read-only data', () => {
    const rodata = (byte: number, flags = 1 << 7): Partial<VerifyEnvironment> => ({
      map: () => ({
        ...map('array', 8, 1, 1),
        flags,
        frozen: true,
        contents: (_, size) => new Uint8Array(size).fill(byte),
      }),
    });
    const guarded: Raw[] = [
      [0x18, 1, 2, 0, 3],
      NEXT,
      [0x71, 1, 1, 3],
      R0,
      [0x15, 1, 0, 1],
      [0x85, 0, 0, 0, 195896080],
      EXIT,
    ];
    expect(isRejection(load(guarded, {}, rodata(0)))).toBe(false);
    expect(load(guarded, {}, rodata(1))).toMatchObject({ code: 'unknown-func', insn: 5 });
    expect(load(guarded, {}, rodata(0, 0))).toMatchObject({ code: 'unknown-func' });
  });

  it('allows helpers by type, licence and capability', () => {
    const call = (id: number): Raw[] => [R0, [0xb7, 1], [0xb7, 2], [0x85, 0, 0, 0, id], EXIT];
    expect(load(call(44))).toMatchObject({
      code: 'helper-not-allowed',
      problem: 'program of this type cannot use helper bpf_xdp_adjust_head#44',
    });
    expect(load(call(6), { license: 'Proprietary' })).toMatchObject({
      code: 'gpl-only',
      problem: 'cannot call GPL-restricted function from non-GPL compatible program',
    });
    expect(load(call(6), {}, { capabilities: NO_CAPABILITIES })).toMatchObject({
      code: 'helper-not-allowed',
    });
    expect(load([[0xbf, 6, 1], [0x20], EXIT], { type: 'xdp' })).toMatchObject({
      problem: 'BPF_LD_[ABS|IND] instructions not allowed for this program type',
    });
  });

  it('says by name that it lacks a helper', () => {
    const result = load([[0x85, 0, 0, 0, 5], R0, EXIT], {}, { helperImplemented: () => false });
    expect(result).toMatchObject({ code: 'unsupported-helper', category: 'unsupported' });
    expect(isRejection(result) && result.problem).toContain('bpf_ktime_get_ns#5');
  });

  it('counts the stack that rewritten instructions take', () => {
    const store: Raw = [0x7a, 10, 0, -8];
    const depth = (insns: Raw[]) => /stack depth (.*)/.exec(load(insns, {}, { logLevel: 4 }).log)?.[1];
    expect(depth([store, [0xe5, 0, 0, 1], [0x05, 0, 0, -2], R0, EXIT])).toBe('24');
    expect(depth([store, [0xe5, 0, 0, 0], R0, EXIT])).toBe('8');
  });

  it('gives functions, maps and their instructions', () => {
    const result = load([[0x18, 1, 1, 0, 5], NEXT, [0x7a, 10, 0, -16], call(1), EXIT, R0, EXIT]);
    if (isRejection(result)) throw new Error(result.problem);
    expect(result.subprograms).toMatchObject([
      { start: 0, end: 5, stackDepth: 16 },
      { start: 5, end: 7, stackDepth: 0 },
    ]);
    expect(result.maps.map((facts) => facts.type)).toEqual(['hash']);
    expect([...result.mapRefs]).toEqual([[0, 0]]);
  });
});
