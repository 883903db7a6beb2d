/** Instructions with the names of what they name: helpers, kernel functions, maps. */
import type { BtfTypeId } from '../../../btf/index.ts';
import type { CallTarget } from '../../../isa/insn.ts';
import { kernelInsn } from '../../../isa/kernel-notation.ts';
import { helperName } from '../../../sys/helper-ids.ts';
import type { Draft } from '../structure/draft.ts';

/** Name of a helper or kernel function; `undefined` for what has none here. */
export function calleeName({ environment }: Draft, target: CallTarget): string | undefined {
  if (target.kind === 'helper') {
    const name = helperName(target.id);
    return name === undefined ? undefined : `bpf_${name}`;
  }
  if (target.kind !== 'kfunc' || target.fdIdx !== 0) return undefined;
  const btf = environment.kernelBtf;
  if (btf === undefined || target.btfId <= 0 || target.btfId >= btf.length) return undefined;
  const type = btf.type(target.btfId as BtfTypeId);
  return type.kind === 'func' ? type.name : undefined;
}

/** As the log shows an instruction, but maps by their names. */
export function insnText(draft: Draft, idx: number): string {
  const insn = draft.insns[idx];
  if (insn === undefined) return '';
  const map = draft.maps[draft.mapRefs.get(idx) ?? -1];
  return kernelInsn(insn, {
    call: (target) => calleeName(draft, target),
    imm64: (imm) => {
      if (map === undefined) return undefined;
      return `map ${map.name}${'off' in imm && imm.kind !== 'func' ? ` value +${imm.off}` : ''}`;
    },
  });
}
