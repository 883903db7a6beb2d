/**
 * Links a program: its function and every one that it calls become one run of instructions, in the order in which they
 * are first called (libbpf's order), with references, lines and CO-RE records moved along.
 */
import { InputError } from '../base/error.ts';
import type { BtfTypeId } from '../btf/index.ts';
import type { InsnIdx } from '../isa/insn.ts';
import type { CoreRecord, FunctionIndex, LineRecord, ObjectSpec, ProgramSpec, Ref } from './spec.ts';

const SLOT = 8;
const LDIMM64 = 0x18;
/** `src_reg` of a call of a subprogram, and of a load of a subprogram's address. */
const PSEUDO_CALL = 1;
const PSEUDO_FUNC = 4;

/** A program in one piece. Indexes count slots from its start. */
export interface LinkedProgram {
  readonly insns: Uint8Array;
  /** What must be supplied: maps, data and externs. Calls and functions are done. */
  readonly refs: readonly Ref[];
  readonly lines: readonly LineRecord[];
  readonly coreRelos: readonly CoreRecord[];
  /** Where each function begins. */
  readonly funcs: readonly {
    readonly insn: InsnIdx;
    readonly name: string;
    readonly btfType: BtfTypeId | undefined;
  }[];
}

/** Links a program of a spec. */
export function linkProgram(spec: ObjectSpec, program: ProgramSpec): LinkedProgram {
  const order: FunctionIndex[] = [];
  const places = new Map<FunctionIndex, number>();
  let end = 0;
  const place = (index: FunctionIndex) => {
    if (places.has(index)) return;
    const func = spec.functions[index]!;
    order.push(index);
    places.set(index, end);
    end += func.insns.length / SLOT;
  };
  // Each function's own calls are followed before the next of its caller's, without recursion: call chains of a
  // hostile object may be as deep as it has functions.
  const visit = (root: FunctionIndex) => {
    place(root);
    const stack = [{ func: root, next: 0 }];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const ref = spec.functions[top.func]!.refs[top.next++];
      if (!ref) {
        stack.pop();
      } else if ((ref.kind === 'call' || ref.kind === 'func') && !places.has(ref.func)) {
        place(ref.func);
        stack.push({ func: ref.func, next: 0 });
      }
    }
  };
  visit(program.func);
  if (program.exceptionCallback !== undefined) visit(program.exceptionCallback);

  const insns = new Uint8Array(end * SLOT);
  const view = new DataView(insns.buffer);
  const refs: Ref[] = [];
  const lines: LineRecord[] = [];
  const coreRelos: CoreRecord[] = [];
  for (const index of order) {
    const func = spec.functions[index]!;
    const start = places.get(index)!;
    const moved = (insn: InsnIdx) => (insn + start) as InsnIdx;
    insns.set(func.insns, start * SLOT);
    for (const line of func.lines) lines.push({ ...line, insn: moved(line.insn) });
    for (const relo of func.coreRelos) coreRelos.push({ ...relo, insn: moved(relo.insn) });
    for (const ref of func.refs) {
      const insn = moved(ref.insn);
      if (ref.kind === 'call' || ref.kind === 'func') {
        patchFunction(view, insn, places.get(ref.func)! - insn - 1, ref.kind, program);
      } else refs.push({ ...ref, insn });
    }
  }
  const funcs = order.map((index) => {
    const { name, btfType } = spec.functions[index]!;
    return { insn: places.get(index)! as InsnIdx, name, btfType };
  });
  return { insns, refs, lines, coreRelos, funcs };
}

/** Both kinds of reference count slots from the next instruction's, a wide load's from its first half's. */
function patchFunction(
  view: DataView,
  insn: number,
  off: number,
  kind: 'call' | 'func',
  program: ProgramSpec,
): void {
  const at = insn * SLOT;
  const registers = view.getUint8(at + 1) & 0x0f;
  view.setUint8(at + 1, registers | ((kind === 'call' ? PSEUDO_CALL : PSEUDO_FUNC) << 4));
  view.setInt32(at + 4, off, true);
  if (kind === 'call') return;
  if (view.getUint8(at) !== LDIMM64 || at + 2 * SLOT > view.byteLength) {
    throw new InputError(
      'loader-reloc',
      `${program.name}: instruction ${insn} is no 64-bit load of a function`,
    );
  }
  view.setInt32(at + SLOT + 4, 0, true);
}
