/** Changes to a program's instructions: small ones, so that most of what made sense still does, and wild ones. */
import type { Random } from './fuzz-program.ts';

const SLOT = 8;
/** Making a program small takes no longer than this. */
const SMALL_MS = 3000;
const WIDE = 0x18;
const CALL = 0x85;
/** `goto +0`: an instruction that does nothing. */
const NOTHING = Uint8Array.of(0x05, 0, 0, 0, 0, 0, 0, 0);

/** Every opcode of the instruction set. */
const OPCODES: readonly number[] = opcodes();

function opcodes(): number[] {
  const found: number[] = [WIDE, 0x05, 0x06, CALL, 0x95, 0xe5, 0xc3, 0xdb, 0xd3, 0xcb, 0xd4, 0xdc, 0xd7];
  for (let op = 0; op <= 0xd0; op += 0x10) {
    if (op !== 0xd0) found.push(op | 0x07, op | 0x0f, op | 0x04, op | 0x0c);
    if (op !== 0 && op !== 0x80 && op !== 0x90) found.push(op | 0x05, op | 0x0d, op | 0x06, op | 0x0e);
  }
  for (const size of [0x00, 0x08, 0x10, 0x18]) {
    found.push(0x61 | size, 0x62 | size, 0x63 | size, 0x81 | size);
    if (size !== 0x18) found.push(0x20 | size, 0x40 | size);
  }
  return found;
}

/** Other programs, whose instructions are put into this one. */
export type Donors = readonly Uint8Array[];

/** @returns a changed copy */
export function mutate(insns: Uint8Array, donors: Donors, random: Random): Uint8Array {
  let out: Uint8Array = insns.slice();
  if (random.chance(0.01)) return wild(out, random);
  if (random.chance(0.01)) return out.slice(0, SLOT * (1 + random.below(out.length / SLOT)));
  const changes = random.pick([1, 1, 1, 1, 2, 2, 3, 5]);
  for (let n = 0; n < changes; n++) out = change(out, donors, random);
  return out;
}

/** Opcodes that exist with operands that mean nothing. */
function wild(out: Uint8Array, random: Random): Uint8Array {
  for (let i = 0; i < out.length; i++) out[i] = random.chance(0.5) ? 0 : random.below(256);
  for (let at = 0; at < out.length; at += SLOT) out[at] = random.pick(OPCODES);
  return out;
}

/** Slots that begin an instruction. */
function beginnings(insns: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < insns.length; at += insns[at] === WIDE ? 2 * SLOT : SLOT) found.push(at);
  return found;
}

const isJump = (op: number): boolean => {
  const kind = op & 7;
  const what = op & 0xf0;
  return (kind === 5 || kind === 6) && what !== 0 && what !== 0x80 && what !== 0x90 && what !== 0xe0;
};

/** What a jump becomes when it is taken in the other cases. */
const OPPOSITE: Readonly<Record<number, number>> = {
  16: 0x50,
  80: 0x10,
  32: 0xb0,
  176: 0x20,
  48: 0xa0,
  160: 0x30,
  96: 0xd0,
  208: 0x60,
  112: 0xc0,
  192: 0x70,
};

function change(insns: Uint8Array, donors: Donors, random: Random): Uint8Array {
  const out = insns;
  const view = new DataView(out.buffer, out.byteOffset);
  const starts = beginnings(out);
  const at = random.pick(starts);
  switch (random.below(16)) {
    case 0:
      out[random.below(out.length)] = random.below(256);
      break;
    case 1: {
      const byte = random.below(out.length);
      out[byte] = out[byte]! ^ (1 << random.below(8));
      break;
    }
    case 2:
      out[at] = random.pick(OPCODES);
      break;
    case 3:
      out[at + 1] = (out[at + 1]! & 0xf0) | random.below(11);
      break;
    case 4:
      out[at + 1] = (out[at + 1]! & 0x0f) | (random.below(11) << 4);
      break;
    case 5:
      view.setInt32(at + 4, random.imm(), true);
      break;
    case 6:
      view.setInt32(at + 4, view.getInt32(at + 4, true) + random.pick([-8, -4, -1, 1, 2, 4, 8]), true);
      break;
    case 7:
      view.setInt16(at + 2, view.getInt16(at + 2, true) + random.pick([-8, -4, -1, 1, 2, 4, 8]), true);
      break;
    case 8:
    case 9:
      erase(out, at);
      break;
    case 10: {
      const jumps = starts.filter((start) => isJump(out[start]!));
      if (jumps.length === 0) break;
      const jump = random.pick(jumps);
      out[jump] = OPPOSITE[out[jump]! & 0xf0] === undefined ? out[jump]! ^ 3 : opposite(out[jump]!);
      break;
    }
    case 11: {
      const next = at + SLOT;
      if (out[at] === WIDE || next >= out.length || out[next] === WIDE) break;
      const first = out.slice(at, next);
      out.copyWithin(at, next, next + SLOT);
      out.set(first, next);
      break;
    }
    case 12:
      splice(out, at, out, random);
      break;
    case 13:
      splice(out, at, donors.length > 0 ? random.pick(donors) : out, random);
      break;
    case 14: {
      const calls = starts.filter((start) => out[start] === CALL);
      if (calls.length === 0) break;
      const call = random.pick(calls);
      // Another function of the same kind, as the same program calls it, or any helper.
      if (random.chance(0.5)) out.set(out.slice(...span(random.pick(calls))), call);
      else if (out[call + 1]! >> 4 === 0) view.setInt32(call + 4, 1 + random.below(212), true);
      break;
    }
    default:
      // Another width.
      if ((out[at]! & 7) === 7 || (out[at]! & 7) === 4) out[at] = out[at]! ^ 3;
      else if (isJump(out[at]!)) out[at] = out[at]! ^ 3;
      else out[at] = (out[at]! & ~0x18) | random.pick([0, 8, 0x10, 0x18]);
  }
  return out;
}

const span = (at: number): [number, number] => [at, at + SLOT];
const opposite = (op: number): number => OPPOSITE[op & 0xf0]! | (op & 0x0f);

function splice(out: Uint8Array, at: number, from: Uint8Array, random: Random): void {
  const length = random.pick([1, 1, 2, 3, 5]) * SLOT;
  const start = SLOT * random.below(from.length / SLOT);
  out.set(from.slice(start, start + Math.min(length, out.length - at, from.length - start)), at);
}

/** Puts what does nothing in an instruction's place. */
export function erase(insns: Uint8Array, at: number): void {
  const wide = insns[at] === WIDE && at + SLOT < insns.length;
  insns.set(NOTHING, at);
  if (wide) insns.set(NOTHING, at + SLOT);
}

/** The same program with as many instructions erased as can be while it still is as it was. */
export function smaller(insns: Uint8Array, same: (candidate: Uint8Array) => boolean): Uint8Array {
  let best = insns;
  const until = performance.now() + SMALL_MS;
  for (let changed = true; changed; ) {
    changed = false;
    const starts = beginnings(best).filter(
      (at) => best[at] !== 0x05 || best[at + 2] !== 0 || best[at + 3] !== 0,
    );
    for (let chunk = Math.max(1, starts.length >> 1); chunk >= 1; chunk >>= 1) {
      for (let i = 0; i < starts.length && performance.now() < until; i += chunk) {
        const candidate = best.slice();
        let any = false;
        for (const at of starts.slice(i, i + chunk)) {
          if (candidate[at] === 0x05 && candidate[at + 2] === 0 && candidate[at + 3] === 0) continue;
          erase(candidate, at);
          any = true;
        }
        if (!any || !same(candidate)) continue;
        best = candidate;
        changed = true;
      }
    }
  }
  return best;
}
