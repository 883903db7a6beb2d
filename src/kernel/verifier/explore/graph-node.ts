/**
 * Linked lists and red-black trees of allocated objects. An object that is put into one no longer belongs to the
 * program; pointers to it stay usable while the lock is held (non-owning references).
 */
import { Bug } from '../../../base/error.ts';
import { type Btf, findMember, resolveType } from '../../../btf/index.ts';
import { changeRegs } from './each-reg.ts';
import type { Explorer } from './explorer.ts';
import type { Frame } from './frame.ts';
import type { GraphRoot, KfuncMeta } from './kfunc-meta.ts';
import { kfuncName } from './kfunc-proto.ts';
import { fieldAt, has, mapRecord, recordOf, regRecord } from './record.ts';
import { holdsLock, releaseReference } from './references.ts';
import { pointerReg, type RegState } from './reg.ts';
import { baseType, MEM_ALLOC, MEM_RCU, NON_OWN_REF, PTR_TO_BTF_ID, PTR_TO_MAP_VALUE } from './reg-type.ts';
import { structIdsMatch } from './struct-match.ts';

const LIST_API: ReadonlySet<string> = new Set([
  'bpf_list_push_front_impl',
  'bpf_list_push_back_impl',
  'bpf_list_pop_front',
  'bpf_list_pop_back',
  'bpf_list_front',
  'bpf_list_back',
]);
const RBTREE_API: ReadonlySet<string> = new Set([
  'bpf_rbtree_add_impl',
  'bpf_rbtree_remove',
  'bpf_rbtree_first',
  'bpf_rbtree_root',
  'bpf_rbtree_left',
  'bpf_rbtree_right',
]);

export function isGraphKfunc(name: string): boolean {
  return LIST_API.has(name) || RBTREE_API.has(name) || name === 'bpf_refcount_acquire_impl';
}

/** The running frame is the comparison that `bpf_rbtree_add` calls while the lock is held. */
export function inRbtreeCallback(ex: Explorer): boolean {
  const { state } = ex;
  const frame = state.frame();
  if (state.curframe === 0 || frame.kind !== 'callback') return false;
  const insn = ex.insns[frame.callsite];
  if (insn?.kind !== 'call' || insn.target.kind !== 'kfunc' || insn.target.fdIdx !== 0) return false;
  return RBTREE_API.has(kfuncName(ex.draft, insn.target.btfId) ?? '');
}

/** The BTF that what a register points into is described in. */
function btfOf(reg: RegState): Btf {
  const btf = baseType(reg.type) === PTR_TO_MAP_VALUE ? reg.map?.btf : reg.btf;
  if (btf === undefined || btf === null) throw new Bug('a value with special fields and no BTF');
  return btf;
}

function refuse(ex: Explorer, problem: string, reason: string, hint?: string): never {
  ex.refuse('bad-graph-node', problem, { reason, hint });
}

function fixedOffset(ex: Explorer, reg: RegState, regno: number, struct: string): number {
  if (!reg.scalar.isConst) {
    refuse(
      ex,
      `R${regno} doesn't have constant offset. ${struct} has to be at the constant offset`,
      'where the pointer points to inside the object must be known',
    );
  }
  return reg.off + reg.scalar.constNumber();
}

/** A list head or tree root, whose lock must be held. */
export function processRoot(
  ex: Explorer,
  regno: number,
  kind: 'list_head' | 'rb_root',
  meta: KfuncMeta,
): void {
  const reg = ex.state.frame().reg(regno);
  const struct = `bpf_${kind}`;
  checkHolder(ex, reg, regno);
  const off = fixedOffset(ex, reg, regno, struct);
  const record = reg.type === PTR_TO_MAP_VALUE ? mapRecord(reg.map!) : regRecord(reg);
  const field = fieldAt(record, off, [kind]);
  if (field === undefined || field.target === undefined) {
    refuse(ex, `${struct} not found at offset=${off >>> 0}`, `the object has no ${struct} there`);
  }
  const holder: object = reg.type === PTR_TO_MAP_VALUE ? reg.map! : reg.btf!;
  const { state } = ex;
  if (state.activeLocks === 0 || !holdsLock(state, ['lock', 'res_lock', 'res_lock_irq'], reg.id, holder)) {
    if (state.activeLocks > 0) ex.log.write('held lock and object are not in the same allocation\n');
    const lock = record.find((one) => one.kind === 'spin_lock')?.offset ?? NO_LOCK;
    refuse(
      ex,
      `bpf_spin_lock at off=${lock} must be held for ${struct}`,
      'others could change the list or tree at the same time',
      'take the lock that is in the same object before',
    );
  }
  meta.root = { btf: btfOf(reg), field };
}

/** What the kernel has for the offset of a lock that is not there. */
const NO_LOCK = -22;

function checkHolder(ex: Explorer, reg: RegState, regno: number): void {
  if (reg.type === PTR_TO_MAP_VALUE) return;
  if (reg.type !== (PTR_TO_BTF_ID | MEM_ALLOC)) {
    refuse(
      ex,
      `arg#${regno - 1} expected pointer to map value or allocated object`,
      `r${regno} points to something else here`,
    );
  }
  checkReferenced(ex, reg);
}

function checkReferenced(ex: Explorer, reg: RegState): void {
  if (reg.refObjId !== 0) return;
  ex.refuse('unreferenced-argument', 'allocated object must be referenced', {
    reason: 'the program does not own the object here: it was given away or released',
  });
}

/** A node that is put into the list or tree: an object that the program owns. */
export function checkOwnedNode(ex: Explorer, reg: RegState, regno: number): void {
  if (reg.type !== (PTR_TO_BTF_ID | MEM_ALLOC)) {
    refuse(
      ex,
      `arg#${regno - 1} expected pointer to allocated object`,
      `r${regno} does not hold an object that the program allocated and owns`,
    );
  }
  checkReferenced(ex, reg);
}

/** A node of a tree that is only looked at or taken out. */
export function checkTreeNode(ex: Explorer, reg: RegState, name: string): void {
  if ((reg.type & NON_OWN_REF) === 0 && reg.refObjId === 0) {
    refuse(
      ex,
      `${name} can only take non-owning or refcounted bpf_rb_node pointer`,
      'the node was not found in a tree while the lock is held',
    );
  }
  if (inRbtreeCallback(ex)) {
    refuse(ex, `${name} not allowed in rbtree cb`, 'the tree is being searched');
  }
}

/** The node is of the struct and member that the list's or tree's `contains` tag names. */
export function processNode(
  ex: Explorer,
  regno: number,
  kind: 'list_node' | 'rb_node',
  meta: KfuncMeta,
): void {
  const reg = ex.state.frame().reg(regno);
  const struct = `bpf_${kind}`;
  const off = fixedOffset(ex, reg, regno, struct);
  if (fieldAt(regRecord(reg), off, [kind]) === undefined) {
    refuse(ex, `${struct} not found at offset=${off >>> 0}`, `the object has no ${struct} there`);
  }
  const { root } = meta;
  if (root === null) throw new Bug('a graph node argument without a root before it');
  const target = root.field.target!;
  const nodeOff = nodeOffset(root);
  const name = root.btf.nameOf(target);
  if (!structIdsMatch(reg.btf!, reg.btfId, 0, root.btf, target, true)) {
    const head = kind === 'list_node' ? 'bpf_list_head' : 'bpf_rb_root';
    const problem =
      `operation on ${head} expects arg#1 ${struct} at offset=${nodeOff} in struct ${name}, ` +
      `but arg is at offset=${off} in struct ${reg.btf!.nameOf(reg.btfId)}`;
    refuse(ex, problem, 'the list or tree holds objects of another type');
  }
  meta.argBtf = reg.btf;
  meta.argBtfId = reg.btfId;
  if (off !== nodeOff) {
    const problem = `arg#1 offset=${off}, but expected ${struct} at offset=${nodeOff} in struct ${name}`;
    refuse(ex, problem, 'the list or tree links its objects through another member');
  }
}

/** Offset of the node in the list's or tree's elements. */
function nodeOffset({ btf, field }: GraphRoot): number {
  const element = resolveType(btf, field.target!);
  if (element.kind !== 'struct' && element.kind !== 'union') return 0;
  return (findMember(btf, element, field.nodeName ?? '')?.bitOffset ?? 0) / 8;
}

/** A pointer to a node of the list or tree, as the functions return them. */
export function graphNodeReg(root: GraphRoot): RegState {
  const reg = pointerReg(PTR_TO_BTF_ID | MEM_ALLOC, nodeOffset(root));
  reg.btf = root.btf;
  reg.btfId = root.field.target!;
  return reg;
}

/** The pointer does not own its object. @param reg a record that is not yet shared */
export function setNonOwning(reg: RegState): RegState {
  reg.type |= NON_OWN_REF;
  if (reg.btf !== null && has(recordOf(reg.btf, reg.btfId), 'refcount')) reg.type |= MEM_RCU;
  return reg;
}

/** The object that r2 points to belongs to the list or tree now. */
export function giveToGraph(ex: Explorer): void {
  const { refObjId } = ex.state.frame().reg(2);
  changeRegs(ex.state, (reg) => {
    if (reg.refObjId !== refObjId) return reg;
    const copy = reg.clone();
    copy.refObjId = 0;
    return setNonOwning(copy);
  });
  releaseReference(ex.state, refObjId);
}

/** `less(a, b)` of `bpf_rbtree_add(root, node, less)`. */
export function setRbtreeArguments(_ex: Explorer, caller: Frame, callee: Frame): void {
  const root = caller.reg(1);
  const field = fieldAt(regRecord(root), root.off, ['rb_root']);
  if (field?.target === undefined) throw new Bug('a tree without an element type');
  for (const regno of [1, 2]) callee.regs[regno] = setNonOwning(graphNodeReg({ btf: btfOf(root), field }));
}
