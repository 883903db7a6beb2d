/** The special fields of what registers point to. */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';
import {
  type FieldKind,
  type FieldRecord,
  has,
  NO_FIELDS,
  recordOf,
  type SpecialField,
  valueFieldsOf,
} from '../../objects/field-record.ts';
import type { MapFacts } from '../environment.ts';
import type { RegState } from './reg.ts';
import { baseType, MEM_ALLOC, PTR_TO_BTF_ID, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE } from './reg-type.ts';

export { type FieldKind, has, recordOf, type SpecialField } from '../../objects/field-record.ts';

/** The special fields of a map's values. */
export function mapRecord(map: MapFacts): FieldRecord {
  const { btf, btfValueTypeId } = map;
  if (btf === undefined || btfValueTypeId === undefined || btfValueTypeId === 0) return NO_FIELDS;
  return valueFieldsOf(btf, btfValueTypeId as BtfTypeId);
}

/** Whether the map's values have a field of that kind. */
export function hasField(map: MapFacts, kind: FieldKind): boolean {
  return has(mapRecord(map), kind);
}

/** The field of one of those kinds at that offset. */
export function fieldAt(
  record: FieldRecord,
  offset: number,
  kinds: readonly FieldKind[],
): SpecialField | undefined {
  return record.find((field) => field.offset === offset && kinds.includes(field.kind));
}

/** The special fields of what a register points into. */
export function regRecord(reg: RegState): FieldRecord {
  switch (baseType(reg.type)) {
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MAP_KEY:
      return reg.map === null ? NO_FIELDS : mapRecord(reg.map);
    case PTR_TO_BTF_ID:
      return (reg.type & MEM_ALLOC) !== 0 && reg.btf !== null ? recordOf(reg.btf, reg.btfId) : NO_FIELDS;
    default:
      return NO_FIELDS;
  }
}

/** The struct that a pointer field points to: the kernel's of that name, or the program's own where it has none. */
export function kptrTarget(
  valueBtf: Btf,
  field: SpecialField,
  kernelBtf: Btf | undefined,
): { readonly btf: Btf; readonly btfId: BtfTypeId } {
  const btfId = field.target!;
  const type = valueBtf.type(btfId);
  if (kernelBtf !== undefined && (type.kind === 'struct' || type.kind === 'union')) {
    const kernel = kernelBtf.find(type.name, type.kind);
    if (kernel !== undefined) return { btf: kernelBtf, btfId: kernel };
  }
  return { btf: valueBtf, btfId };
}
