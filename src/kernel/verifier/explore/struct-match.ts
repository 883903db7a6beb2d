/** Whether a pointer to one struct is a pointer to another: the same one, or one that begins at that offset inside it. */
import { type Btf, type BtfTypeId, resolve, trySizeOf } from '../../../btf/index.ts';
import type { Log } from './log.ts';

/**
 * @param off bytes from the start of the struct `id`
 * @param strict the struct itself must be the wanted one
 * @param log gets why the search ended at a pointer
 * @see kernel/bpf/btf.c, btf_struct_ids_match
 */
export function structIdsMatch(
  btf: Btf,
  id: BtfTypeId,
  off: number,
  wantedBtf: Btf,
  wantedId: BtfTypeId,
  strict: boolean,
  log?: Log,
): boolean {
  if (off === 0 && btf === wantedBtf && id === wantedId) return true;
  if (strict) return false;
  let at = id;
  let rest = off;
  for (;;) {
    const nested = structAt(btf, at, rest, log);
    if (nested === undefined) return false;
    if (btf === wantedBtf && nested === wantedId) return true;
    at = nested;
    rest = 0;
  }
}

/** The outermost struct or union that begins `off` bytes inside a struct; anonymous ones count. */
function structAt(btf: Btf, id: BtfTypeId, off: number, log: Log | undefined): BtfTypeId | undefined {
  const type = btf.type(resolve(btf, id));
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  for (const member of type.members) {
    let start = Math.floor(member.bitOffset / 8);
    if (off < start) return undefined;
    if (member.bitSize !== 0) continue;
    const size = trySizeOf(btf, member.type) ?? 0;
    if (off >= start + size) continue;
    let memberId = resolve(btf, member.type);
    let element = btf.type(memberId);
    while (element.kind === 'array') {
      memberId = resolve(btf, element.type);
      element = btf.type(memberId);
    }
    if (element.kind === 'ptr') {
      log?.write(
        `cannot access ptr member ${member.name || '(anon)'} with moff ${start} in struct ${type.name || '(anon)'} with off ${off} size 1\n`,
      );
    }
    if (element.kind !== 'struct' && element.kind !== 'union') return undefined;
    if (element.size > 0) start += Math.floor((off - start) / element.size) * element.size;
    return off === start ? memberId : structAt(btf, memberId, off - start, log);
  }
  return undefined;
}
