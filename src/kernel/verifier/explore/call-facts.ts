/** What is known of a call before any path is explored. */
import { helperName } from '../../../sys/helper-ids.ts';
import { prototype } from '../../helpers/prototypes.ts';
import { checkHelperCall } from '../structure/calls.ts';
import { type Draft, subprogramAt } from '../structure/draft.ts';
import type { CallFacts } from './build-plan.ts';
import { kfuncFacts } from './call-kfunc.ts';

/** Facts of a helper's or kernel function's call, for the plan and for the function that contains it. */
export interface CallSiteFacts extends CallFacts {
  readonly changesPacket?: boolean;
  readonly mightSleep?: boolean;
  readonly throws?: boolean;
}

const SYNC: ReadonlySet<string> = new Set(['for_each_map_elem', 'find_vma', 'loop', 'user_ringbuf_drain']);

/** @returns `undefined` for local calls, and where the program may not call the helper */
export function callFacts(draft: Draft, idx: number): CallSiteFacts | undefined {
  const insn = draft.insns[idx];
  if (insn?.kind !== 'call') return undefined;
  if (insn.target.kind === 'kfunc') return kfuncFacts(draft, idx);
  if (insn.target.kind !== 'helper') return undefined;
  const { id } = insn.target;
  const refusal = checkHelperCall(draft, idx, id);
  const helper = helperName(id);
  if (helper === undefined || (refusal !== undefined && refusal.code === 'helper-not-allowed'))
    return undefined;
  const proto = prototype(helper, draft.input.type);
  return {
    args: proto.args.length,
    ...(SYNC.has(helper) && { callback: 'sync' as const }),
    ...(helper === 'timer_set_callback' && { callback: 'async' as const }),
    changesPacket: proto.changesPacket === true,
    mightSleep: proto.mightSleep === true,
  };
}

/**
 * Notes for each subprogram whether it, or one that it calls or takes the address of, may move packet data or sleep:
 * callers of global functions need to know it.
 */
export function markSubprogEffects(draft: Draft): void {
  const callees: Set<number>[] = draft.subprograms.map(() => new Set());
  for (let idx = 0; idx < draft.count; idx++) {
    const insn = draft.insns[idx];
    if (insn === undefined) continue;
    const index = subprogramAt(draft, idx);
    const sub = draft.subprograms[index]!;
    const target = calleeStart(draft, idx);
    if (target !== undefined) callees[index]!.add(subprogramAt(draft, target));
    const facts = callFacts(draft, idx);
    if (facts?.changesPacket) sub.changesPacket = true;
    if (facts?.mightSleep) sub.mightSleep = true;
  }
  for (let changed = true; changed; ) {
    changed = false;
    for (const [index, set] of callees.entries()) {
      for (const callee of set) changed = inherit(draft, index, callee) || changed;
    }
  }
}

function inherit(draft: Draft, index: number, callee: number): boolean {
  const sub = draft.subprograms[index]!;
  const from = draft.subprograms[callee]!;
  let changed = false;
  for (const effect of ['changesPacket', 'mightSleep'] as const) {
    if (!from[effect] || sub[effect]) continue;
    sub[effect] = true;
    changed = true;
  }
  return changed;
}

/** Where the subprogram begins that an instruction calls or takes the address of. */
export function calleeStart(draft: Draft, idx: number): number | undefined {
  const insn = draft.insns[idx];
  if (insn?.kind === 'call' && insn.target.kind === 'local') return idx + insn.target.off + 1;
  if (insn?.kind === 'ldimm64' && insn.imm.kind === 'func') return idx + insn.imm.off + 1;
  return undefined;
}
