/** The tables and layouts against the running kernel's own types and the installed header. */
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { type Btf, type BtfTypeId, findMember, parseBtf, resolveType, sizeOf } from '../../src/btf/index.ts';
import { ATTR, LINK_TAIL } from '../../src/linux/attr.ts';
import { BTF_INFO, LINK_INFO, MAP_INFO, PROG_INFO } from '../../src/linux/info-layout.ts';
import {
  ATTACH_FLAGS,
  ATTACH_TYPES,
  COMMANDS,
  type Command,
  commandNames,
  ERRNOS,
  type Fact,
  HELPERS,
  LINK_TYPES,
  MAP_CREATE_FLAGS,
  MAP_TYPES,
  MAP_UPDATE_FLAGS,
  PROG_LOAD_FLAGS,
  PROG_TYPES,
  TCX_ACTIONS,
  TEST_RUN_FLAGS,
  XDP_ACTIONS,
} from '../../src/sys/index.ts';

type Facts = Readonly<Record<string, Fact>>;

const upper = (prefix: string) => (name: string) => `${prefix}${name.toUpperCase()}`;
const same = (name: string) => name;

/** Each table, the C enum that it is, and its names in C. */
const enums: readonly (readonly [string, Facts, (name: string) => string])[] = [
  ['bpf_cmd', COMMANDS, upper('BPF_')],
  ['bpf_map_type', MAP_TYPES, upper('BPF_MAP_TYPE_')],
  ['bpf_prog_type', PROG_TYPES, upper('BPF_PROG_TYPE_')],
  ['bpf_attach_type', ATTACH_TYPES, upper('BPF_')],
  ['bpf_link_type', LINK_TYPES, upper('BPF_LINK_TYPE_')],
  ['bpf_func_id', HELPERS, (name) => `BPF_FUNC_${name}`],
  ['xdp_action', XDP_ACTIONS, same],
  ['tcx_action_base', TCX_ACTIONS, same],
];

const VMLINUX = '/sys/kernel/btf/vmlinux';
const HEADER = '/usr/include/linux/bpf.h';

describe.skipIf(!existsSync(VMLINUX))('the running kernel', () => {
  const btf = existsSync(VMLINUX) ? parseBtf(readFileSync(VMLINUX), VMLINUX) : (undefined as unknown as Btf);

  const valuesOf = (id: BtfTypeId): ReadonlyMap<string, number> => {
    const type = btf.type(id);
    if (type.kind !== 'enum') throw new Error(`${type.kind} is no enum`);
    return new Map(type.values.map(({ name, value }) => [name, value]));
  };

  test.each(enums)('enum %s', (name, table, constant) => {
    const values = valuesOf(btf.find(name, 'enum')!);
    const ours = new Map(Object.entries(table).map(([key, fact]) => [constant(key), fact.id]));
    const known = [...values].filter(([key]) => ours.has(key));
    expect(known.length).toBeGreaterThan(3);
    for (const [key, value] of known) expect([key, ours.get(key)]).toEqual([key, value]);
    // What the table lacks is a limit, an alias or the zero that means none.
    const others = [...values.keys()].filter((key) => !ours.has(key));
    for (const key of others) {
      expect(key).toMatch(/^__MAX_|^MAX_|UNSPEC|unspec|_DEPRECATED$|^BPF_PROG_RUN$|^__BPF_/);
    }
  });

  test('flags', () => {
    const ours = { ...MAP_CREATE_FLAGS, ...MAP_UPDATE_FLAGS } as Readonly<Record<string, number>>;
    let compared = 0;
    for (const anchor of ['BPF_F_MMAPABLE', 'BPF_NOEXIST']) {
      for (let id = 1; id < btf.endId; id++) {
        if (btf.kind(id as BtfTypeId) !== 'enum') continue;
        const values = valuesOf(id as BtfTypeId);
        if (!values.has(anchor)) continue;
        for (const [name, value] of values) {
          expect([name, ours[name]]).toEqual([name, value]);
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(20);
  });

  /** Offset and size of each member, those of unnamed structs and unions included. */
  function places(id: BtfTypeId, base = 0, into = new Map<string, { offset: number; size: number }>()) {
    const type = resolveType(btf, id);
    if (type.kind !== 'struct' && type.kind !== 'union') throw new Error(`${type.kind} has no members`);
    for (const member of type.members) {
      const offset = base + member.bitOffset / 8;
      if (member.name !== '') into.set(member.name, { offset, size: sizeOf(btf, member.type) });
      else places(member.type, offset, into);
    }
    return into;
  }

  /** The header's name of what stands in a union here under a name of its own. */
  const ALIAS: Readonly<Record<string, string>> = {
    target: 'target_fd',
    relative: 'relative_fd',
    id: 'start_id',
  };

  /** The member of `union bpf_attr` that a command reads; the empty name is the one whose first members these are. */
  const MEMBER: Readonly<Partial<Record<Command, string>>> = {
    map_lookup_batch: 'batch',
    map_lookup_and_delete_batch: 'batch',
    map_update_batch: 'batch',
    map_delete_batch: 'batch',
    prog_test_run: 'test',
    obj_get_info_by_fd: 'info',
    prog_query: 'query',
    raw_tracepoint_open: 'raw_tracepoint',
    task_fd_query: 'task_fd_query',
    link_create: 'link_create',
    link_update: 'link_update',
    link_detach: 'link_detach',
    enable_stats: 'enable_stats',
    iter_create: 'iter_create',
    prog_bind_map: 'prog_bind_map',
    token_create: 'token_create',
    prog_stream_read_by_fd: 'prog_stream_read',
  };
  /** Since 7.0. */
  const NEWER: ReadonlySet<Command> = new Set<Command>(['prog_assoc_struct_ops']);

  function compare(
    members: Readonly<Record<string, { offset: number; size: number }>>,
    theirs: ReadonlyMap<string, { offset: number; size: number }>,
    ignore: readonly string[] = [],
  ) {
    const ours = Object.entries(members).filter(([name]) => !ignore.includes(name));
    expect(ours.length).toBeGreaterThan(0);
    for (const [name, place] of ours) {
      expect([name, theirs.get(name) ?? theirs.get(ALIAS[name] ?? name)]).toEqual([name, place]);
    }
  }

  test.each(commandNames.filter((name) => !NEWER.has(name)))('attribute of %s', (command) => {
    const union = resolveType(btf, btf.find('bpf_attr', 'union')!);
    if (union.kind !== 'union') throw new Error('bpf_attr is no union');
    const { members } = ATTR[command];
    const first = Object.keys(members)[0]!;
    const name = MEMBER[command] ?? '';
    const candidates = union.members
      .filter((member) => member.name === name)
      .map((member) => places(member.type))
      .filter((found) => found.get(ALIAS[first] ?? first)?.offset === 0 || name !== '')
      .filter((found) => Object.keys(members).every((key) => found.has(ALIAS[key] ?? key) || key === 'tail'));
    expect(candidates).toHaveLength(1);
    compare(members, candidates[0]!, ['tail']);
    if (command !== 'link_create') return;
    const create = union.members.find((member) => member.name === 'link_create')!.type;
    const base = ATTR.link_create.members.tail.offset;
    const created = resolveType(btf, create);
    if (created.kind !== 'struct') throw new Error('link_create is no struct');
    const at = (name: string) => findMember(btf, created, name)!;
    for (const [form, layout] of Object.entries(LINK_TAIL)) {
      if (form === 'tracing_multi' && findMember(btf, created, form) === undefined) continue;
      const inner = { target: '', iter: '', anchor: 'tcx' }[form] ?? form;
      const found =
        inner === ''
          ? places(create)
          : new Map(
              [...places(at(inner).member.type)].map(([key, p]) => [key, { ...p, offset: p.offset + base }]),
            );
      const shifted = Object.fromEntries(
        Object.entries(layout.members as Record<string, { offset: number; size: number }>).map(([key, p]) => [
          key,
          { ...p, offset: p.offset + base },
        ]),
      );
      compare(shifted, found);
      expect(layout.size).toBeLessThanOrEqual(ATTR.link_create.members.tail.size);
    }
    expect(ATTR.link_create.size).toBe(sizeOf(btf, create));
  });

  test.each([
    ['bpf_prog_info', PROG_INFO, ['gpl_compatible']],
    ['bpf_map_info', MAP_INFO, []],
    ['bpf_btf_info', BTF_INFO, []],
    ['bpf_link_info', LINK_INFO, ['pad', 'tail']],
  ] as const)('struct %s', (name, layout, ignore) => {
    const id = btf.find(name, 'struct')!;
    compare(layout.members, places(id), ignore);
    expect(layout.size).toBe(sizeOf(btf, id));
  });
});

describe.skipIf(!existsSync(HEADER))('the installed header', () => {
  const text = existsSync(HEADER) ? readFileSync(HEADER, 'utf8') : '';

  test('flags that are macros', () => {
    const ours = { ...PROG_LOAD_FLAGS, ...ATTACH_FLAGS, ...TEST_RUN_FLAGS } as Readonly<
      Record<string, number>
    >;
    const found = [...text.matchAll(/^#define\s+(BPF_F_\w+)\s+\(1U << (\d+)\)/gm)].filter(
      ([, name]) => ours[name!] !== undefined,
    );
    expect(found.length).toBeGreaterThan(8);
    for (const [, name, shift] of found) expect([name, ours[name!]]).toEqual([name, 2 ** Number(shift)]);
  });
});

test.skipIf(process.platform !== 'linux')("errors are the system's", () => {
  const system = constants.errno as Readonly<Record<string, number>>;
  let compared = 0;
  for (const [name, { id }] of Object.entries(ERRNOS)) {
    if (system[name] === undefined) continue;
    expect([name, system[name]]).toEqual([name, id]);
    compared++;
  }
  expect(compared).toBeGreaterThan(60);
});
