/** Loads and stores of pointers to kernel objects that map values hold. */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';
import type { MapFacts } from '../environment.ts';
import { formatBits } from '../value/print.ts';
import { markRegPrecise } from './backtrack.ts';
import type { Explorer } from './explorer.ts';
import { has, kptrTarget, recordOf, type SpecialField } from './record.ts';
import { inRcuSection } from './references.ts';
import { pointerReg, type RegState } from './reg.ts';
import {
  baseType,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  NON_OWN_REF,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MEM,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  type RegType,
  regTypeName,
  SCALAR,
  typeFlags,
} from './reg-type.ts';
import { structIdsMatch } from './struct-match.ts';

/** Kernel structs that stay readable until the end of an RCU section. @see kernel/bpf/verifier.c, rcu_protected_types */
const RCU_PROTECTED: ReadonlySet<string> = new Set([
  'prog_test_ref_kfunc',
  'cgroup',
  'bpf_cpumask',
  'task_struct',
  'bpf_crypto_ctx',
]);

interface Target {
  readonly btf: Btf;
  readonly btfId: BtfTypeId;
}

/** The current instruction loads or stores a pointer field, whole and at a known offset. */
export function accessKptr(ex: Explorer, map: MapFacts, field: SpecialField, valueRegno: number): void {
  const insn = ex.insns[ex.insnIdx]!;
  const kernelBtf = ex.draft.environment.kernelBtf;
  const target = kptrTarget(map.btf!, field, kernelBtf);
  const plain =
    (insn.kind === 'ldx' && !insn.signed) || insn.kind === 'st' || insn.kind === 'stx'
      ? insn.kind
      : undefined;
  if (plain === undefined) {
    const problem = 'kptr in map can only be accessed using BPF_MEM instruction mode';
    refuse(ex, problem, 'pointers to kernel objects are loaded and stored by plain instructions');
  }
  if (plain !== 'ldx' && (field.kind === 'kptr_ref' || field.kind === 'kptr_percpu')) {
    const reason = 'the object that the field held would be lost';
    refuse(ex, 'store to referenced kptr disallowed', reason, 'exchange it with bpf_kptr_xchg');
  }
  if (plain !== 'ldx' && field.kind === 'uptr') {
    refuse(ex, 'store to uptr disallowed', 'pointers to user memory are set by user space only');
  }
  switch (plain) {
    case 'ldx':
      ex.state.frame().regs[valueRegno] =
        field.kind === 'uptr' ? userPointer(ex, target) : kptr(ex, field, target);
      return;
    case 'stx': {
      const value = ex.state.frame().reg(valueRegno);
      if (value.type === SCALAR && value.scalar.isConstValue(0, 0)) markRegPrecise(ex, valueRegno);
      else checkKptrMatch(ex, field, target, value, valueRegno);
      return;
    }
    case 'st':
      if (insn.kind === 'st' && insn.imm !== 0) {
        const problem = `BPF_ST imm must be 0 when storing to kptr at off=${field.offset}`;
        refuse(ex, problem, 'a constant other than 0 is no pointer');
      }
  }
}

function refuse(ex: Explorer, problem: string, reason: string, hint?: string): never {
  ex.refuse('special-field', problem, { reason, hint });
}

function userPointer(ex: Explorer, { btf, btfId }: Target): RegState {
  const type = btf.type(btfId);
  const reg = pointerReg(PTR_TO_MEM | PTR_MAYBE_NULL);
  reg.memSize = type.kind === 'struct' || type.kind === 'union' ? type.size : 0;
  reg.id = ex.newId();
  return reg;
}

function kptr(ex: Explorer, field: SpecialField, target: Target): RegState {
  const reg = pointerReg(PTR_TO_BTF_ID | kptrFlags(ex, field, target));
  reg.btf = target.btf;
  reg.btfId = target.btfId;
  reg.id = ex.newId();
  return reg;
}

function kptrFlags(ex: Explorer, field: SpecialField, { btf, btfId }: Target): RegType {
  const kernel = btf === ex.draft.environment.kernelBtf;
  const type = btf.type(btfId);
  const isProtected = !kernel || ('name' in type && RCU_PROTECTED.has(type.name));
  const safe = field.kind === 'kptr_percpu' || (field.kind === 'kptr_ref' && isProtected);
  if (!safe || !inRcuSection(ex)) return PTR_MAYBE_NULL | PTR_UNTRUSTED;
  let flags = PTR_MAYBE_NULL | MEM_RCU;
  if (field.kind === 'kptr_percpu') flags |= MEM_PERCPU;
  else if (!kernel) flags |= MEM_ALLOC;
  if (!kernel) {
    const record = recordOf(btf, btfId);
    if (has(record, 'list_node') || has(record, 'rb_node')) flags |= NON_OWN_REF;
  }
  return flags;
}

/** The pointer in a register is one that the field may hold. */
export function checkKptrMatch(
  ex: Explorer,
  field: SpecialField,
  target: Target,
  reg: RegState,
  regno: number,
): void {
  const unreferenced = field.kind === 'kptr_unref';
  let found = '';
  if (baseType(reg.type) === PTR_TO_BTF_ID && reg.btf !== null) {
    const kernel = reg.btf === ex.draft.environment.kernelBtf;
    let allowed = kernel ? PTR_MAYBE_NULL | PTR_TRUSTED | MEM_RCU : PTR_MAYBE_NULL | MEM_ALLOC;
    if (kernel && unreferenced) allowed |= PTR_UNTRUSTED;
    if (!kernel && field.kind === 'kptr_percpu') allowed |= MEM_PERCPU;
    if ((typeFlags(reg.type) & ~allowed) === 0) {
      found = nameOf(reg.btf, reg.btfId);
      checkFixedOffset(ex, reg, regno);
      const { btf, btfId } = target;
      if (structIdsMatch(reg.btf, reg.btfId, reg.off, btf, btfId, !unreferenced, ex.log)) return;
    }
  }
  const wanted = nameOf(target.btf, target.btfId);
  const or = unreferenced ? ` or ${regTypeName(PTR_TO_BTF_ID | PTR_UNTRUSTED)}${wanted}` : '';
  const problem =
    `invalid kptr access, R${regno} type=${regTypeName(reg.type)}${found} ` +
    `expected=${regTypeName(PTR_TO_BTF_ID)}${wanted}${or}`;
  ex.refuse('special-field', problem, {
    reason: `the field at offset ${field.offset} holds pointers to struct ${wanted}`,
  });
}

function nameOf(btf: Btf, btfId: BtfTypeId): string {
  const type = btf.type(btfId);
  return 'name' in type ? String(type.name) : '';
}

function checkFixedOffset(ex: Explorer, reg: RegState, regno: number): void {
  const type = regTypeName(reg.type);
  const reason = 'a pointer is stored as it was given, or with a constant added that leads to a member';
  if (reg.off < 0) {
    ex.refuse('modified-pointer', `negative offset ${type} ptr R${regno} off=${reg.off} disallowed`, {
      reason,
    });
  }
  if (!reg.scalar.isConstValue(0, 0)) {
    const problem = `variable ${type} access var_off=${formatBits(reg.scalar)} disallowed`;
    ex.refuse('modified-pointer', problem, { reason });
  }
}
