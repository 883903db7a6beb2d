/**
 * Accesses to what only the kernel's BTF describes: kernel objects, a map's own fields, arguments of traced functions.
 * Which pointers may be followed at all is checked here.
 */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';
import { MAP_TYPES } from '../../../sys/map-types.ts';
import type { MapType } from '../../../sys/tables.ts';
import { isGplCompatible } from '../license.ts';
import { formatBits } from '../value/print.ts';
import { FIELD_NAMES } from './access-map.ts';
import { loadUnknown } from './access-value.ts';
import { loadedFlags } from './btf-trust.ts';
import { walkStruct } from './btf-walk.ts';
import { checkObjectWrite } from './btf-writes.ts';
import type { Explorer } from './explorer.ts';
import { recordOf } from './record.ts';
import { pointerReg, type RegState } from './reg.ts';
import {
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RDONLY,
  MEM_USER,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_MEM,
  PTR_UNTRUSTED,
} from './reg-type.ts';

/**
 * @param off the fixed offset, the pointer's own included
 */
export function accessBtfObject(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
): void {
  const type = reg.btf!.type(reg.btfId);
  const name = 'name' in type ? String(type.name) : '';
  if (!ex.caps.allowPtrLeaks) {
    const problem = `'struct ${name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN`;
    ex.refuse('not-permitted', problem, { reason: 'kernel objects tell secrets of the kernel' });
  }
  const kernel = reg.btf === ex.draft.environment.kernelBtf;
  if (kernel && !isGplCompatible(ex.draft.input.license)) {
    const problem = `Cannot access kernel 'struct ${name}' from non-GPL compatible program`;
    ex.refuse('gpl-only', problem, { reason: `the program's license is "${ex.draft.input.license}"` });
  }
  const what = `R${regno} is ptr_${name}`;
  if (off < 0) {
    ex.refuse('memory-bounds', `${what} invalid negative access: off=${off}`, {
      reason: 'the access is in front of the object',
    });
  }
  if (!reg.scalar.isConstValue(0, 0)) {
    const problem = `${what} invalid variable offset: off=${off}, var_off=${formatBits(reg.scalar)}`;
    ex.refuse('memory-bounds', problem, { reason: 'which member is accessed must be known' });
  }
  if ((reg.type & MEM_USER) !== 0) {
    ex.refuse('not-a-pointer', `${what} access user memory: off=${off}`, {
      reason: 'user memory may be paged out',
      hint: 'read it with bpf_probe_read_user',
    });
  }
  if ((reg.type & MEM_PERCPU) !== 0) {
    ex.refuse('not-a-pointer', `${what} access percpu memory: off=${off}`, {
      reason: 'the pointer is to all processors’ copies of the object',
      hint: 'get one with bpf_per_cpu_ptr or bpf_this_cpu_ptr',
    });
  }
  if (access === 'write' && (reg.type & PTR_UNTRUSTED) !== 0) {
    ex.refuse('read-only-memory', 'only read is supported', {
      reason: 'the pointer may not point to what its type says',
    });
  }
  const allocated = (reg.type & MEM_ALLOC) !== 0;
  const writes = access === 'write';
  if (writes && !allocated) {
    checkObjectWrite(ex, reg.btf!, name, off, size);
    return;
  }
  const from: Source = { btf: reg.btf!, btfId: reg.btfId, name, allocated };
  structAccess(ex, reg, from, off, size, writes ? -1 : valueRegno);
}

/** Kernel structs of the maps themselves. @see the `map_btf_id` of the kernel's map types */
const MAP_STRUCTS: Readonly<Partial<Record<MapType, string>>> = {
  hash: 'bpf_htab',
  percpu_hash: 'bpf_htab',
  lru_hash: 'bpf_htab',
  lru_percpu_hash: 'bpf_htab',
  hash_of_maps: 'bpf_htab',
  array: 'bpf_array',
  percpu_array: 'bpf_array',
  prog_array: 'bpf_array',
  perf_event_array: 'bpf_array',
  cgroup_array: 'bpf_array',
  array_of_maps: 'bpf_array',
  stack_trace: 'bpf_stack_map',
  lpm_trie: 'lpm_trie',
  queue: 'bpf_queue_stack',
  stack: 'bpf_queue_stack',
  ringbuf: 'bpf_ringbuf_map',
  user_ringbuf: 'bpf_ringbuf_map',
  sockmap: 'bpf_stab',
  sockhash: 'bpf_shtab',
  devmap: 'bpf_dtab',
  devmap_hash: 'bpf_dtab',
  cpumap: 'bpf_cpu_map',
  xskmap: 'xsk_map',
  reuseport_sockarray: 'reuseport_array',
  sk_storage: 'bpf_local_storage_map',
  inode_storage: 'bpf_local_storage_map',
  task_storage: 'bpf_local_storage_map',
  cgrp_storage: 'bpf_local_storage_map',
  cgroup_storage: 'bpf_cgroup_storage_map',
  percpu_cgroup_storage: 'bpf_cgroup_storage_map',
  bloom_filter: 'bpf_bloom_filter',
  struct_ops: 'bpf_struct_ops_map',
  arena: 'bpf_arena',
};

/** Loads and stores through the pointer to a map itself: its kernel object can be read. */
export function accessMapObject(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
): void {
  const btf = ex.draft.environment.kernelBtf;
  const name = reg.map === null ? undefined : MAP_STRUCTS[reg.map.type];
  const btfId = name === undefined ? undefined : btf?.find(name, 'struct');
  if (btf === undefined || name === undefined || btfId === undefined) {
    const id = reg.map === null ? 0 : MAP_TYPES[reg.map.type].id;
    ex.refuse('not-a-pointer', `map_ptr access not supported for map type ${id}`, {
      reason: "the kernel's BTF does not describe this map's object",
      errno: 'ENOTSUPP',
    });
  }
  if (!ex.caps.allowPtrLeaks) {
    const problem = `'struct ${name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN`;
    ex.refuse('not-permitted', problem, { reason: 'kernel objects tell secrets of the kernel' });
  }
  if (off < 0) {
    ex.refuse('memory-bounds', `R${regno} is ${name} invalid negative access: off=${off}`, {
      reason: 'the access is in front of the object',
    });
  }
  if (access === 'write') {
    ex.refuse('read-only-memory', `only read from ${name} is supported`, {
      reason: "the map's own fields are the kernel's",
    });
  }
  structAccess(ex, undefined, { btf, btfId, name, allocated: false }, off, size, valueRegno);
}

interface Source {
  readonly btf: Btf;
  readonly btfId: BtfTypeId;
  readonly name: string;
  /** The program's own: its pointers are numbers, its special fields are out of bounds. */
  readonly allocated: boolean;
}

/** @param base the pointer that is followed; absent: one that is neither trusted nor not */
function structAccess(
  ex: Explorer,
  base: RegState | undefined,
  { btf, btfId, name, allocated }: Source,
  off: number,
  size: number,
  valueRegno: number,
): void {
  if (allocated) checkSpecialFields(ex, btf, btfId, off, size);
  const found = walkStruct(btf, btfId, off, size, !allocated);
  switch (found.kind) {
    case 'refused':
      ex.refuse('memory-bounds', found.problem, {
        reason: `what is accessed is no member of struct ${name} as a whole`,
        errno: found.errno,
      });
      break;
    case 'scalar':
      loadUnknown(ex, valueRegno, size, false);
      return;
    case 'memory': {
      if (valueRegno < 0) return;
      ex.state.frame().regs[valueRegno] = pointerReg(PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED);
      return;
    }
    case 'object': {
      if (allocated) {
        loadUnknown(ex, valueRegno, size, false);
        return;
      }
      if (valueRegno < 0) return;
      const flags = base === undefined ? found.flags : loadedFlags(ex, base, name, found.field, found.flags);
      const reg = pointerReg(PTR_TO_BTF_ID | flags);
      reg.btf = btf;
      reg.btfId = found.btfId;
      if (mayBeNull(reg.type)) reg.id = ex.newId();
      ex.state.frame().regs[valueRegno] = reg;
    }
  }
}

function checkSpecialFields(ex: Explorer, btf: Btf, btfId: BtfTypeId, off: number, size: number): void {
  for (const field of recordOf(btf, btfId)) {
    if (off >= field.offset + field.size || field.offset >= off + size) continue;
    const label = FIELD_NAMES[field.kind];
    ex.refuse('special-field', `direct access to ${label} is disallowed`, {
      reason: `the kernel keeps the ${label} consistent; programs reach it through helpers`,
    });
  }
}
