/** 64-bit immediate loads: numbers, and addresses of maps, map values, functions and kernel variables. */
import { type Btf, type BtfTypeId, resolve, trySizeOf } from '../../../btf/index.ts';
import type { Insn } from '../../../isa/insn.ts';
import { Scalar } from '../value/scalar.ts';
import type { Explorer } from './explorer.ts';
import { pointerReg, type RegState, scalarReg } from './reg.ts';
import {
  CONST_PTR_TO_MAP,
  MEM_PERCPU,
  MEM_RDONLY,
  PTR_TO_BTF_ID,
  PTR_TO_FUNC,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
} from './reg-type.ts';
import { checkWritable } from './regs.ts';

type Imm64Insn = Extract<Insn, { kind: 'ldimm64' }>;

export function checkImm64(ex: Explorer, insn: Imm64Insn): void {
  checkWritable(ex, insn.dst);
  const aux = ex.aux[ex.insnIdx]!;
  aux.constant ??= load(ex, insn);
  ex.state.frame().regs[insn.dst] = aux.constant;
}

/** What the instruction loads, the same on every path. */
function load(ex: Explorer, { imm }: Imm64Insn): RegState {
  switch (imm.kind) {
    case 'value':
      return scalarReg(Scalar.knownBig(imm.value));
    case 'map_fd':
    case 'map_idx':
      return mapPointer(ex, CONST_PTR_TO_MAP, 0);
    case 'map_value':
    case 'map_idx_value':
      return mapPointer(ex, PTR_TO_MAP_VALUE, imm.off);
    case 'func':
      return functionPointer(ex, imm.off);
    case 'btf_id':
      return kernelSymbol(ex, imm.id);
  }
}

function mapPointer(ex: Explorer, type: number, off: number): RegState {
  const map = ex.draft.maps[ex.draft.mapRefs.get(ex.insnIdx)!]!;
  // An arena's addresses are numbers: any of them may be used, and faults are survived.
  if (map.type === 'arena' && type === PTR_TO_MAP_VALUE) return scalarReg();
  const reg = pointerReg(type, off);
  reg.map = map;
  return reg;
}

function functionPointer(ex: Explorer, off: number): RegState {
  const subprog = ex.subprogAt(ex.insnIdx + off + 1);
  const { linkage, name } = ex.draft.subprograms[subprog]!;
  if (ex.draft.input.funcInfo === undefined) {
    ex.refuse('callback-function', 'missing btf func_info', {
      reason: 'functions whose address is taken must be described by BTF',
      hint: 'compile with -g',
    });
  }
  if (linkage !== 'static') {
    ex.refuse('callback-function', 'callback function not static', {
      reason: `${name ?? 'the function'} is global, and global functions are verified apart from their callers`,
      hint: 'declare it static',
    });
  }
  const reg = pointerReg(PTR_TO_FUNC);
  reg.subprog = subprog;
  return reg;
}

/** A variable or function of the kernel, by its type in the kernel's BTF. */
function kernelSymbol(ex: Explorer, id: number): RegState {
  // What is not a variable or function was refused when loads were resolved.
  const btf = ex.draft.environment.kernelBtf!;
  const type = btf.type(id as BtfTypeId);
  if (type.kind !== 'var') return memory(0);
  const target = resolve(btf, type.type);
  const { kind } = btf.type(target);
  const percpu = perCpuVariables(btf).has(id);
  if (!percpu && kind !== 'struct' && kind !== 'union') return memory(trySizeOf(btf, target) ?? 0);
  const reg = pointerReg(percpu ? PTR_TO_BTF_ID | MEM_PERCPU : PTR_TO_BTF_ID);
  reg.btf = btf;
  reg.btfId = percpu ? type.type : target;
  return reg;
}

function memory(size: number): RegState {
  const reg = pointerReg(PTR_TO_MEM | MEM_RDONLY);
  reg.memSize = size;
  return reg;
}

const perCpu = new WeakMap<Btf, ReadonlySet<number>>();

/** Variables of which each processor has its own. */
function perCpuVariables(btf: Btf): ReadonlySet<number> {
  let known = perCpu.get(btf);
  if (known === undefined) {
    const id = btf.find('.data..percpu', 'datasec');
    const section = id === undefined ? undefined : btf.type(id);
    known = new Set(section?.kind === 'datasec' ? section.vars.map((one) => one.type) : []);
    perCpu.set(btf, known);
  }
  return known;
}
