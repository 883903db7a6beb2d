/** The arguments of a helper, one by one: each is checked against its kind and leaves in the meta what others need. */

import { MAP_CREATE_FLAGS } from '../../../sys/flags.ts';
import type { Arg, Prototype } from '../../helpers/prototypes-arg.ts';
import { PROGRAMS } from '../../programs/index.ts';
import type { MapFacts } from '../environment.ts';
import { checkAlignment } from './access-align.ts';
import { checkMapBounds, checkMapPermission } from './access-map.ts';
import { markRegPrecise, markSlotPrecise } from './backtrack.ts';
import type { CallMeta } from './call-meta.ts';
import { checkRegOffset, checkRegType } from './call-types.ts';
import { DYNPTR_SLOTS, processDynptrArg, stackObjectSlot } from './dynptr.ts';
import type { Explorer } from './explorer.ts';
import { SLOT_BYTES, STACK_SPILL, STACK_ZERO } from './frame.ts';
import { inRbtreeCallback } from './graph-node.ts';
import { checkHelperMem, checkMemSize } from './helper-memory.ts';
import { processSpinLock } from './locks.ts';
import { fieldAt, has, hasField, regRecord } from './record.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  SCALAR,
} from './reg-type.ts';
import { isPointer, readReg } from './regs.ts';

/** The number zero. */
export function isNull(reg: RegState): boolean {
  return reg.type === SCALAR && reg.scalar.isConst && (reg.scalar.valueHi | reg.scalar.valueLo) === 0;
}

/** Checks argument `i` (0 is r1) of a helper. */
export function checkFuncArg(ex: Explorer, i: number, proto: Prototype, meta: CallMeta): void {
  const given = proto.args[i]!;
  const regno = i + 1;
  readReg(ex, regno);
  const reg = ex.state.frame().reg(regno);
  if (given.kind === 'anything') {
    if (isPointer(ex.caps.allowPtrLeaks, reg)) {
      ex.refuse('pointer-leak', `R${regno} leaks addr into helper function`, {
        reason: 'the helper takes a number there, and the address of a kernel object is a secret',
        errno: 'EACCES',
      });
    }
    return;
  }
  if ((reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META) && !packetAllowed(ex, meta)) {
    ex.refuse('packet-argument', 'helper access to the packet is not allowed', {
      reason: `bpf_${meta.helper}() can't work on packet data`,
      hint: 'copy the bytes to the stack and pass those',
    });
  }
  const arg = given.kind === 'map_value' ? resolveMapValue(ex, given, meta) : given;
  if (!(arg.nullable && isNull(reg))) {
    checkRegType(ex, regno, arg, meta, undefined);
    checkRegOffset(ex, regno, { release: arg.release, dynptr: arg.kind === 'dynptr' });
  }
  noteReference(ex, reg, regno, arg, meta);
  checkByKind(ex, reg, regno, arg, proto, i, meta);
}

/** Packet pointers go to helpers that are made for them, in programs that work on packets. */
function packetAllowed(ex: Explorer, meta: CallMeta): boolean {
  const { type } = ex.draft.input;
  if (type === 'cgroup_sockopt') return true;
  return type !== 'sock_ops' && PROGRAMS[type].packetAccess !== undefined && meta.packetAccess;
}

/** In a socket map the value is a socket; a bloom filter's peek reads what it is asked about. */
function resolveMapValue(ex: Explorer, arg: Arg, meta: CallMeta): Arg {
  switch (meta.map?.type) {
    case 'sockmap':
    case 'sockhash':
      if (arg.access !== undefined || arg.nullable) {
        ex.refuse('bad-argument-type', 'invalid arg_type for sockmap/sockhash', {
          reason: 'the values of the map are sockets',
          errno: 'EINVAL',
        });
      }
      return { kind: 'btf_id_sock_common' };
    case 'bloom_filter':
      return meta.helper === 'map_peek_elem' ? { kind: 'map_value' } : arg;
    default:
      return arg;
  }
}

/** What is released must be held, and what is held is remembered. */
function noteReference(ex: Explorer, reg: RegState, regno: number, arg: Arg, meta: CallMeta): void {
  if (arg.release) {
    if (arg.kind === 'dynptr') checkReleasedDynptr(ex, reg, regno);
    else if (reg.refObjId === 0 && !isNull(reg)) {
      ex.refuse('unreferenced-argument', `R${regno} must be referenced when passed to release function`, {
        reason: `what r${regno} points to was not acquired by the program, or is released already`,
      });
    }
    meta.releaseRegno = regno;
  }
  if (reg.refObjId !== 0 && arg.kind !== 'kptr_xchg_dest') meta.refObjId = reg.refObjId;
}

function checkReleasedDynptr(ex: Explorer, reg: RegState, regno: number): void {
  if (reg.type === CONST_PTR_TO_DYNPTR) {
    ex.refuse('unreferenced-argument', 'cannot release unowned const bpf_dynptr', {
      reason: 'the dynptr belongs to whoever passed it',
    });
  }
  if (reg.type !== PTR_TO_STACK) return;
  const slot = stackObjectSlot(ex, reg, 'dynptr', DYNPTR_SLOTS);
  if (slot >= 0 && ex.state.frames[reg.frameno]!.spilled[slot]!.refObjId !== 0) return;
  ex.refuse('unreferenced-argument', `arg ${regno} is an unacquired reference`, {
    reason: 'no dynptr that has to be given back was made there, or it was given back already',
  });
}

function checkByKind(
  ex: Explorer,
  reg: RegState,
  regno: number,
  arg: Arg,
  proto: Prototype,
  i: number,
  meta: CallMeta,
): void {
  switch (arg.kind) {
    case 'const_map_ptr':
      takeMap(ex, reg, meta);
      return;
    case 'map_key': {
      const map = meta.map!;
      checkHelperMem(ex, regno, map.keySize, 'read', false, null);
      if (canElideNull(map)) meta.constKey = constantKey(ex, reg, map.keySize);
      return;
    }
    case 'map_value':
      if (arg.nullable && isNull(reg)) return;
      meta.rawMode = arg.access === 'uninit';
      checkHelperMem(ex, regno, meta.map!.valueSize, meta.rawMode ? 'write' : 'read', false, meta);
      return;
    case 'mem':
      meta.rawMode = arg.access === 'uninit';
      if (arg.size === undefined) return;
      checkHelperMem(ex, regno, arg.size, arg.access === 'read' ? 'read' : 'write', false, meta);
      if (arg.aligned) checkAlignment(ex, regno, reg, 0, arg.size, true);
      return;
    case 'const_size':
    case 'const_size_or_zero': {
      const write = proto.args[i - 1]?.access !== 'read';
      checkMemSize(ex, regno, write ? 'write' : 'read', arg.kind === 'const_size_or_zero', meta);
      return;
    }
    case 'const_alloc_size_or_zero':
      if (!reg.scalar.isConst) {
        ex.refuse('memory-size', `R${regno} is not a known constant'`, {
          reason: 'the size of the memory that is returned must be known',
          errno: 'EACCES',
        });
      }
      meta.memSize = reg.scalar.valueLo >>> 0;
      markRegPrecise(ex, regno);
      return;
    case 'percpu_btf_id':
      if (reg.btfId === 0) {
        ex.refuse('bad-argument-type', `Helper has invalid btf_id in R${regno}`, { errno: 'EACCES' });
      }
      meta.retBtf = reg.btf;
      meta.retBtfId = reg.btfId;
      return;
    case 'spin_lock':
      if (inRbtreeCallback(ex)) {
        ex.refuse('bad-lock', "can't spin_{lock,unlock} in rbtree cb", {
          reason: 'the lock is held while the tree is being searched',
          errno: 'EACCES',
        });
      }
      processSpinLock(ex, regno, meta.helper === 'spin_lock' ? 'lock' : 'unlock', 'lock');
      return;
    case 'timer':
      takeMapField(ex, reg, regno, 'timer', meta);
      return;
    case 'func':
      meta.subprogno = reg.subprog;
      return;
    case 'dynptr':
      processDynptrArg(ex, regno, arg, 0);
      return;
    case 'const_str':
      checkConstString(ex, reg, regno);
      return;
    case 'kptr_xchg_dest':
      takeKptrField(ex, reg, regno, meta);
      return;
    case 'anything':
    case 'ctx':
    case 'sock_common':
    case 'socket':
    case 'btf_id_sock_common':
    case 'btf_id':
    case 'ringbuf_mem':
    case 'stack':
      return;
  }
}

function takeMap(ex: Explorer, reg: RegState, meta: CallMeta): void {
  if (meta.map !== null && (meta.map.id !== reg.map?.id || meta.mapUid !== reg.mapUid)) {
    ex.refuse(
      'map-argument',
      `timer pointer in R1 map_uid=${meta.mapUid} doesn't match map pointer in R2 map_uid=${reg.mapUid}`,
      { reason: 'the timer is in a value of another map than the one that is passed' },
    );
  }
  meta.map = reg.map;
  meta.mapUid = reg.mapUid;
}

/** Maps of which every key below the number of entries has a value, so that a lookup can't fail. */
export function canElideNull(map: MapFacts): boolean {
  return (
    (map.flags & MAP_CREATE_FLAGS.BPF_F_INNER_MAP) === 0 &&
    (map.type === 'array' || map.type === 'percpu_array')
  );
}

/** The key on the stack where it is a constant; -1 where it is not known. */
function constantKey(ex: Explorer, reg: RegState, keySize: number): number {
  if (!ex.caps.bpf || reg.type !== PTR_TO_STACK || !reg.scalar.isConst) return -1;
  const frame = ex.state.frames[reg.frameno]!;
  const at = -(reg.off + reg.scalar.constNumber()) - 1;
  const slot = Math.floor(at / SLOT_BYTES);
  const first = at % SLOT_BYTES;
  if (slot < 0 || slot >= frame.slots) return -1;
  const run = (type: number): number => {
    let bytes = 0;
    for (let b = first; b >= 0 && frame.byteType(slot, b) === type; b--) bytes++;
    return bytes;
  };
  if (run(STACK_ZERO) >= keySize) return 0;
  const spilled = frame.spilled[slot]!;
  if (!frame.isSpill(slot) || spilled.type !== SCALAR || run(STACK_SPILL) !== keySize) return -1;
  if (!spilled.scalar.isConst) return -1;
  markSlotPrecise(ex, reg.frameno, slot);
  const { valueHi, valueLo } = spilled.scalar;
  return valueHi === 0 ? valueLo >>> 0 : -1;
}

/** A pointer to a special field of a map's value. */
export function takeMapField(
  ex: Explorer,
  reg: RegState,
  regno: number,
  kind: 'timer' | 'wq' | 'task_work',
  meta: CallMeta,
): void {
  const struct = `bpf_${kind}`;
  const map = reg.map!;
  const refuse = (problem: string, reason: string): never =>
    ex.refuse('special-field', problem, { reason, errno: 'EINVAL' });
  if (!reg.scalar.isConst) {
    refuse(
      `R${regno} doesn't have constant offset. ${struct} has to be at the constant offset`,
      'where the pointer points to inside the value must be known',
    );
  }
  if (map.btf === undefined) {
    refuse(`map '${map.name}' has to have BTF in order to use ${struct}`, 'BTF says where the field is');
  }
  const field = regRecord(reg).find((one) => one.kind === kind);
  if (field === undefined)
    refuse(`map '${map.name}' has no valid ${struct}`, `its values have no struct ${struct}`);
  const off = reg.off + reg.scalar.constNumber();
  if (field!.offset !== off) {
    refuse(
      `off ${off} doesn't point to 'struct ${struct}' that is at ${field!.offset}`,
      `the pointer must point to the value's struct ${struct}`,
    );
  }
  meta.map = map;
  meta.mapUid = reg.mapUid;
}

function takeKptrField(ex: Explorer, reg: RegState, regno: number, meta: CallMeta): void {
  const refuse = (problem: string, reason: string, errno: 'EINVAL' | 'EACCES' = 'EINVAL'): never =>
    ex.refuse('bad-kptr', problem, { reason, errno });
  if (baseType(reg.type) === PTR_TO_MAP_VALUE) {
    if (reg.map!.btf === undefined) {
      refuse(
        `map '${reg.map!.name}' has to have BTF in order to use bpf_kptr_xchg`,
        'BTF says where the pointer field is',
      );
    }
    meta.map = reg.map;
    meta.kptrBtf = reg.map!.btf ?? null;
  } else if (baseType(reg.type) === PTR_TO_BTF_ID) {
    meta.kptrBtf = reg.btf;
  }
  if (!reg.scalar.isConst) {
    refuse(
      `R${regno} doesn't have constant offset. kptr has to be at the constant offset`,
      'where the pointer points to inside the value must be known',
    );
  }
  const record = regRecord(reg);
  if (!has(record, 'kptr_ref') && !has(record, 'kptr_unref') && !has(record, 'kptr_percpu')) {
    refuse(`R${regno} has no valid kptr`, 'what it points to has no pointer field');
  }
  const off = reg.off + reg.scalar.constNumber();
  const field = fieldAt(record, off, ['kptr_ref', 'kptr_unref', 'kptr_percpu']);
  if (field === undefined)
    refuse(`off=${off} doesn't point to kptr`, 'no pointer field begins there', 'EACCES');
  if (field!.kind === 'kptr_unref') {
    refuse(`off=${off} kptr isn't referenced kptr`, 'the field does not own what it points to', 'EACCES');
  }
  meta.kptrField = field!;
}

/** Maps whose values have an address that is known when the program is loaded. */
const DIRECT_VALUES: ReadonlySet<string> = new Set(['array', 'arena', 'insn_array']);

/** A string that can't change: zero-terminated, in a frozen map that programs only read. */
export function checkConstString(ex: Explorer, reg: RegState, regno: number): void {
  const map = reg.map!;
  const refuse = (problem: string, reason: string, errno: 'EACCES' | 'EINVAL' = 'EACCES'): never =>
    ex.refuse('bad-argument', problem, { reason, errno });
  if ((map.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG) === 0 || !map.frozen) {
    refuse(`R${regno} does not point to a readonly map'`, 'the string must be a constant, in .rodata');
  }
  if (!reg.scalar.isConst) refuse(`R${regno} is not a constant address'`, 'the string must be a constant');
  if (!DIRECT_VALUES.has(map.type)) {
    refuse('no direct value access support for this map type', 'the string must be in an array');
  }
  checkMapPermission(ex, map, reg.off, map.valueSize - reg.off, 'read');
  checkMapBounds(ex, regno, reg, 0, map.valueSize - reg.off);
  const off = reg.off + reg.scalar.constNumber();
  const bytes = map.contents?.(off, map.valueSize - off);
  if (bytes !== undefined && !bytes.includes(0)) {
    refuse('string is not zero-terminated', 'it must end inside the value', 'EINVAL');
  }
}

/** Values of the map may hold a lock. */
export function mayHoldLock(map: MapFacts): boolean {
  return hasField(map, 'spin_lock') || hasField(map, 'res_spin_lock');
}
