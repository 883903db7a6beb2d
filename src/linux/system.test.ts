import { expect, test } from 'vitest';
import { failure } from './failure.ts';
import { LogBuffer } from './log.ts';
import { countCpus, parseConfig, parseSymbols } from './system.ts';

test('CPUs are counted over ranges', () => {
  expect(countCpus('0\n')).toBe(1);
  expect(countCpus('0-3\n')).toBe(4);
  expect(countCpus('0-1,4,8-11\n')).toBe(7);
});

test('a configuration gives what is set', () => {
  const config = parseConfig('# comment\nCONFIG_HZ=1000\n# CONFIG_KPROBES is not set\nCONFIG_NAME="a=b"\n');
  expect([...config]).toEqual([
    ['CONFIG_HZ', '1000'],
    ['CONFIG_NAME', '"a=b"'],
  ]);
});

test('symbols have addresses, the first of a name counts and hidden ones are absent', () => {
  const symbols = parseSymbols(
    'ffffffff81000000 T _stext\n0000000000000000 t hidden\nffffffffc0000000 t f\t[mod]\nffffffffc0000010 t f\n',
  );
  expect([...symbols]).toEqual([
    ['_stext', 0xffffffff81000000n],
    ['f', 0xffffffffc0000000n],
  ]);
});

test("a log's buffer grows to what the kernel asks for, and to its limit", () => {
  expect(LogBuffer.grown(1000, 5000)).toBe(5000);
  expect(LogBuffer.grown(1000, 0)).toBe(4000);
  expect(LogBuffer.grown(0x2000_0000, 0)).toBe(0x3fff_ffff);
  expect(LogBuffer.grown(0x3fff_ffff, 0)).toBeUndefined();
});

test('a failure says what was done, to what, why, and what to do', () => {
  const lookup = failure('map_update_elem', { map_fd: 7 as never, value: new Uint8Array(4) }, 7);
  expect(lookup.message).toBe(
    'updating a key of map fd 7: Argument list too long (E2BIG): the map is full, or the index is past its end',
  );
  expect(lookup).toMatchObject({ code: 'linux-map-update-elem', errno: 'E2BIG', detail: undefined });

  const log =
    'func#0 @0\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n';
  const attr = { prog_type: 'xdp', insns: new Uint8Array(8), license: 'GPL', prog_name: 'p' } as const;
  const load = failure('prog_load', attr, 13, log);
  expect(load.message).toBe(`loading xdp program 'p' (1 instruction): refused with "R0 !read_ok" (EACCES)`);
  expect(load.detail).toBe(log);

  const unknown = failure('map_freeze', { map_fd: 3 as never }, 4095);
  expect(unknown.message).toBe('freezing map fd 3: error 4095 (4095)');
});
