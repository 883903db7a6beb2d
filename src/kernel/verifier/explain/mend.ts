/** Why a person's program is refused and how to mend it, where more can be said than the check itself says. */
import { callAdvice } from './advice-calls.ts';
import { contextAdvice } from './advice-context.ts';
import { lifetimeAdvice } from './advice-lifetime.ts';
import { limitAdvice } from './advice-limits.ts';
import { memoryAdvice } from './advice-memory.ts';
import { nullableAdvice, numberAdvice } from './advice-null.ts';
import { packetAdvice } from './advice-packet.ts';
import { HINTS } from './hints.ts';
import type { Advice, Trouble } from './trouble.ts';

/** The first that knows the trouble has the word. */
const ADVISERS: readonly ((trouble: Trouble) => Advice | undefined)[] = [
  lifetimeAdvice,
  limitAdvice,
  nullableAdvice,
  numberAdvice,
  packetAdvice,
  contextAdvice,
  memoryAdvice,
  callAdvice,
];

export function advise(trouble: Trouble): Advice {
  const { refusal } = trouble;
  let advice: Advice | undefined;
  for (const adviser of ADVISERS) {
    advice = adviser(trouble);
    if (advice !== undefined) break;
  }
  const suggestion = advice?.suggestion ?? refusal.hint ?? HINTS[refusal.code];
  return { ...advice, ...(suggestion !== undefined && { suggestion }) };
}
