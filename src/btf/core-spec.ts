/** CO-RE access strings: what a relocation record points at in a BTF, spelled out. */
import { InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import type { CoreRelo, CoreReloKind } from './ext.ts';
import { resolve, resolveType, sizeOf } from './size.ts';
import type { BtfArray, BtfType, BtfTypeId } from './type.ts';

/** Steps that an access may have. */
export const MAX_STEPS = 64;

/** What a kind of relocation is about. */
export const CORE_RELO_SUBJECT = {
  byte_off: 'field',
  byte_sz: 'field',
  field_exists: 'field',
  signed: 'field',
  lshift_u64: 'field',
  rshift_u64: 'field',
  local_type_id: 'type',
  target_type_id: 'type',
  type_exists: 'type',
  type_size: 'type',
  enumval_exists: 'enumerator',
  enumval_value: 'enumerator',
  type_matches: 'type',
} as const satisfies Record<CoreReloKind, 'field' | 'type' | 'enumerator'>;

/** One step that counts for matching: an array index, or a named member or enumerator. */
export interface CoreStep {
  /** For a member its struct, for an enumerator its enum, for an index the element's type. */
  readonly type: BtfTypeId;
  readonly index: number;
  /** Absent for an array index. Anonymous structs and unions on the way are not steps. */
  readonly name?: string;
}

/** An access resolved in one BTF. */
export interface CoreSpec {
  readonly btf: Btf;
  readonly kind: CoreReloKind;
  readonly root: BtfTypeId;
  readonly steps: readonly CoreStep[];
  /** Every index, those into anonymous structs and unions too. */
  readonly raw: readonly number[];
  /** Bits from the start of the root type. */
  readonly bitOffset: number;
}

/** An array of length zero that is the last member of its struct: an index is not bounded by it. */
export function isFlexibleArray(btf: Btf, before: CoreStep | undefined, array: BtfArray): boolean {
  if (before?.name === undefined || array.length > 0) return false;
  const owner = btf.type(before.type);
  return (owner.kind === 'struct' || owner.kind === 'union') && before.index === owner.members.length - 1;
}

/** Resolves a record's access string in the object's own BTF. @throws InputError if it leads nowhere */
export function parseCoreSpec(btf: Btf, relo: CoreRelo): CoreSpec {
  const fail = (problem: string): never => {
    throw new InputError(
      'btf-core',
      `${btf.name}: CO-RE relocation <${relo.kind}> of ${btf.describe(relo.type)} with access '${relo.access}' ` +
        `at instruction offset ${relo.insnOffset}: ${problem}`,
    );
  };
  const raw = /^\d+(:\d+)*$/.test(relo.access) ? relo.access.split(':').map(Number) : [];
  if (raw.length === 0) fail('the access is not a list of numbers');
  if (raw.length > MAX_STEPS) fail(`the access has more than ${MAX_STEPS} steps`);
  const subject = CORE_RELO_SUBJECT[relo.kind];
  const spec = { btf, kind: relo.kind, root: relo.type };
  if (subject === 'type') {
    if (relo.access !== '0') fail("the access of a type must be '0'");
    return { ...spec, steps: [], raw: [], bitOffset: 0 };
  }
  let id = resolve(btf, relo.type);
  const first = raw[0]!;
  if (subject === 'enumerator') {
    const type = btf.type(id);
    if (type.kind !== 'enum' && type.kind !== 'enum64') return fail('the type is not an enum');
    const value = type.values[first];
    if (raw.length > 1 || !value)
      return fail(`there is no such enumerator; the enum has ${type.values.length}`);
    return { ...spec, steps: [{ type: id, index: first, name: value.name }], raw, bitOffset: 0 };
  }
  const steps: CoreStep[] = [{ type: id, index: first }];
  let bitOffset = first === 0 ? 0 : first * sizeOf(btf, id) * 8;
  for (const index of raw.slice(1)) {
    id = resolve(btf, id);
    const type = btf.type(id);
    if (type.kind === 'struct' || type.kind === 'union') {
      const member = type.members[index];
      if (!member) return fail(`${btf.describe(id)} has no member ${index}`);
      bitOffset += member.bitOffset;
      if (member.name !== '') steps.push({ type: id, index, name: member.name });
      id = member.type;
    } else if (type.kind === 'array') {
      const element = resolve(btf, type.type);
      if (index >= type.length && !isFlexibleArray(btf, steps[steps.length - 1], type)) {
        return fail(`index ${index} is past the ${type.length} elements of ${btf.describe(id)}`);
      }
      steps.push({ type: element, index });
      if (index > 0) bitOffset += index * sizeOf(btf, element) * 8;
      id = element;
    } else {
      return fail(`${btf.describe(id)} has neither members nor elements`);
    }
  }
  return { ...spec, steps, raw, bitOffset };
}

/** An access in libbpf's notation: `<byte_off> [12] struct task_struct.pid (0:5 @ offset 4)`. */
export function formatCoreSpec(spec: CoreSpec): string {
  const { btf, kind, root, steps } = spec;
  const type = btf.type(root);
  const name = root === 0 ? '' : btf.nameOf(root);
  const head = `<${kind}> [${root}] ${kindWord(type)} ${name === '' ? '<anon>' : name}`;
  switch (CORE_RELO_SUBJECT[kind]) {
    case 'type':
      return head;
    case 'enumerator': {
      const step = steps[0]!;
      const holder = resolveType(btf, step.type);
      if (holder.kind !== 'enum' && holder.kind !== 'enum64') return head;
      return `${head}::${step.name} = ${holder.values[step.index]!.value}`;
    }
    case 'field': {
      const path = steps
        .map((step, i) =>
          step.name !== undefined ? `.${step.name}` : i > 0 || step.index > 0 ? `[${step.index}]` : '',
        )
        .join('');
      const bit = spec.bitOffset % 8;
      const offset = `${Math.floor(spec.bitOffset / 8)}${bit > 0 ? `.${bit}` : ''}`;
      return `${head}${path} (${spec.raw.join(':')} @ offset ${offset})`;
    }
  }
}

function kindWord(type: BtfType): string {
  return type.kind === 'void' ? 'unknown' : type.kind;
}
