/** What callbacks get in r1 to r5, by who calls them. */
import type { Explorer } from './explorer.ts';
import type { Frame } from './frame.ts';
import { dynptrReg, pointerReg, type RegState, scalarReg } from './reg.ts';
import {
  CONST_PTR_TO_MAP,
  DYNPTR_TYPE_LOCAL,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
} from './reg-type.ts';

/** Maps that can be iterated. */
const ITERABLE: ReadonlySet<string> = new Set([
  'hash',
  'lru_hash',
  'percpu_hash',
  'lru_percpu_hash',
  'array',
  'percpu_array',
]);

/** A pointer of that type into the map that `from` points to or into. */
function mapPointer(type: number, from: RegState): RegState {
  const reg = pointerReg(type);
  reg.map = from.map;
  reg.mapUid = from.mapUid;
  return reg;
}

/** `callback(map, key, value, ctx)` of `bpf_for_each_map_elem(map, callback, ctx, flags)`. */
export function setMapElemArguments(ex: Explorer, caller: Frame, callee: Frame): void {
  const map = caller.reg(1);
  if (!ITERABLE.has(map.map?.type ?? '')) {
    ex.refuse('map-argument', 'callback function not allowed for map', {
      reason: `a map of type ${map.map?.type} can't be iterated`,
      errno: 'ENOTSUPP',
    });
  }
  callee.regs[1] = map;
  callee.regs[2] = mapPointer(PTR_TO_MAP_KEY, map);
  callee.regs[3] = mapPointer(PTR_TO_MAP_VALUE, map);
  callee.regs[4] = caller.reg(3);
}

/** `callback(index, ctx)` of `bpf_loop(rounds, callback, ctx, flags)`. */
export function setLoopArguments(_ex: Explorer, caller: Frame, callee: Frame): void {
  callee.regs[1] = scalarReg();
  callee.regs[2] = caller.reg(3);
}

/** `callback(map, key, value)` of `bpf_timer_set_callback(timer, callback)`. */
export function setTimerArguments(_ex: Explorer, caller: Frame, callee: Frame): void {
  setMapValueArguments(caller.reg(1), callee);
}

/** `callback(map, key, value)` for what runs later on behalf of a map value. @param value pointer into the value */
export function setMapValueArguments(value: RegState, callee: Frame): void {
  callee.regs[1] = mapPointer(CONST_PTR_TO_MAP, value);
  callee.regs[2] = mapPointer(PTR_TO_MAP_KEY, value);
  callee.regs[3] = mapPointer(PTR_TO_MAP_VALUE, value);
}

/** `callback(task, vma, ctx)` of `bpf_find_vma(task, addr, callback, ctx, flags)`. */
export function setFindVmaArguments(ex: Explorer, caller: Frame, callee: Frame): void {
  const { kernelBtf } = ex.draft.environment;
  const vma = pointerReg(PTR_TO_BTF_ID);
  const id = kernelBtf?.find('vm_area_struct', 'struct');
  if (kernelBtf !== undefined && id !== undefined) {
    vma.btf = kernelBtf;
    vma.btfId = id;
  }
  callee.regs[1] = caller.reg(1);
  callee.regs[2] = vma;
  callee.regs[3] = caller.reg(4);
}

/** `callback(dynptr, ctx)` of `bpf_user_ringbuf_drain(map, callback, ctx, flags)`. */
export function setUserRingbufArguments(ex: Explorer, caller: Frame, callee: Frame): void {
  callee.regs[1] = dynptrReg({ type: DYNPTR_TYPE_LOCAL, firstSlot: true }, ex.newId(), 0);
  callee.regs[2] = caller.reg(3);
}
