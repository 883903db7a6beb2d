import { describe, expect, test } from 'vitest';
import {
  ATTACH_TYPES,
  attachTypeFromBpftool,
  attachTypeNames,
  attachTypeToBpftool,
  COMMANDS,
  commandConstant,
  commandName,
  commandNames,
  ERRNOS,
  errnoId,
  errnoName,
  errnoText,
  type Fact,
  flagNames,
  HELPERS,
  helperId,
  helperName,
  isMapType,
  LINK_TYPES,
  MAP_CREATE_FLAGS,
  MAP_TYPES,
  mapTypeId,
  mapTypeName,
  PROG_TYPES,
  tcActionName,
  XDP_ACTIONS,
} from './index.ts';

const tables: readonly (readonly [
  string,
  Readonly<Record<string, Fact>>,
  { size: number; first: number },
])[] = [
  ['commands', COMMANDS, { size: 39, first: 0 }],
  ['map types', MAP_TYPES, { size: 35, first: 1 }],
  ['program types', PROG_TYPES, { size: 32, first: 1 }],
  ['attach types', ATTACH_TYPES, { size: 62, first: 0 }],
  ['link types', LINK_TYPES, { size: 15, first: 1 }],
  ['helpers', HELPERS, { size: 211, first: 1 }],
  ['XDP actions', XDP_ACTIONS, { size: 5, first: 0 }],
];

describe.each(tables)('%s', (_name, table, { size, first }) => {
  test('has every id once, from the first without a gap', () => {
    const ids = Object.values(table).map((fact) => fact.id);
    expect(ids).toEqual(Array.from({ length: size }, (_, i) => first + i));
  });

  test('names a Linux version for each', () => {
    for (const { since } of Object.values(table)) expect(since).toMatch(/^\d\.\d{1,2}$/);
  });
});

test('names and ids lead to each other', () => {
  expect(mapTypeId('lru_percpu_hash')).toBe(10);
  expect(mapTypeName(10)).toBe('lru_percpu_hash');
  expect(mapTypeName(0)).toBeUndefined();
  expect(isMapType('hash')).toBe(true);
  expect(isMapType('toString')).toBe(false);
  expect(helperId('ringbuf_output')).toBe(130);
  expect(helperName(6)).toBe('trace_printk');
  for (const name of commandNames) expect(commandName(COMMANDS[name].id)).toBe(name);
  expect(commandConstant('prog_load')).toBe('BPF_PROG_LOAD');
});

test('attach types are read in either spelling, and no spelling means two', () => {
  expect(attachTypeFromBpftool('ingress')).toBe('cgroup_inet_ingress');
  expect(attachTypeFromBpftool('cgroup_inet_ingress')).toBe('cgroup_inet_ingress');
  expect(attachTypeFromBpftool('nothing')).toBeUndefined();
  for (const type of attachTypeNames) expect(attachTypeFromBpftool(attachTypeToBpftool(type))).toBe(type);
  expect(new Set(attachTypeNames.map(attachTypeToBpftool)).size).toBe(attachTypeNames.length);
});

test('flags are named, and what has no name is kept', () => {
  expect(flagNames(MAP_CREATE_FLAGS, 0)).toEqual([]);
  expect(flagNames(MAP_CREATE_FLAGS, 0x401)).toEqual(['BPF_F_NO_PREALLOC', 'BPF_F_MMAPABLE']);
  expect(flagNames(MAP_CREATE_FLAGS, 0x8000_0001)).toEqual(['BPF_F_NO_PREALLOC', '0x80000000']);
});

test('tc actions are read from either sign', () => {
  expect(tcActionName(-1)).toBe('TC_ACT_UNSPEC');
  expect(tcActionName(0xffff_ffff)).toBe('TC_ACT_UNSPEC');
  expect(tcActionName(2)).toBe('TC_ACT_SHOT');
});

test('errors have a number and a text', () => {
  expect(errnoName(13)).toBe('EACCES');
  expect(errnoId('EOPNOTSUPP')).toBe(95);
  expect(errnoText('ENOENT')).toBe('No such file or directory');
  const ids = Object.values(ERRNOS).map((fact) => fact.id);
  expect(new Set(ids).size).toBe(ids.length);
});
