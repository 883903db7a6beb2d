/** The kernel functions that a program calls, found by the ids in its instructions. */
import { type Btf, type BtfTypeId, resolve, trySizeOf } from '../../btf/index.ts';
import type { CallableKfunc } from '../interpreter/environment.ts';
import type { VerifiedProgram } from '../verifier/index.ts';
import { KFUNC_IMPLEMENTATIONS } from './implementations.ts';

/** Whether this kernel has the function. */
export function isKfuncImplemented(name: string): boolean {
  return KFUNC_IMPLEMENTATIONS.has(name);
}

const byBtf = new WeakMap<Btf, Map<number, CallableKfunc | undefined>>();

/** By slot of the call. */
export function callableKfuncs({ insns }: VerifiedProgram, btf: Btf): ReadonlyMap<number, CallableKfunc> {
  const found = new Map<number, CallableKfunc>();
  for (const [slot, insn] of insns.entries()) {
    if (insn?.kind !== 'call' || insn.target.kind !== 'kfunc') continue;
    const kfunc = callable(btf, insn.target.btfId);
    if (kfunc) found.set(slot, kfunc);
  }
  return found;
}

function callable(btf: Btf, id: number): CallableKfunc | undefined {
  let known = byBtf.get(btf);
  if (!known) {
    known = new Map();
    byBtf.set(btf, known);
  }
  if (!known.has(id)) known.set(id, describe(btf, id));
  return known.get(id);
}

function describe(btf: Btf, id: number): CallableKfunc | undefined {
  const func = id > 0 && id < btf.endId ? btf.type(id as BtfTypeId) : undefined;
  if (func?.kind !== 'func') return undefined;
  const implementation = KFUNC_IMPLEMENTATIONS.get(func.name);
  const proto = btf.type(func.type);
  if (!implementation || proto.kind !== 'func_proto') return undefined;
  const returns = resolve(btf, proto.returns);
  const scalar = btf.type(returns).kind;
  return {
    name: func.name,
    args: Math.min(proto.params.length, 5),
    narrow: (scalar === 'int' || scalar === 'enum') && (trySizeOf(btf, returns) ?? 8) <= 4,
    call: implementation.call,
  };
}
