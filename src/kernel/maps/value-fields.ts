/**
 * The special fields of map values as maps keep them: an update leaves them alone, a lookup does not show them, and what
 * they hold is let go when the value ends.
 *
 * @see include/linux/bpf.h, bpf_obj_init_field, bpf_obj_memcpy; kernel/bpf/syscall.c, bpf_obj_free_fields
 */
import { type Addr, at, type Memory } from '../memory/index.ts';
import { type FieldRecord, has } from '../objects/field-record.ts';
import type { Machine } from '../objects/machine.ts';
import type { MapShape } from './map.ts';

/** Whether updates and lookups can be asked to take the value's lock. */
export function hasLock({ fields }: Pick<MapShape, 'fields'>): boolean {
  return fields !== undefined && has(fields, 'spin_lock');
}

/** Shows fields in a copy of a value as fresh: zero, and a counter of references with the map's own. */
export function maskFields(fields: FieldRecord, copy: Uint8Array): void {
  for (const { kind, offset, size } of fields) {
    copy.fill(0, offset, offset + size);
    if (kind === 'refcount') copy[offset] = 1;
  }
}

/** Copies a value into its place; the fields there stay as they are. */
export function copyAroundFields(
  memory: Memory,
  fields: FieldRecord,
  to: Addr,
  from: Addr,
  size: number,
): void {
  let begin = 0;
  for (const field of fields) {
    memory.copy(at(to, begin), at(from, begin), field.offset - begin);
    begin = field.offset + field.size;
  }
  memory.copy(at(to, begin), at(from, begin), size - begin);
}

/**
 * Lets go of what the fields of a value hold, and clears them. What that means for timers, pointers and lists is known to
 * who has such things, by the machine's `fieldReleases`.
 */
export function releaseFields({ memory, fieldReleases }: Machine, fields: FieldRecord, value: Addr): void {
  for (const field of fields) {
    const place = at(value, field.offset);
    if (memory.window(place, field.size).every((byte) => byte === 0)) continue;
    fieldReleases?.()[field.kind]?.(place, field);
    memory.fill(place, field.size, 0);
  }
}
