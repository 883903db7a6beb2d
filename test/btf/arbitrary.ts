/** Random well-formed BTF for property tests. */
import fc from 'fast-check';
import { BTF_LINKAGES, INT_BOOL, INT_CHAR, INT_SIGNED } from '../../src/btf/kinds.ts';
import type { BtfDeclaredType, BtfTypeId } from '../../src/btf/type.ts';

const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
const optionalName = fc.oneof(fc.constant(''), name);
const u32 = fc.nat({ max: 0xffffffff });

/** A type whose references are to ids below `id`, so that no type contains itself. */
function typeAt(id: number): fc.Arbitrary<BtfDeclaredType> {
  const ref = fc.nat({ max: id - 1 }) as fc.Arbitrary<BtfTypeId>;
  const linkage = fc.constantFrom(...BTF_LINKAGES);
  const members = fc
    .array(
      fc.record({ name: optionalName, type: ref, offset: fc.nat({ max: 64 }), bitSize: fc.nat({ max: 40 }) }),
      {
        maxLength: 5,
      },
    )
    .chain((list) =>
      fc.record({ bitfields: fc.boolean(), union: fc.boolean(), name: optionalName }).map((head) => ({
        kind: head.union ? ('union' as const) : ('struct' as const),
        name: head.name,
        size: 64,
        bitfields: head.bitfields,
        members: list.map((member) => ({
          name: member.name,
          type: member.type,
          bitOffset: head.union ? 0 : member.offset,
          bitSize: head.bitfields ? member.bitSize : 0,
        })),
      })),
    );
  return fc.oneof(
    fc.record({
      kind: fc.constant('int' as const),
      name,
      size: fc.constantFrom(1, 2, 4, 8, 16),
      encoding: fc.constantFrom(0, INT_SIGNED, INT_CHAR, INT_BOOL),
      bits: fc.integer({ min: 1, max: 128 }),
      bitOffset: fc.nat({ max: 16 }),
    }),
    fc.record({ kind: fc.constantFrom('ptr' as const), type: ref }),
    fc.record({
      kind: fc.constantFrom('volatile' as const, 'const' as const, 'restrict' as const),
      type: ref,
    }),
    fc.record({ kind: fc.constant('array' as const), type: ref, indexType: ref, length: u32 }),
    members,
    fc.boolean().chain((signed) =>
      fc.record({
        kind: fc.constant('enum' as const),
        name: optionalName,
        size: fc.constantFrom(1, 2, 4, 8),
        signed: fc.constant(signed),
        values: fc.array(
          fc.record({ name, value: signed ? fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) : u32 }),
          { maxLength: 4 },
        ),
      }),
    ),
    fc.boolean().chain((signed) =>
      fc.record({
        kind: fc.constant('enum64' as const),
        name: optionalName,
        size: fc.constant(8),
        signed: fc.constant(signed),
        values: fc.array(
          fc.record({
            name,
            value: signed
              ? fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
              : fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          }),
          { maxLength: 4 },
        ),
      }),
    ),
    fc.record({
      kind: fc.constant('fwd' as const),
      name,
      of: fc.constantFrom('struct' as const, 'union' as const),
    }),
    fc.record({ kind: fc.constant('typedef' as const), name, type: ref }),
    fc.record({ kind: fc.constant('func' as const), name, type: ref, linkage }),
    fc.record({
      kind: fc.constant('func_proto' as const),
      returns: ref,
      params: fc.array(fc.record({ name: optionalName, type: ref }), { maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('var' as const), name, type: ref, linkage }),
    fc.record({
      kind: fc.constant('datasec' as const),
      name,
      size: u32,
      vars: fc.array(fc.record({ type: ref, offset: u32, size: u32 }), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('float' as const), name, size: fc.constantFrom(2, 4, 8, 12, 16) }),
    fc.record({
      kind: fc.constant('decl_tag' as const),
      name,
      type: ref,
      component: fc.integer({ min: -1, max: 5 }),
      attribute: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('type_tag' as const), name, type: ref, attribute: fc.boolean() }),
  );
}

/** Up to `max` types with ids from `first` on. */
export function typeGraph(max: number, first = 1): fc.Arbitrary<BtfDeclaredType[]> {
  return fc
    .integer({ min: 1, max })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => typeAt(first + i))));
}
