/** Accesses to packets: which comparison with their end is missing, too short, or on the other path. */
import type { Insn } from '../../../isa/insn.ts';
import { MAX_PACKET_OFF, type RegState } from '../explore/reg.ts';
import { baseType, PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_PACKET_META } from '../explore/reg-type.ts';
import { describeNumber, plural } from './describe.ts';
import { assigned, isName } from './names.ts';
import { type Advice, type BlamedReg, place, sourceText, type Trouble } from './trouble.ts';

/** Names of the two ends of what is accessed. */
interface Ends {
  readonly what: string;
  readonly start: string;
  readonly end: string;
}

const PACKET: Ends = { what: 'the packet', start: 'data', end: 'data_end' };
const METADATA: Ends = { what: "the packet's metadata", start: 'data_meta', end: 'data' };

export function packetAdvice(trouble: Trouble): Advice | undefined {
  const { refusal, regs } = trouble;
  const { access } = refusal;
  const pointer = regs.find(({ value }) => isPacket(value));
  if (refusal.code !== 'packet-bounds' || pointer === undefined || access === undefined) return undefined;
  const ends = baseType(pointer.value.type) === PTR_TO_PACKET ? PACKET : METADATA;
  if (!pointer.value.scalar.isConst) return variable(trouble, pointer, ends);
  const first = access.off + pointer.value.scalar.constNumber();
  const need = first + access.size;
  const bytes = access.size === 1 ? `byte ${first}` : `bytes ${first} to ${need - 1}`;
  const are = access.size === 1 ? 'is' : 'are';
  const enough = `if (${ends.start} + ${need} > ${ends.end}) return …;`;
  const known = lastComparison(trouble, pointer.number);
  if (access.of === 0) {
    const turned = shortSide(trouble);
    if (turned !== undefined) {
      return {
        reason: `${bytes} of ${ends.what} ${are} used on the way that packets take which are too short for it`,
        suggestion: `turn the comparison of ${place(trouble, trouble.steps[turned]!.insnIdx)} around: leave when the packet is too short (${enough.slice(0, -1)}), and go on otherwise`,
        causes: [
          {
            insn: trouble.steps[turned]!.insnIdx,
            step: turned,
            frame: trouble.steps[turned]!.frameno,
            kind: 'branch',
            place: `r${pointer.number}`,
            says: `this is the way of the packets that are too short: nothing becomes known of ${ends.what}`,
          },
        ],
      };
    }
  }
  const made =
    known === undefined ? '' : ` (${place(trouble, known)} makes sure of ${plural(access.of, 'byte')})`;
  return {
    reason:
      access.of === 0
        ? `${bytes} of ${ends.what} ${are} used, and no comparison with ${ends.end} says that so much is there`
        : `${bytes} of ${ends.what} ${are} used, and only ${plural(access.of, 'byte')} (0 to ${access.of - 1}) are known to be there`,
    suggestion: `before the access, leave when the packet is too short: ${enough}${made}`,
  };
}

const isPacket = ({ type }: RegState): boolean =>
  baseType(type) === PTR_TO_PACKET || baseType(type) === PTR_TO_PACKET_META;

/** The pointer was moved by a number that only the packet knows. */
function variable(trouble: Trouble, pointer: BlamedReg, ends: Ends): Advice {
  const { chain, insn, refusal } = trouble;
  const { scalar } = pointer.value;
  const moved = chain.findLast(
    ({ kind, before, after }) =>
      kind === 'compute' &&
      after !== undefined &&
      isPacket(after) &&
      !after.scalar.isConst &&
      before?.id !== after.id,
  );
  const where = moved === undefined ? '' : ` in ${place(trouble, moved.insn)}`;
  const by = describeNumber(scalar);
  const most = scalar.umaxHi !== 0 ? Number.POSITIVE_INFINITY : scalar.umaxLo >>> 0;
  if (most + pointer.value.off > MAX_PACKET_OFF) {
    const name = moved && addend(trouble, moved.insn);
    return {
      reason: `the pointer was moved${where} by ${by}; comparisons with ${ends.end} count only where that is ${MAX_PACKET_OFF} at most`,
      suggestion: `limit ${name ?? 'the number'} before it is added to the pointer${where}: if (${name ?? 'n'} > 1500) return …; then compare with ${ends.end}`,
    };
  }
  const after = moved?.after?.off ?? pointer.value.off;
  const reach = refusal.access!.off - after + refusal.access!.size;
  const target = moved && assigned(sourceText(trouble, moved.insn));
  const name = target !== undefined && isName(target) ? target : 'p';
  const size =
    insn !== undefined && 'size' in insn && insn.size === reach ? '' : ` (${reach} bytes from there on)`;
  return {
    reason: `the pointer was moved${where} by ${by}, and nothing was compared with ${ends.end} since then`,
    suggestion: `compare again after that: if ((void *)${name} + ${reach} > ${ends.end}) return …;${size}`,
  };
}

/** The number that an instruction adds to a pointer, by name. */
function addend({ chain, draft, ...rest }: Trouble, at: number): string | undefined {
  const insn = draft.insns[at];
  if (insn?.kind !== 'alu' || insn.src.kind !== 'reg') return undefined;
  const from = insn.src.reg;
  const origin = chain.findLast((link) => link.insn < at && link.place === `r${from}`);
  const name = origin && assigned(sourceText(rest, origin.insn));
  return name !== undefined && isName(name) ? name : undefined;
}

/** The last comparison that something became known of the packet by. */
function lastComparison({ chain }: Trouble, regno: number): number | undefined {
  return chain.findLast(
    ({ kind, place: at, after }) => kind === 'branch' && at === `r${regno}` && (after?.range ?? 0) > 0,
  )?.insn;
}

/** The step of the last comparison with the packet's end: as nothing is known after it, the path is that of packets too short. */
function shortSide({ steps, draft }: Trouble): number | undefined {
  for (let at = steps.length - 2; at >= 0; at--) {
    const { insnIdx, regs } = steps[at]!;
    const insn: Insn | undefined = draft.insns[insnIdx];
    if (insn?.kind !== 'jmp' || insn.src.kind !== 'reg') continue;
    const sides = [regs[insn.dst]!, regs[insn.src.reg]!];
    if (sides.some(isPacket) && sides.some(({ type }) => baseType(type) === PTR_TO_PACKET_END))
      return insnIdx;
  }
  return undefined;
}
