/** The special fields of a map's values, where WebAssembly reads what an update leaves alone. */
import { type Addr, type Memory, NULL } from '../memory/index.ts';
import type { FieldRecord } from '../objects/field-record.ts';
import { HASH_FIELD_COUNT, HASH_FIELDS } from '../wasm/assembly/layout.ts';

/** @param map its header @returns the table's block, for the map to free; `NULL` where there are no fields */
export function writeFields(memory: Memory, map: Addr, fields: FieldRecord, owner: string): Addr {
  if (fields.length === 0) return NULL;
  const table = memory.allocate(8 * fields.length, { kind: 'kernel', owner, access: 'none' });
  for (const [i, { offset, size }] of fields.entries()) {
    memory.writeU32(table + 8 * i, offset);
    memory.writeU32(table + 8 * i + 4, size);
  }
  memory.writeU32(map + HASH_FIELDS, table);
  memory.writeU32(map + HASH_FIELD_COUNT, fields.length);
  return table;
}
