/** What exploration learned of the instructions, as later stages read it. */
import type { InsnIdx } from '../../../isa/insn.ts';
import type { InsnProof } from '../program.ts';
import type { InsnAux } from './aux.ts';
import type { Explorer } from './explorer.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_UNTRUSTED,
  type RegType,
} from './reg-type.ts';

const DEAD: InsnProof = { dead: true };

export function proofs(ex: Explorer): ReadonlyMap<InsnIdx, InsnProof> {
  const found = new Map<InsnIdx, InsnProof>();
  for (let idx = 0; idx < ex.insns.length; idx++) {
    const insn = ex.insns[idx];
    if (insn === undefined) continue;
    const aux = ex.aux[idx]!;
    const proof = aux.seen ? learned(ex, aux, insn.kind === 'jmp') : DEAD;
    if (proof !== undefined) found.set(idx as InsnIdx, proof);
  }
  return found;
}

function learned(ex: Explorer, aux: InsnAux, jump: boolean): InsnProof | undefined {
  if (jump) {
    if (aux.taken === aux.fellThrough) return undefined;
    return { branch: aux.taken ? 'always' : 'never' };
  }
  const { map, constKey, ptrType } = aux;
  if (ptrType !== undefined) {
    const access = accessThrough(ptrType);
    if (access !== undefined) return { access };
  }
  if (map === undefined || map === null) return undefined;
  const index = ex.draft.maps.findIndex(({ id }) => id === map.id);
  if (index < 0) return undefined;
  return {
    call: { map: index, ...(typeof constKey === 'bigint' && { key: keyBytes(constKey, map.keySize) }) },
  };
}

/** What the accesses that an instruction makes have in common, where it says how they must be done. */
function accessThrough(type: RegType): InsnProof['access'] {
  switch (baseType(type)) {
    case PTR_TO_CTX:
      return 'ctx';
    case PTR_TO_SOCKET:
    case PTR_TO_SOCK_COMMON:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_XDP_SOCK:
      return 'sock';
    case CONST_PTR_TO_MAP:
      return 'map';
    case PTR_TO_BTF_ID:
      return 'btf_id';
    case PTR_TO_ARENA:
      return 'arena';
    default:
      return (type & PTR_UNTRUSTED) !== 0 ? 'untrusted' : undefined;
  }
}

function keyBytes(value: bigint, size: number): Uint8Array {
  const key = new Uint8Array(size);
  for (let i = 0, rest = value; i < size; i++, rest >>= 8n) key[i] = Number(rest & 0xffn);
  return key;
}
