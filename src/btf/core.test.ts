import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { typeGraph } from '../../test/btf/arbitrary.ts';
import {
  type Btf,
  BtfBuilder,
  type BtfComposite,
  type BtfDeclaredType,
  type BtfTypeId,
  CORE_RELO_KINDS,
  CoreRelocator,
  type CoreReloKind,
  relocateValue,
} from './index.ts';

function build(list: readonly BtfDeclaredType[]): Btf {
  const builder = new BtfBuilder();
  for (const type of list) builder.add(type);
  return builder.build('test');
}

const id = (n: number) => n as BtfTypeId;
const INT: BtfDeclaredType = { kind: 'int', name: 'int', size: 4, encoding: 1, bits: 32, bitOffset: 0 };
const LONG: BtfDeclaredType = { kind: 'int', name: 'long', size: 8, encoding: 1, bits: 64, bitOffset: 0 };
const UNSIGNED: BtfDeclaredType = { kind: 'int', name: 'u32', size: 4, encoding: 0, bits: 32, bitOffset: 0 };

function struct(name: string, size: number, ...members: [string, number, number, number?][]): BtfComposite {
  return {
    kind: 'struct',
    name,
    size,
    bitfields: members.some(([, , , width]) => width !== undefined),
    members: members.map(([member, type, bitOffset, bitSize = 0]) => ({
      name: member,
      type: id(type),
      bitOffset,
      bitSize,
    })),
  };
}

function ask(local: Btf, target: Btf, type: number, access: string, kind: CoreReloKind) {
  return relocateValue(local, target, { insnOffset: 0, type: id(type), access, kind });
}

/** Each name stands once; flavors and ambiguity are other laws. */
function distinct(type: BtfDeclaredType, i: number, anonymous: boolean): BtfDeclaredType {
  if (type.kind !== 'struct' && type.kind !== 'union')
    return 'name' in type ? { ...type, name: `n${i}` } : type;
  const members = type.members.map((member, k) => ({
    ...member,
    name: anonymous && member.name === '' ? '' : `m${i}_${k}`,
  }));
  return { ...type, name: anonymous && type.name === '' ? '' : `n${i}`, members };
}

describe('relocating against the own types', () => {
  it('changes nothing, whatever is asked', () => {
    let answered = 0;
    fc.assert(
      fc.property(
        typeGraph(15),
        fc.constantFrom(...CORE_RELO_KINDS),
        fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (list, kind, access, anonymous) => {
          const btf = build(list.map((type, i) => distinct(type, i, anonymous)));
          const relocator = new CoreRelocator(btf, btf);
          for (const type of btf.ids()) {
            const path = kind === 'byte_off' || kind.startsWith('field') ? access.with(0, 0).join(':') : '0';
            const answer = relocator.relocate({ insnOffset: 0, type, access: path, kind });
            if (!answer.ok) continue;
            // A type that has no values is nothing that the target could have.
            if (answer.target === undefined && kind !== 'local_type_id') continue;
            // A member that is behind two anonymous ones, or is one, is not told apart by names.
            if (anonymous && answer.target !== undefined && answer.target !== answer.local) continue;
            answered++;
            expect(answer.value).toBe(answer.original);
            expect(answer.poison).toBe(false);
            expect(answer.sizeMismatch).toBe(false);
            if (answer.target !== undefined) expect(answer.target).toBe(answer.local);
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(answered).toBeGreaterThan(300);
  });
});

describe('fields', () => {
  const local = build([
    INT,
    LONG,
    struct('task___old', 16, ['pid', 1, 0], ['cookie', 2, 64]),
    struct('bits', 8, ['a', 1, 0, 3], ['b', 1, 3, 7]),
    { kind: 'ptr', type: id(0) },
    { kind: 'array', type: id(1), indexType: id(1), length: 4 },
    struct('holder', 32, ['list', 6, 0], ['p', 5, 128], ['tail', 8, 192]),
    { kind: 'array', type: id(1), indexType: id(1), length: 0 },
    struct('', 8, ['anything', 1, 0]),
  ]);
  const target = build([
    INT,
    LONG,
    struct('', 8, ['pid', 1, 32]),
    struct('task', 64, ['state', 1, 0], ['', 3, 64], ['cookie', 1, 256]),
    struct('bits', 16, ['b', 1, 28, 7], ['a', 1, 67, 3]),
    { kind: 'array', type: id(1), indexType: id(1), length: 2 },
    { kind: 'array', type: id(1), indexType: id(1), length: 0 },
    struct('holder', 32, ['list', 6, 0], ['p', 1, 64], ['tail', 7, 192]),
    UNSIGNED,
  ]);

  it('follows a flavor into an anonymous struct', () => {
    expect(ask(local, target, 3, '0:0', 'byte_off')).toMatchObject({
      ok: true,
      value: 12n,
      original: 0n,
      poison: false,
      validate: true,
      local: '<byte_off> [3] struct task___old.pid (0:0 @ offset 0)',
      target: '<byte_off> [4] struct task.pid (0:1:0 @ offset 12)',
    });
  });

  it('says when a load can not be narrowed', () => {
    expect(ask(local, target, 3, '0:1', 'byte_off')).toMatchObject({ value: 32n, sizeMismatch: true });
  });

  it('places bitfields in the smallest load that holds them', () => {
    expect(ask(local, target, 4, '0:1', 'byte_off')).toMatchObject({
      value: 0n,
      original: 0n,
      validate: false,
    });
    expect(ask(local, target, 4, '0:1', 'byte_sz')).toMatchObject({ value: 8n });
    expect(ask(local, target, 4, '0:0', 'lshift_u64')).toMatchObject({ value: 58n });
    expect(ask(local, target, 4, '0:0', 'rshift_u64')).toMatchObject({ value: 61n });
    expect(ask(local, target, 4, '0:0', 'signed')).toMatchObject({ value: 1n });
  });

  it('poisons what is missing, and says that it does not exist', () => {
    expect(ask(local, target, 7, '0:1', 'byte_off')).toMatchObject({ ok: true, poison: true });
    expect(ask(local, target, 7, '0:1', 'field_exists')).toMatchObject({
      value: 0n,
      original: 1n,
      poison: false,
    });
    expect(ask(local, target, 7, '0:0:3', 'byte_off')).toMatchObject({ poison: true });
    expect(ask(local, target, 7, '0:0:1', 'byte_off')).toMatchObject({ value: 4n, poison: false });
    expect(ask(local, target, 7, '0:2:5', 'byte_off')).toMatchObject({ value: 44n, poison: false });
  });

  it('refuses what leads nowhere', () => {
    for (const [type, access, problem] of [
      [3, '', 'not a list of numbers'],
      [3, '0:7', 'has no member 7'],
      [3, '0:0:1', 'has neither members nor elements'],
      [7, '0:0:9', 'index 9 is past the 4 elements'],
      [9, '0:0', 'a type without a name'],
      [3, Array(70).fill(0).join(':'), 'more than 64 steps'],
    ] as const) {
      const answer = ask(local, target, type, access, 'byte_off');
      expect(answer.ok ? '' : answer.problem).toContain(problem);
    }
  });

  it('refuses an ambiguous target', () => {
    const two = build([INT, struct('task', 16, ['pid', 1, 0]), struct('task___b', 16, ['pid', 1, 32])]);
    const answer = ask(local, two, 3, '0:0', 'byte_off');
    expect(answer.ok ? '' : answer.problem).toContain('are at different offsets (bit 0 and bit 32)');
    expect(ask(local, two, 3, '0:1', 'field_exists')).toMatchObject({ value: 0n });
  });
});

describe('types and enumerators', () => {
  const local = build([
    INT,
    struct('a', 4, ['x', 1, 0]),
    struct('gone', 4, ['x', 1, 0]),
    {
      kind: 'enum',
      name: 'e___l',
      size: 4,
      signed: true,
      values: [
        { name: 'ONE___l', value: 1 },
        { name: 'GONE', value: 9 },
      ],
    },
    UNSIGNED,
    struct('b', 4, ['x', 5, 0]),
  ]);
  const target = build([
    INT,
    struct('a', 12, ['w', 1, 0], ['x', 1, 32], ['y', 1, 64]),
    { kind: 'enum64', name: 'e', size: 8, signed: true, values: [{ name: 'ONE', value: -(2n ** 40n) }] },
    struct('b', 4, ['x', 1, 0]),
  ]);

  it.each<[CoreReloKind, number, string, bigint]>([
    ['type_exists', 2, '0', 1n],
    ['type_exists', 3, '0', 0n],
    ['type_size', 2, '0', 12n],
    ['type_size', 3, '0', 0n],
    ['type_matches', 2, '0', 1n],
    ['type_matches', 6, '0', 0n],
    ['local_type_id', 3, '0', 3n],
    ['target_type_id', 2, '0', 2n],
    ['enumval_exists', 4, '0', 1n],
    ['enumval_exists', 4, '1', 0n],
    ['enumval_value', 4, '0', 2n ** 64n - 2n ** 40n],
  ])('%s of type %d, %s', (kind, type, access, value) => {
    expect(ask(local, target, type, access, kind)).toMatchObject({ ok: true, value, poison: false });
  });

  it('poisons the value of an enumerator that is not there', () => {
    expect(ask(local, target, 4, '1', 'enumval_value')).toMatchObject({ ok: true, poison: true });
  });

  it('looks into modules for what the kernel lacks', () => {
    const builder = new BtfBuilder({ base: target });
    builder.add(struct('gone', 20, ['x', 1, 128]));
    const module = builder.build('module');
    const relocator = new CoreRelocator(local, target, [module]);
    const answer = relocator.relocate({ insnOffset: 0, type: id(3), access: '0:0', kind: 'byte_off' });
    expect(answer).toMatchObject({ value: 16n, targetBtf: module });
  });
});
