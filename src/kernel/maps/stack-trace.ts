import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { u32, u32Bytes } from './array.ts';
import { type Check, checkFlags, checkKeySize, checkNonZero, first, refuse } from './checks.ts';
import { jhashBytes } from './jhash.ts';
import { BpfMap, errno, type Status, type SysValue } from './map.ts';

/** `kernel.perf_event_max_stack`: frames of a stack. */
const MAX_FRAMES = 127;
const ADDRESS = 8;
/** `sizeof(struct bpf_stack_build_id)`. */
const BUILD_ID = 32;
const MAX_BUCKETS = 2 ** 31;

/** Flags of `bpf_get_stackid`; the low byte counts the frames to skip. */
const STACKID = { SKIP: 0xff, USER: 1 << 8, FAST_CMP: 1 << 9, REUSE: 1 << 10 } as const;

const frameBytes = (flags: number) => (flags & MAP_CREATE_FLAGS.BPF_F_STACK_BUILD_ID ? BUILD_ID : ADDRESS);

export const checkStackTrace: Check = (shape) => {
  const frame = frameBytes(shape.flags);
  return first(
    checkFlags(shape),
    checkNonZero(shape, 'maxEntries'),
    checkKeySize(shape, 4),
    shape.valueSize < ADDRESS || shape.valueSize % frame !== 0 || shape.valueSize / frame > MAX_FRAMES
      ? refuse('EINVAL', `a stack_trace's value has 1 to ${MAX_FRAMES} frames of ${frame} bytes`)
      : undefined,
    shape.maxEntries > MAX_BUCKETS ? refuse('E2BIG', `max_entries exceeds ${MAX_BUCKETS}`) : undefined,
  );
};

interface Trace {
  readonly hash: number;
  /** The frames as they are compared: their addresses. */
  readonly frames: Uint8Array<ArrayBuffer>;
}

/** Stacks by the hash of their frames. User space reads and deletes them; only `bpf_get_stackid` puts them in. */
export class StackTraceMap extends BpfMap {
  readonly #traces = new Map<number, Trace>();

  get #buckets(): number {
    return 2 ** Math.ceil(Math.log2(this.shape.maxEntries));
  }

  /**
   * `bpf_get_stackid`: remembers a stack.
   * @param frames addresses, the innermost first
   * @returns its id; `EINVAL` for unknown flags, `EFAULT` where nothing is left of it, `EEXIST` where another is in its place
   */
  remember(frames: readonly bigint[], flags: bigint): Status {
    if (flags & ~BigInt(STACKID.SKIP | STACKID.USER | STACKID.FAST_CMP | STACKID.REUSE))
      return errno('EINVAL');
    const options = Number(flags);
    const most = this.shape.valueSize / frameBytes(this.shape.flags);
    const kept = frames.slice(options & STACKID.SKIP).slice(0, most);
    if (kept.length === 0) return errno('EFAULT');
    const bytes = new Uint8Array(BigUint64Array.from(kept).buffer);
    const hash = jhashBytes(bytes, 0);
    const id = hash & (this.#buckets - 1);
    const old = this.#traces.get(id);
    if (old?.hash === hash) {
      if (options & STACKID.FAST_CMP || same(old.frames, bytes)) return id;
    }
    if (old && !(options & STACKID.REUSE)) return errno('EEXIST');
    this.#traces.set(id, { hash, frames: bytes });
    return id;
  }

  #value(trace: Trace): Uint8Array<ArrayBuffer> {
    const value = new Uint8Array(this.shape.valueSize);
    if (frameBytes(this.shape.flags) === ADDRESS) {
      value.set(trace.frames);
      return value;
    }
    // Without an executable file behind it a frame is BPF_STACK_BUILD_ID_IP and its address.
    for (let at = 0, frame = 0; at < trace.frames.length; at += ADDRESS, frame += BUILD_ID) {
      value.set([2], frame);
      value.set(trace.frames.subarray(at, at + ADDRESS), frame + BUILD_ID - ADDRESS);
    }
    return value;
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }
  delete(key: Addr): Status {
    const id = this.machine.memory.readU32(key);
    if (id >= this.#buckets) return errno('E2BIG');
    return this.#traces.delete(id) ? 0 : errno('ENOENT');
  }

  override sysLookup(key: Uint8Array, _flags: number): SysValue {
    const trace = this.#traces.get(u32(key));
    return trace ? this.#value(trace) : errno('ENOENT');
  }

  override sysLookupAndDelete(key: Uint8Array, flags: number): SysValue {
    const value = this.sysLookup(key, flags);
    this.#traces.delete(u32(key));
    return value;
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    const from = key && this.#traces.has(u32(key)) ? u32(key) : -1;
    const next = [...this.#traces.keys()].sort((a, b) => a - b).find((id) => id > from);
    return next === undefined ? errno('ENOENT') : u32Bytes(next);
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
