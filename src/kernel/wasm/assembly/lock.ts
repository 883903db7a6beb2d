/** Locks of one word between threads. Over a memory of one thread they are nothing. */
import { mayWait } from './host';

/** Whether other threads have this memory. */
export const SHARED: bool = ASC_FEATURE_THREADS;

/** Rounds of trying before a thread sleeps, and how long it sleeps: the holder may have lost its processor. */
const SPINS: u32 = 500;
const NAP_NS: i64 = 50_000;

/** A word that another thread may be writing. */
export function peek(at: u32): u32 {
  return SHARED ? atomic.load<u32>(at) : load<u32>(at);
}

/** Makes what was written before it visible with it. */
export function publish(at: u32, value: u32): void {
  if (SHARED) atomic.store<u32>(at, value);
  else store<u32>(at, value);
}

export function lock(at: u32): void {
  if (!SHARED) return;
  let spins: u32 = 0;
  while (atomic.cmpxchg<u32>(at, 0, 1) !== 0) spins = rest(at, spins);
}

export function unlock(at: u32): void {
  if (SHARED) atomic.store<u32>(at, 0);
}

/** Takes the lock that is the word's lowest bit. @returns the rest of the word */
export function lockBit(at: u32): u32 {
  if (!SHARED) return load<u32>(at);
  let spins: u32 = 0;
  let seen = atomic.load<u32>(at);
  while ((seen & 1) !== 0 || atomic.cmpxchg<u32>(at, seen, seen | 1) !== seen) {
    spins = rest(at, spins);
    seen = atomic.load<u32>(at);
  }
  return seen;
}

/** Lets other threads run after a while. @returns how often it was called */
function rest(at: u32, spins: u32): u32 {
  if (spins < SPINS || mayWait === 0) return spins + 1;
  if (SHARED) atomic.wait<i32>(at, atomic.load<i32>(at), NAP_NS);
  return spins;
}

/** `bpf_spin_lock`. */
export function spin_lock(at: u32): void {
  lock(at);
}

/** `bpf_spin_unlock`. */
export function spin_unlock(at: u32): void {
  unlock(at);
}
