/** Accesses to map values: bounds, permissions of the map, special fields, contents that can't change. */
import { MAP_CREATE_FLAGS } from '../../../sys/flags.ts';
import type { MapFacts } from '../environment.ts';
import { Scalar } from '../value/scalar.ts';
import { refuseLines, refuseRegion, regionProblem } from './access-region.ts';
import { loadUnknown } from './access-value.ts';
import type { Explorer } from './explorer.ts';
import { accessKptr } from './kptr-access.ts';
import { type FieldKind, fieldAt, mapRecord } from './record.ts';
import { type RegState, scalarReg } from './reg.ts';

const POINTERS: readonly FieldKind[] = ['kptr_unref', 'kptr_ref', 'kptr_percpu', 'uptr'];

/** Special fields as the log names them. @see kernel/bpf/btf.c, btf_field_type_name */
export const FIELD_NAMES: Readonly<Record<FieldKind, string>> = {
  spin_lock: 'bpf_spin_lock',
  res_spin_lock: 'bpf_res_spin_lock',
  timer: 'bpf_timer',
  wq: 'bpf_wq',
  task_work: 'bpf_task_work',
  list_head: 'bpf_list_head',
  list_node: 'bpf_list_node',
  rb_root: 'bpf_rb_root',
  rb_node: 'bpf_rb_node',
  refcount: 'bpf_refcount',
  kptr_unref: 'kptr',
  kptr_ref: 'kptr',
  kptr_percpu: 'percpu_kptr',
  uptr: 'uptr',
};

/** The program may read, or write, the map's values. */
export function checkMapPermission(
  ex: Explorer,
  map: MapFacts,
  off: number,
  size: number,
  access: 'read' | 'write',
): void {
  const readOnly = (map.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG) !== 0;
  const writeOnly = (map.flags & MAP_CREATE_FLAGS.BPF_F_WRONLY_PROG) !== 0;
  if (access === 'write' ? !readOnly : !writeOnly) return;
  const what = access === 'write' ? 'write into' : 'read from';
  const flag = access === 'write' ? 'BPF_F_RDONLY_PROG' : 'BPF_F_WRONLY_PROG';
  const problem = `${what} map forbidden, value_size=${map.valueSize} off=${off} size=${size}`;
  ex.refuse('map-access', problem, { reason: `the map was created with ${flag}` });
}

/**
 * The access is inside the value and touches no special field that can't be accessed this way.
 *
 * @param off the fixed offset, the pointer's own included
 * @param direct by an instruction, not by a helper
 * @param after the log's closing line where the caller has one
 */
export function checkMapBounds(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  after?: string,
  direct = false,
  zeroAllowed = false,
): void {
  const map = reg.map!;
  const problem = regionProblem(reg, regno, off, size, map.valueSize, zeroAllowed);
  if (problem !== undefined) {
    const lines = after === undefined ? problem : `${problem}\n${after}`;
    refuseRegion(ex, regno, off, size, map.valueSize, lines);
  }
  const record = mapRecord(map);
  if (record.length === 0) return;
  const least = reg.scalar.sminLo + off;
  const most = reg.scalar.umaxLo + off + size;
  for (const field of record) {
    if (least >= field.offset + field.size || field.offset >= most) continue;
    const wrong = POINTERS.includes(field.kind)
      ? pointerProblem(reg, off, size, field.offset, direct)
      : `${FIELD_NAMES[field.kind]} cannot be accessed directly by load/store`;
    if (wrong === undefined) continue;
    refuseLines(ex, 'special-field', after === undefined ? wrong : `${wrong}\n${after}`, {
      reason: `the value has a ${FIELD_NAMES[field.kind]} at offset ${field.offset}, which only the functions for it may touch`,
    });
  }
}

/** Pointers to kernel objects are loaded and stored whole. */
function pointerProblem(
  reg: RegState,
  off: number,
  size: number,
  field: number,
  direct: boolean,
): string | undefined {
  if (!direct) return 'kptr cannot be accessed indirectly by helper';
  if (!reg.scalar.isConst) return 'kptr access cannot have variable offset';
  const at = off + reg.scalar.valueLo;
  if (field !== at) return `kptr access misaligned expected=${field} off=${at}`;
  if (size !== 8) return 'kptr access size must be BPF_DW';
  return undefined;
}

/** @param off the fixed offset, the pointer's own included */
export function accessMapValue(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  signed: boolean,
): void {
  const map = reg.map!;
  if (map.flags !== 0) checkMapPermission(ex, map, off, size, access);
  checkMapBounds(ex, regno, reg, off, size, undefined, true);
  const at = off + reg.scalar.valueLo;
  if (reg.scalar.isConst) {
    const record = mapRecord(map);
    const field = record.length === 0 ? undefined : fieldAt(record, at, POINTERS);
    if (field !== undefined) {
      accessKptr(ex, map, field, valueRegno);
      return;
    }
  }
  if (access !== 'read' || valueRegno < 0) return;
  const constant = map.frozen && reg.scalar.isConst ? contents(ex, map, at, size, signed) : undefined;
  if (constant === undefined) loadUnknown(ex, valueRegno, size, signed);
  else ex.state.frame().regs[valueRegno] = scalarReg(constant);
}

/** What a load from a value yields that neither programs nor user space can change any more. */
function contents(
  ex: Explorer,
  map: MapFacts,
  off: number,
  size: number,
  signed: boolean,
): Scalar | undefined {
  if (map.type !== 'array' || (map.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG) === 0) return undefined;
  if (map.maxEntries !== 1) {
    // Linux says nothing here.
    ex.refuse('map-access', `constant contents of an array of ${map.maxEntries} entries`, {
      logged: true,
      reason: `the value is a constant, and Linux finds constants only in arrays of one entry; this one has ${map.maxEntries}`,
      hint: 'do not freeze the map, or look the value up at an offset that is not constant',
      errno: 'ENOTSUPP',
    });
  }
  const bytes = map.contents?.(off, size);
  if (bytes === undefined || bytes.length < size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  switch (size) {
    case 1:
      return signed ? Scalar.knownImm(view.getInt8(0)) : Scalar.known(0, view.getUint8(0));
    case 2:
      return signed ? Scalar.knownImm(view.getInt16(0, true)) : Scalar.known(0, view.getUint16(0, true));
    case 4:
      return signed ? Scalar.knownImm(view.getInt32(0, true)) : Scalar.known(0, view.getInt32(0, true));
    default:
      return Scalar.known(view.getInt32(4, true), view.getInt32(0, true));
  }
}
