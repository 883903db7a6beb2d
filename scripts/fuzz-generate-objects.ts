/** Things that have a life: locks, dynptrs, sockets, iterators, regions, timers; and calls that call back. */
import { type Helper, helperId, type ProgType } from '../src/sys/index.ts';
import type { Generator } from './fuzz-generate.ts';
import { anyHelper, useSocket } from './fuzz-generate-helpers.ts';
import { MAP, type MapName, mapOf } from './fuzz-generate-maps.ts';
import { type MutableInsn, SCALAR, SIZES, SLOTS } from './fuzz-generate-writer.ts';
import { type FuzzInsn, OP, PSEUDO } from './fuzz-program.ts';

const ARGUMENTS = [1, 2, 3, 4, 5];
const callFree = (g: Generator): boolean => !ARGUMENTS.some((reg) => g.kept.has(reg));
const call = (g: Generator, helper: Helper): void => g.helper(helperId(helper));

/** Looks up a value and, where there is one, does something with it, kept in a register. */
function withValue(g: Generator, map: MapName, use: (reg: number) => void): void {
  const { key } = mapOf(MAP[map]);
  const reg = g.free([7, 8, 9]);
  if (!callFree(g) || g.kept.has(reg)) return;
  const slot = g.key(key, 2);
  g.mapReg(1, MAP[map]);
  g.stackPointer(2, -8 * slot);
  call(g, 'map_lookup_elem');
  g.alu(0xbf, reg, 0, 0);
  g.state.regs[reg] = undefined;
  const before = g.copyState();
  g.skip(0x15, reg, 0, 0, () => {
    g.kept.add(reg);
    use(reg);
    g.kept.delete(reg);
    g.state.regs[reg] = undefined;
  });
  g.merge(before);
}

/** Types that may use maps with neither locks nor timers in them. */
const BARE: ReadonlySet<ProgType> = new Set([
  'socket_filter',
  'kprobe',
  'raw_tracepoint',
  'tracepoint',
  'perf_event',
]);

/** A lock around a few accesses, now and then with what must not be done under it. */
export function spinLock(g: Generator): void {
  const r = g.random;
  if (BARE.has(g.type) && !r.chance(0.02)) return;
  withValue(g, 'locked', (reg) => {
    if (r.chance(0.96)) {
      g.alu(0xbf, 1, reg, 0);
      call(g, 'spin_lock');
    }
    for (let n = 1 + r.below(3); n > 0; n--) {
      const { size, bits } = r.pick(SIZES);
      const off = (r.chance(0.95) ? 8 : 0) + r.below(16 / size) * size;
      const value = g.having((v) => v.k === 'scalar');
      if (value === undefined || r.chance(0.5)) g.mem(0x62, bits, reg, 0, off, r.imm());
      else g.mem(0x63, bits, reg, value, off);
    }
    if (r.chance(0.05)) anyHelper(g, 4);
    if (r.chance(0.97)) {
      g.alu(0xbf, 1, reg, 0);
      call(g, 'spin_unlock');
    }
  });
}

export function timer(g: Generator): void {
  const r = g.random;
  if (BARE.has(g.type) && !r.chance(0.02)) return;
  withValue(g, 'timed', (reg) => {
    g.repeatable = false;
    g.alu(0xbf, 1, reg, 0);
    const what = r.below(4);
    if (what < 2) {
      g.mapReg(2, MAP.timed);
      g.movImm(3, r.pick([0, 1, 7]));
      call(g, 'timer_init');
      g.state.regs[0] = SCALAR;
    } else if (what === 2 && g.functions < 4) {
      const entry: FuzzInsn = { op: OP.ja, dst: 0, src: 0, off: 0, imm: 0 };
      g.functions++;
      g.push({ op: OP.ldimm64, dst: 2, src: PSEUDO.func, off: 0, imm: 0, target: entry });
      call(g, 'timer_set_callback');
      g.state.regs[0] = SCALAR;
      // Of the map, the key and the value only the latter two can be looked into.
      g.pending.push({
        entry,
        args: [undefined, { k: 'mem', off: 0, room: 8, readonly: true }, { k: 'mem', off: 16, room: 8 }],
        callback: true,
        global: false,
      });
    } else {
      g.movImm(2, r.below(100));
      g.movImm(3, 0);
      call(g, r.chance(0.5) ? 'timer_start' : 'timer_cancel');
      g.state.regs[0] = SCALAR;
    }
  });
}

/** Views of memory: over a map's value, a record of the ring buffer, or the packet. */
export function dynptr(g: Generator, depth: number): void {
  const r = g.random;
  if (!callFree(g)) return;
  g.repeatable = false;
  const slot = 2 + r.below(SLOTS - 1);
  const forget = (): void => {
    g.state.stack[slot] = g.state.stack[slot - 1] = undefined;
  };
  const record = r.chance(0.3);
  const packet = !record && g.packets && r.chance(0.4);
  forget();
  if (record) {
    g.mapReg(1, MAP.ringbuf);
    g.movImm(2, r.pick([8, 16, 64]));
    g.movImm(3, 0);
    g.stackPointer(4, -8 * slot);
    call(g, 'ringbuf_reserve_dynptr');
  } else if (packet) {
    const ctx = g.having((v) => v.k === 'ctx');
    if (ctx === undefined) return;
    g.mov(1, ctx);
    g.movImm(2, 0);
    g.stackPointer(3, -8 * slot);
    g.kfunc(g.type === 'xdp' ? 'bpf_dynptr_from_xdp' : 'bpf_dynptr_from_skb');
  } else {
    const value = g.having((v) => v.k === 'mem' && v.off === 0 && v.room >= 8);
    if (value === undefined) return;
    g.mov(1, value);
    g.movImm(2, r.pick([1, 8]));
    g.movImm(3, 0);
    g.stackPointer(4, -8 * slot);
    call(g, 'dynptr_from_mem');
  }
  g.state.regs[0] = SCALAR;
  for (let n = r.below(3); n > 0; n--) use(g, slot, depth);
  if (record && (g.loops || g.callee || r.chance(0.93))) {
    g.stackPointer(1, -8 * slot);
    g.movImm(2, 0);
    call(g, r.chance(0.5) ? 'ringbuf_submit_dynptr' : 'ringbuf_discard_dynptr');
  }
  // Part of it may be overwritten.
  if (r.chance(0.1)) g.mem(0x62, 0x18, 10, 0, -8 * slot + r.pick([0, 8]), 0);
  forget();
}

function use(g: Generator, slot: number, depth: number): void {
  const r = g.random;
  const other = slot > 6 ? 1 + r.below(slot - 3) : slot + 1 < SLOTS ? slot + 1 : 0;
  switch (r.below(5)) {
    case 0:
      if (other < 1) return;
      g.stackPointer(1, -8 * other);
      g.movImm(2, r.pick([1, 4, 8]));
      g.stackPointer(3, -8 * slot);
      g.movImm(4, r.below(4));
      g.movImm(5, 0);
      g.state.stack[other] = undefined;
      call(g, 'dynptr_read');
      g.state.regs[0] = SCALAR;
      return;
    case 1:
      if (other < 1) return;
      g.mem(0x62, 0x18, 10, 0, -8 * other, r.imm());
      g.state.stack[other] = SCALAR;
      g.stackPointer(1, -8 * slot);
      g.movImm(2, r.below(4));
      g.stackPointer(3, -8 * other);
      g.movImm(4, r.pick([1, 4, 8]));
      g.movImm(5, 0);
      call(g, 'dynptr_write');
      g.forgetPackets();
      g.state.regs[0] = SCALAR;
      return;
    case 2: {
      const room = r.pick([1, 4, 8]);
      g.stackPointer(1, -8 * slot);
      g.movImm(2, 0);
      g.movImm(3, room);
      call(g, 'dynptr_data');
      slice(g, room, depth, false);
      return;
    }
    case 3: {
      const room = r.pick([4, 8]);
      if (other < 1) return;
      g.mem(0x62, 0x18, 10, 0, -8 * other, 0);
      g.stackPointer(1, -8 * slot);
      g.movImm(2, 0);
      g.stackPointer(3, -8 * other);
      g.movImm(4, room);
      g.kfunc(r.chance(0.6) ? 'bpf_dynptr_slice' : 'bpf_dynptr_slice_rdwr');
      slice(g, room, depth, true);
      return;
    }
    default:
      g.stackPointer(1, -8 * slot);
      if (r.chance(0.5)) {
        g.movImm(2, 0);
        g.movImm(3, r.below(9));
        g.kfunc('bpf_dynptr_adjust');
      } else g.kfunc(r.pick(['bpf_dynptr_size', 'bpf_dynptr_is_null', 'bpf_dynptr_is_rdonly']));
      g.state.regs[0] = SCALAR;
  }
}

/** r0 may be memory. */
function slice(g: Generator, room: number, depth: number, readonly: boolean): void {
  const r = g.random;
  const reg = g.free([7, 8, 9]);
  if (g.kept.has(reg)) return;
  g.alu(0xbf, reg, 0, 0);
  g.state.regs[reg] = undefined;
  const before = g.copyState();
  g.skip(0x15, reg, 0, 0, () => {
    g.state.regs[reg] = { k: 'mem', off: 0, room, ...(readonly && r.chance(0.8) && { readonly: true }) };
    g.memAccess();
    if (depth < 2 && r.chance(0.2)) g.arithmetic();
  });
  g.merge(before);
}

export function socketLookup(g: Generator): void {
  const r = g.random;
  const ctx = g.having((v) => v.k === 'ctx');
  if (ctx === undefined || !callFree(g)) return;
  if (!g.packets && !r.chance(0.05)) return;
  g.repeatable = false;
  const slot = 2 + r.below(SLOTS - 2);
  for (const one of [slot, slot - 1]) {
    g.mem(0x62, 0x18, 10, 0, -8 * one, r.imm());
    g.state.stack[one] = SCALAR;
  }
  g.mov(1, ctx);
  g.stackPointer(2, -8 * slot);
  g.movImm(3, 12);
  g.movImm(4, r.pick([-1, 0]));
  g.movImm(5, 0);
  const helper = r.pick(['sk_lookup_tcp', 'sk_lookup_udp', 'skc_lookup_tcp'] as const);
  call(g, helper);
  useSocket(g, helper === 'skc_lookup_tcp' ? 'common' : 'sock', true);
}

/** `bpf_for`: a loop over numbers. */
export function iterator(g: Generator, depth: number): void {
  const r = g.random;
  // What is mispredicted goes around for ever.
  if (!callFree(g) || depth > 1 || (g.careful && !r.chance(0.03))) return;
  g.repeatable = false;
  g.loops = true;
  const slot = 1 + r.below(SLOTS);
  g.state.stack[slot] = undefined;
  g.stackPointer(1, -8 * slot);
  g.movImm(2, r.below(3));
  g.movImm(3, r.pick([0, 3, 10, 1000]));
  g.kfunc('bpf_iter_num_new');
  for (let reg = 0; reg <= 9; reg++) if (g.state.regs[reg]?.k === 'scalar') g.state.regs[reg] = SCALAR;
  const before = g.copyState();
  const start = g.label();
  g.stackPointer(1, -8 * slot);
  g.kfunc('bpf_iter_num_next');
  const leave = g.push({ op: 0x15, dst: 0, src: 0, off: 0, imm: 0 }) as MutableInsn;
  const into = g.free([2, 3, 7, 8, 9]);
  if (!g.kept.has(into)) {
    g.mem(0x61, 0x00, into, 0, 0);
    g.state.regs[into] = SCALAR;
  }
  // The body leaves alone what the iterator is in; what it changes must be the same kind of thing in every round.
  const inner = Math.min(g.budget, r.below(3));
  const rest = g.budget - inner;
  g.budget = inner;
  for (let n = 0; n < inner; n++) r.chance(0.5) ? g.arithmetic() : g.memAccess();
  g.budget = rest;
  g.push({ op: OP.ja, dst: 0, src: 0, off: 0, imm: 0, target: start });
  leave.target = g.label();
  g.merge(before);
  if (r.chance(0.95)) {
    g.stackPointer(1, -8 * slot);
    g.kfunc('bpf_iter_num_destroy');
  }
  g.state.stack[slot] = undefined;
  g.forgetPackets();
}

const REGIONS = [
  ['bpf_rcu_read_lock', 'bpf_rcu_read_unlock'],
  ['bpf_preempt_disable', 'bpf_preempt_enable'],
  ['bpf_local_irq_save', 'bpf_local_irq_restore'],
] as const;

/** A part in which sleeping, preemption or interrupts are off. */
export function region(g: Generator, depth: number): void {
  const r = g.random;
  if (!callFree(g)) return;
  const [enter, leave] = r.pick(REGIONS);
  const slot = 1 + r.below(SLOTS);
  const flags = enter === 'bpf_local_irq_save';
  const mark = (): void => {
    g.state.stack[slot] = undefined;
    if (flags) g.stackPointer(1, -8 * slot);
  };
  mark();
  g.kfunc(enter);
  const inner = Math.min(g.budget, r.below(3));
  for (let n = 0; n < inner; n++) r.chance(0.8) ? g.arithmetic() : anyHelper(g, depth + 3);
  if (!r.chance(0.95)) return;
  mark();
  g.kfunc(leave);
}

const PACKET_WORDS: ReadonlySet<ProgType> = new Set([
  'socket_filter',
  'cgroup_skb',
  'sched_cls',
  'sched_act',
]);

/** A load from the packet by LD_ABS or LD_IND, which ends the program where the packet is too short. */
export function packetWord(g: Generator): void {
  const r = g.random;
  if (!PACKET_WORDS.has(g.type) || !callFree(g) || g.state.regs[6]?.k !== 'ctx') return;
  const bits = r.pick([0x00, 0x08, 0x10]);
  if (r.chance(0.6)) g.push({ op: 0x20 | bits, dst: 0, src: 0, off: 0, imm: r.below(60) });
  else g.push({ op: 0x40 | bits, dst: 0, src: g.scalar(), off: 0, imm: r.below(16) });
  g.afterCall();
  g.state.regs[0] = SCALAR;
}

/** `bpf_for_each_map_elem` with a callback of its own. */
export function forEach(g: Generator): void {
  const r = g.random;
  if (g.functions >= 4 || !callFree(g)) return;
  const map = r.pick(['hash', 'array', 'percpu', 'lru', 'percpuHash'] as const);
  const entry: FuzzInsn = { op: OP.ja, dst: 0, src: 0, off: 0, imm: 0 };
  g.functions++;
  const slot = 1 + r.below(SLOTS);
  g.mem(0x62, 0x18, 10, 0, -8 * slot, r.below(100));
  g.state.stack[slot] = SCALAR;
  g.mapReg(1, MAP[map]);
  g.push({ op: OP.ldimm64, dst: 2, src: PSEUDO.func, off: 0, imm: 0, target: entry });
  g.stackPointer(3, -8 * slot);
  g.movImm(4, 0);
  call(g, 'for_each_map_elem');
  g.repeatable = false;
  g.state.regs[0] = SCALAR;
  const { key, value } = mapOf(MAP[map]);
  g.pending.push({
    entry,
    args: [
      undefined,
      { k: 'mem', off: 0, room: key, readonly: true },
      { k: 'mem', off: 0, room: value },
      { k: 'mem', off: 0, room: 8 },
    ],
    callback: true,
    global: false,
  });
}

export function contextWrite(g: Generator): void {
  const r = g.random;
  const ctx = g.having((v) => v.k === 'ctx');
  if (ctx === undefined) return;
  const place = g.contextPlace('write');
  if (place === undefined) return;
  const { bits } = SIZES.find((s) => s.size === place.size)!;
  if (r.chance(0.4)) g.mem(0x62, bits, ctx, 0, place.offset, r.imm());
  else g.mem(0x63, bits, ctx, g.scalar(), place.offset);
  g.repeatable = false;
}
