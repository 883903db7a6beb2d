/** What exploration learned of the instructions, as later stages read it. */
import type { InsnIdx } from '../../../isa/insn.ts';
import type { InsnProof } from '../program.ts';
import type { InsnAux } from './aux.ts';
import type { Explorer } from './explorer.ts';

export function proofs(ex: Explorer): ReadonlyMap<InsnIdx, InsnProof> {
  const found = new Map<InsnIdx, InsnProof>();
  for (const [idx, insn] of ex.insns.entries()) {
    if (insn === undefined) continue;
    const aux = ex.aux[idx]!;
    const proof = aux.seen ? learned(ex, aux, insn.kind === 'jmp') : { dead: true };
    if (proof !== undefined) found.set(idx as InsnIdx, proof);
  }
  return found;
}

function learned(ex: Explorer, aux: InsnAux, jump: boolean): InsnProof | undefined {
  if (jump) {
    if (aux.taken === aux.fellThrough) return undefined;
    return { branch: aux.taken ? 'always' : 'never' };
  }
  const { map, constKey } = aux;
  if (map === undefined || map === null) return undefined;
  const index = ex.draft.maps.findIndex(({ id }) => id === map.id);
  if (index < 0) return undefined;
  return {
    call: { map: index, ...(typeof constKey === 'bigint' && { key: keyBytes(constKey, map.keySize) }) },
  };
}

function keyBytes(value: bigint, size: number): Uint8Array {
  const key = new Uint8Array(size);
  for (let i = 0, rest = value; i < size; i++, rest >>= 8n) key[i] = Number(rest & 0xffn);
  return key;
}
