/** Lowers the effective capabilities of the calling thread for one call. */
import koffi from 'koffi';
import type { Capabilities } from '../src/kernel/verifier/index.ts';

/** @see include/uapi/linux/capability.h */
const BITS: Readonly<Record<keyof Capabilities, number>> = {
  netAdmin: 12,
  sysAdmin: 21,
  perfmon: 38,
  bpf: 39,
};
const VERSION_3 = 0x20080522;

/** Header, then effective, permitted and inheritable in two halves. */
interface Sets {
  readonly header: Uint32Array;
  readonly data: Uint32Array;
}

function calls() {
  const library = koffi.load(null);
  const get: (header: Uint32Array, data: Uint32Array) => number = library.func('int capget(void *, void *)');
  const set: (header: Uint32Array, data: Uint32Array) => number = library.func('int capset(void *, void *)');
  return { get, set };
}

/**
 * @returns what calls a function with only these of the four capabilities (others stay); `undefined` where this
 * process can't change them
 */
export function capabilityDropper(wanted: Capabilities): (<T>(call: () => T) => T) | undefined {
  const { get, set } = calls();
  const now: Sets = { header: Uint32Array.of(VERSION_3, 0), data: new Uint32Array(6) };
  if (get(now.header, now.data) !== 0) return undefined;
  const lowered = now.data.slice();
  for (const name of Object.keys(BITS) as (keyof Capabilities)[]) {
    const bit = BITS[name];
    if (!wanted[name]) lowered[bit < 32 ? 0 : 3]! &= ~(1 << (bit % 32));
  }
  const change = (data: Uint32Array): void => {
    if (set(now.header, data) !== 0) throw new Error('capset failed');
  };
  return (call) => {
    change(lowered);
    try {
      return call();
    } finally {
      change(now.data);
    }
  };
}
