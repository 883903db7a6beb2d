/**
 * Generates programs that mostly make sense: it follows what registers and stack slots hold, and writes what a compiler
 * or a person would (lookups with null checks, packets with bounds, loops, calls, references that are given back), with
 * now and then something that does not belong.
 */
import { returnRange } from '../src/kernel/programs/index.ts';
import { type AttachType, PROG_LOAD_FLAGS, type ProgType } from '../src/sys/index.ts';
import { anyHelper } from './fuzz-generate-helpers.ts';
import { MAP, mapOf } from './fuzz-generate-maps.ts';
import {
  contextWrite,
  dynptr,
  forEach,
  iterator,
  packetWord,
  region,
  socketLookup,
  spinLock,
  timer,
} from './fuzz-generate-objects.ts';
import {
  ALU,
  JUMPS,
  type MutableInsn,
  type Pending,
  SCALAR,
  SIZES,
  SLOTS,
  type Slot,
  type Value,
  Writer,
} from './fuzz-generate-writer.ts';
import { type FuzzFunction, type FuzzInsn, type FuzzProgram, OP, PSEUDO, Random } from './fuzz-program.ts';

/** Program types, the commonest ones more than once, with what they are to be attached to. */
const TYPES: readonly (readonly [type: ProgType, attach?: AttachType])[] = [
  ['socket_filter'],
  ['xdp'],
  ['xdp'],
  ['xdp'],
  ['sched_cls'],
  ['sched_cls'],
  ['sched_cls'],
  ['cgroup_skb', 'cgroup_inet_ingress'],
  ['cgroup_skb', 'cgroup_inet_egress'],
  ['kprobe'],
  ['raw_tracepoint'],
  ['tracepoint'],
  ['perf_event'],
  ['sched_act'],
  ['lwt_in'],
  ['lwt_xmit'],
  ['sk_skb'],
  ['sk_msg'],
  ['sock_ops', 'cgroup_sock_ops'],
  ['cgroup_sock', 'cgroup_inet_sock_create'],
  ['cgroup_sock', 'cgroup_inet4_post_bind'],
  ['cgroup_sock_addr', 'cgroup_inet4_connect'],
  ['cgroup_sock_addr', 'cgroup_udp6_recvmsg'],
  ['cgroup_sockopt', 'cgroup_getsockopt'],
  ['cgroup_sockopt', 'cgroup_setsockopt'],
  ['cgroup_sysctl'],
  ['cgroup_device'],
  ['sk_reuseport'],
  ['sk_lookup', 'sk_lookup'],
  ['flow_dissector'],
  ['syscall'],
];
/** Types that a caller without CAP_PERFMON may load. */
const TRACING: ReadonlySet<ProgType> = new Set([
  'kprobe',
  'raw_tracepoint',
  'tracepoint',
  'perf_event',
  'syscall',
]);

/** The program of a seed. */
export function generate(seed: number): FuzzProgram {
  const random = new Random(seed);
  const [type, attach] = random.pick(TYPES);
  const careful = !TRACING.has(type) && random.chance(0.4);
  const program = new Generator(random, type, attach, careful);
  const functions = program.generate();
  let flags = 0;
  // With loops, remembering every state can take Linux half a minute.
  if (!program.loops && random.chance(0.3)) flags |= PROG_LOAD_FLAGS.BPF_F_TEST_STATE_FREQ;
  if (random.chance(0.1)) flags |= PROG_LOAD_FLAGS.BPF_F_STRICT_ALIGNMENT;
  if (random.chance(0.5)) flags |= PROG_LOAD_FLAGS.BPF_F_TEST_REG_INVARIANTS;
  if (type === 'syscall') flags |= PROG_LOAD_FLAGS.BPF_F_SLEEPABLE;
  return {
    type,
    ...(attach && { attach }),
    privilege: careful ? 'careful' : 'root',
    flags,
    functions,
    repeatable: program.repeatable,
  };
}

export class Generator extends Writer {
  started = false;
  readonly sloppy = this.random.pick([0, 0, 0, 0.01, 0.03, 0.1]);

  get packets(): boolean {
    return ['xdp', 'sched_cls', 'sched_act', 'cgroup_skb', 'lwt_xmit', 'sk_skb'].includes(this.type);
  }
  get skb(): boolean {
    return ['sched_cls', 'sched_act', 'cgroup_skb', 'socket_filter', 'lwt_in', 'lwt_xmit', 'sk_skb'].includes(
      this.type,
    );
  }
  /** A jump to what comes next. */
  private jump(): FuzzInsn {
    return { op: OP.ja, dst: 0, src: 0, off: 0, imm: 0 };
  }

  generate(): FuzzFunction[] {
    const functions: FuzzFunction[] = [];
    const main: Pending = { entry: this.jump(), args: [{ k: 'ctx' }], callback: false, global: false };
    functions.push(this.function(main, 6 + this.random.below(24)));
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift())
      functions.push(this.function(next, 3 + this.random.below(10)));
    return functions;
  }

  private function({ entry, args, callback, global }: Pending, budget: number): FuzzFunction {
    this.code = [];
    this.kept = new Set();
    this.callee = this.started;
    this.started = true;
    this.state = { regs: [undefined, ...args], stack: [] };
    this.state.regs[10] = { k: 'fp', off: 0 };
    this.budget = budget;
    this.push(entry);
    if (this.state.regs[1]?.k === 'ctx') this.mov(6, 1);
    this.block(0);
    this.end(callback);
    return { insns: this.code, ...(global && { global: args.length }) };
  }

  private end(callback: boolean): void {
    const { regs } = this.state;
    const range = this.callee ? undefined : returnRange(this.type, this.attach);
    if (regs[0]?.k !== 'scalar' || callback || this.random.chance(0.3) || (range && this.random.chance(0.95)))
      this.movImm(
        0,
        callback
          ? this.random.below(2)
          : range
            ? range.min + this.random.below(range.max - range.min + 1)
            : this.random.below(4),
      );
    this.push({ op: OP.exit, dst: 0, src: 0, off: 0, imm: 0 });
  }

  // What programs do

  block(depth: number): void {
    while (this.budget > 0) {
      this.budget--;
      if (this.random.chance(this.sloppy)) this.wild();
      this.action(depth);
      if (depth > 0 && this.random.chance(0.25)) return;
    }
  }

  action(depth: number): void {
    const actions: readonly (readonly [weight: number, act: () => unknown])[] = [
      [22, () => this.arithmetic()],
      [6, () => this.bound()],
      [8, () => this.stackAccess()],
      [5, () => this.spillFill()],
      [8, () => (depth < 4 ? this.branch(depth) : this.arithmetic())],
      [8, () => this.lookup(depth)],
      [8, () => this.memAccess()],
      [8, () => (this.packets ? this.packetCheck(depth) : this.lookup(depth))],
      [5, () => this.pointerArithmetic()],
      [5, () => (depth < 2 ? this.loop(depth) : this.arithmetic())],
      [5, () => this.helperCall()],
      [4, () => this.subprogram()],
      [2, () => this.ringbuf(depth)],
      [2, () => this.atomic()],
      [1, () => this.callback()],
      [1, () => this.tailCall()],
      [3, () => this.readContext()],
      [2, () => this.imm64(this.free(), this.random.imm(), this.random.imm())],
      [9, () => anyHelper(this, depth)],
      [2, () => spinLock(this)],
      [3, () => dynptr(this, depth)],
      [2, () => socketLookup(this)],
      [2, () => iterator(this, depth)],
      [1, () => region(this, depth)],
      [1, () => packetWord(this)],
      [1, () => timer(this)],
      [1, () => forEach(this)],
      [1, () => contextWrite(this)],
    ];
    let pick = this.random.below(actions.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of actions) {
      pick -= weight;
      if (pick >= 0) continue;
      act();
      return;
    }
  }

  readContext(): void {
    const ctx = this.having((v) => v.k === 'ctx');
    if (ctx !== undefined) this.ctxLoad(this.free(), ctx);
  }

  arithmetic(): void {
    const r = this.random;
    const dst = this.scalar();
    if (this.kept.has(dst)) return;
    const wide = r.chance(0.6) ? 0x07 : 0x04;
    this.state.regs[dst] = SCALAR;
    switch (r.below(12)) {
      case 0:
        this.alu(0x80 | wide, dst, 0, 0);
        return;
      case 1:
        this.alu(r.pick([0xd4, 0xdc, 0xd7]), dst, 0, r.pick([16, 32, 64]));
        return;
      case 2: {
        const bits = wide === 0x07 ? r.pick([8, 16, 32]) : r.pick([8, 16]);
        this.push({ op: 0xb8 | wide, dst, src: this.scalarSource(dst), off: bits, imm: 0 });
        return;
      }
      case 3:
        this.push({ op: 0xb8 | wide, dst, src: this.scalarSource(dst), off: 0, imm: 0 });
        return;
      default:
    }
    const op = r.pick(ALU);
    if (r.chance(0.45)) {
      const signed = (op === 0x30 || op === 0x90) && r.chance(0.4) ? 1 : 0;
      this.push({ op: op | 0x08 | wide, dst, src: this.scalarSource(dst), off: signed, imm: 0 });
      return;
    }
    let imm = r.imm();
    const shift = op === 0x60 || op === 0x70 || op === 0xc0;
    if (shift) imm = r.below(wide === 0x07 ? 64 : 32);
    if ((op === 0x30 || op === 0x90) && imm === 0) imm = 3;
    const signed = (op === 0x30 || op === 0x90) && r.chance(0.4) ? 1 : 0;
    this.push({ op: op | wide, dst, src: 0, off: signed, imm });
    if (op === 0x50 && imm >= 0) this.state.regs[dst] = { k: 'scalar', max: imm };
  }

  scalarSource(fallback: number): number {
    return this.having((v) => v.k === 'scalar') ?? fallback;
  }

  /** Makes a scalar small, by mask, shift, modulo, or a comparison that leaves on the other way. */
  bound(limit?: number): number {
    const r = this.random;
    let reg = this.scalar();
    const max = limit ?? r.pick([1, 3, 7, 15, 31, 63, 255]);
    if (this.kept.has(reg)) {
      reg = this.free();
      if (this.kept.has(reg)) return reg;
      this.fresh(reg);
    }
    const mask = 2 ** Math.floor(Math.log2(max + 1)) - 1;
    switch (r.below(4)) {
      case 0:
        this.alu(r.chance(0.7) ? 0x57 : 0x54, reg, 0, mask);
        break;
      case 1:
        if (max > 0) this.push({ op: 0x97, dst: reg, src: 0, off: 0, imm: max });
        break;
      default: {
        // Out of range: the value is replaced.
        const wide = r.chance(0.7) ? 0x05 : 0x06;
        this.skip(0xb0 | wide, reg, 0, max, () => this.alu(0xb7, reg, 0, r.below(max + 1)));
        if (wide === 0x06) this.alu(0xbc, reg, reg, 0);
      }
    }
    this.state.regs[reg] = { k: 'scalar', max };
    return reg;
  }

  stackAccess(): void {
    const r = this.random;
    const { stack, regs } = this.state;
    const { size, bits } = r.pick(SIZES);
    const slot = 1 + r.below(SLOTS);
    const inside = r.below(8 / size) * size;
    const off = -8 * slot + inside;
    if (r.chance(0.55)) {
      const value = this.scalar();
      if (r.chance(0.4)) this.mem(0x62, bits, 10, 0, off, r.imm());
      else this.mem(0x63, bits, 10, value, off);
      const before = stack[slot];
      stack[slot] = size === 8 || before?.k === 'scalar' ? SCALAR : undefined;
      return;
    }
    const known = stack.findIndex((s) => s?.k === 'scalar');
    if (known < 1) return;
    const reg = this.free();
    this.mem(r.chance(0.15) && size < 8 ? 0x81 : 0x61, bits, reg, 10, -8 * known + inside);
    regs[reg] = SCALAR;
  }

  spillFill(): void {
    const r = this.random;
    const { stack, regs } = this.state;
    const slot = 1 + r.below(SLOTS);
    const known = stack.findIndex((s) => s !== undefined && s.k !== 'record');
    if (known > 0 && r.chance(0.5)) {
      const reg = this.free();
      this.mem(0x61, 0x18, reg, 10, -8 * known);
      regs[reg] = stack[known];
      return;
    }
    const reg = this.having((v) => v.k !== 'record' && !(v.k === 'fp' && v.off === 0));
    if (reg === undefined || reg === 10) return;
    this.mem(0x63, 0x18, 10, reg, -8 * slot);
    stack[slot] = regs[reg];
  }

  branch(depth: number): void {
    const r = this.random;
    const reg = this.scalar();
    const wide = r.chance(0.6) ? 0x05 : 0x06;
    const byReg = r.chance(0.35);
    const op = r.pick(JUMPS) | wide | (byReg ? 0x08 : 0);
    const src = byReg ? this.scalarSource(reg) : 0;
    const before = this.copyState();
    const jump = { op, dst: reg, src, off: 0, imm: byReg ? 0 : r.imm() } as MutableInsn;
    this.push(jump);
    this.block(depth + 1);
    if (r.chance(0.5)) {
      jump.target = this.label();
      this.merge(before);
      return;
    }
    // A jump as far as a program can be long, now and then.
    const end = { op: r.chance(0.1) ? OP.longJa : OP.ja, dst: 0, src: 0, off: 0, imm: 0 } as MutableInsn;
    this.push(end);
    const then = this.state;
    this.state = before;
    jump.target = this.label();
    this.block(depth + 1);
    end.target = this.label();
    this.merge(then);
  }

  lookup(depth: number): void {
    const r = this.random;
    if (r.chance(0.15)) {
      const reg = this.free();
      const off = r.below(4) * 8;
      const map = r.pick([MAP.single, MAP.readonly]);
      this.push({ op: OP.ldimm64, dst: reg, src: PSEUDO.mapValue, off: 0, imm: 0, imm2: off, map });
      this.state.regs[reg] = {
        k: 'mem',
        off: 0,
        room: mapOf(map).value - off,
        ...(map === MAP.readonly && { readonly: true }),
      };
      return;
    }
    const map = r.pick([MAP.hash, MAP.array, MAP.array, MAP.percpu, MAP.lru, MAP.readonly, MAP.single]);
    const slot = this.key(mapOf(map).key, 4);
    if ([1, 2, 3, 4, 5].some((reg) => this.kept.has(reg))) return;
    if (r.chance(0.1)) {
      this.nested(slot);
    } else {
      this.mapReg(1, map);
      this.stackPointer(2, -8 * slot);
      this.helper(1);
    }
    const size = mapOf(map).value;
    const reg = this.free([0, 7, 8, 9]);
    if (reg !== 0) this.alu(0xbf, reg, 0, 0);
    const value: Value = { k: 'mem', off: 0, room: size, ...(map === MAP.readonly && { readonly: true }) };
    this.state.regs[reg] = undefined;
    const before = this.copyState();
    if (r.chance(0.3)) {
      // Nothing there: the function ends.
      const jump = { op: 0x55, dst: reg, src: 0, off: 0, imm: 0 } as MutableInsn;
      this.push(jump);
      this.movImm(0, r.below(2));
      this.push({ op: OP.exit, dst: 0, src: 0, off: 0, imm: 0 });
      jump.target = this.label();
      this.state = before;
      this.state.regs[reg] = value;
      return;
    }
    this.skip(0x15, reg, 0, 0, () => {
      this.state.regs[reg] = value;
      for (let n = 1 + r.below(3); n > 0; n--) this.memAccess();
      if (depth < 3) this.block(depth + 1);
    });
    this.merge(before);
  }

  /** Looks an inner map up, and then in it; what is not there is zero. */
  nested(slot: number): void {
    this.mapReg(1, MAP.outer);
    this.stackPointer(2, -8 * slot);
    this.helper(1);
    this.skip(0x15, 0, 0, 0, () => {
      this.alu(0xbf, 1, 0, 0);
      this.stackPointer(2, -8 * slot);
      this.helper(1);
    });
  }

  memAccess(): void {
    const r = this.random;
    const base = this.having((v) => v.k === 'packet' || v.k === 'mem');
    if (base === undefined) {
      this.stackAccess();
      return;
    }
    const value = this.state.regs[base] as Value & { k: 'mem' | 'packet' };
    if (value.room <= 0) return;
    const writable =
      value.k === 'mem'
        ? value.readonly !== true
        : this.type !== 'cgroup_skb' && this.type !== 'socket_filter';
    if (!writable || r.chance(0.5)) {
      const reg = this.free();
      if (reg !== base) this.loadFrom(reg, base);
      return;
    }
    const { size, bits } = r.pick(SIZES.filter(({ size: s }) => s <= value.room));
    const off = value.off + this.aligned(value.room - size, value.k === 'packet' ? 1 : size);
    if (r.chance(0.4)) this.mem(0x62, bits, base, 0, off, r.imm());
    else this.mem(0x63, bits, base, this.scalar(), off);
  }

  packetCheck(depth: number): void {
    const r = this.random;
    const ctx = this.having((v) => v.k === 'ctx');
    if (ctx === undefined) {
      this.arithmetic();
      return;
    }
    const [at, end] = this.type === 'xdp' ? [0, 4] : [76, 80];
    const data = this.free([2, 7, 8, 9]);
    const [limit, moved] = r.pick([
      [3, 4],
      [1, 5],
      [4, 0],
    ] as const);
    if ([data, limit, moved].some((reg) => reg === ctx || this.kept.has(reg))) return;
    this.mem(0x61, 0x00, data, ctx, at);
    this.mem(0x61, 0x00, limit, ctx, end);
    const room = r.pick([1, 2, 8, 14, 20, 34, 54]);
    let variable = false;
    if (r.chance(0.25)) {
      const by = this.bound(r.pick([3, 15, 255]));
      if (by === data || by === limit || by === moved || this.kept.has(by)) return;
      this.alu(0x0f, data, by, 0);
      variable = true;
    }
    this.alu(0xbf, moved, data, 0);
    this.alu(0x07, moved, 0, room);
    for (const reg of [data, limit, moved]) this.state.regs[reg] = undefined;
    const value: Value = { k: 'packet', off: 0, room };
    const before = this.copyState();
    const access = (): void => {
      this.state.regs[data] = value;
      for (let n = 1 + r.below(3); n > 0; n--) this.memAccess();
      if (depth < 3 && !variable) this.block(depth + 1);
    };
    const [op, dst, src] = r.pick([
      [0x2d, moved, limit],
      [0xad, limit, moved],
      [0x3d, moved, limit],
    ] as const);
    this.skip(op, dst, src, 0, access);
    this.merge(before);
  }

  pointerArithmetic(): void {
    const r = this.random;
    const base = this.having((v) => v.k === 'mem' && v.room > 8);
    if (base === undefined || r.chance(0.25)) {
      this.stackVariable();
      return;
    }
    const value = this.state.regs[base] as Value & { k: 'mem' };
    const to = this.free();
    if (to === base || this.kept.has(to)) return;
    if (r.chance(0.4)) {
      const by = r.below(value.room);
      this.mov(to, base);
      this.alu(0x07, to, 0, by);
      this.state.regs[to] = { ...value, off: value.off - by, room: value.room };
      return;
    }
    const most = 2 ** (1 + r.below(Math.floor(Math.log2(value.room)) - 1)) - 1;
    const by = this.bound(most);
    if (by === base || by === to || this.kept.has(by)) return;
    if (this.state.regs[base]?.k !== 'mem') return;
    this.mov(to, base);
    this.alu(0x0f, to, by, 0);
    const room = value.room - most;
    this.state.regs[to] = room > 0 ? { ...value, off: value.off, room } : undefined;
  }

  /** A stack access at an offset that is not known. */
  stackVariable(): void {
    const r = this.random;
    if (this.careful && !r.chance(0.05)) return;
    const { stack, regs } = this.state;
    const by = this.bound(7);
    const to = this.free();
    if (by === to || this.kept.has(by)) return;
    const first = 2 + r.below(SLOTS - 2);
    for (const slot of [first, first - 1]) {
      this.mem(0x62, 0x18, 10, 0, -8 * slot, r.imm());
      stack[slot] = SCALAR;
    }
    this.mov(to, 10);
    this.alu(0x07, to, 0, -8 * first);
    this.alu(0x0f, to, by, 0);
    regs[to] = undefined;
    if (r.chance(0.5)) {
      const into = this.free();
      this.mem(0x61, 0x10, into, to, 0);
      regs[into] = SCALAR;
    } else this.mem(0x62, 0x10, to, 0, 0, r.below(256));
  }

  loop(depth: number): void {
    const r = this.random;
    const counter = this.free([7, 8, 9]);
    if (this.kept.has(counter)) return;
    // A mispredicted exit leads around once more, for ever: Linux looks at a million instructions of that.
    if (this.careful && !r.chance(0.02)) return;
    this.loops = true;
    const rounds = r.pick(depth === 0 ? [1, 2, 3, 5, 8, 16] : [1, 2, 3]);
    const mayGoto = r.chance(0.2);
    this.movImm(counter, 0);
    this.state.regs[counter] = SCALAR;
    // What the body changes must be the same kind of thing in every round.
    const before = this.copyState();
    for (let reg = 0; reg <= 9; reg++) if (before.regs[reg]?.k === 'scalar') before.regs[reg] = SCALAR;
    this.kept.add(counter);
    const start = this.label();
    const exit = { op: mayGoto ? OP.mayGoto : OP.ja, dst: 0, src: 0, off: 0, imm: 0 } as MutableInsn;
    if (mayGoto) {
      this.push(exit);
      this.repeatable = false;
    }
    const inner = Math.min(this.budget, 1 + r.below(4));
    const rest = this.budget - inner;
    this.budget = inner;
    for (let reg = 0; reg <= 9; reg++)
      if (this.state.regs[reg]?.k === 'scalar') this.state.regs[reg] = SCALAR;
    this.block(depth + 1);
    this.budget = rest;
    for (let reg = 0; reg <= 9; reg++) {
      const now = this.state.regs[reg];
      const was = before.regs[reg];
      if (reg === counter || !was || (now && now.k === was.k && was.k === 'scalar')) continue;
      if (JSON.stringify(now) !== JSON.stringify(was)) before.regs[reg] = undefined;
    }
    this.alu(0x07, counter, 0, 1);
    if (r.chance(0.3)) this.alu(0xbc, counter, counter, 0);
    const [op, imm] = r.pick([
      [0xa5, rounds],
      [0x55, rounds],
      [0xc5, rounds],
      [0xa6, rounds],
      [0xb5, rounds - 1],
    ] as const);
    this.push({ op, dst: counter, src: 0, off: 0, imm, target: start });
    if (mayGoto) exit.target = this.label();
    this.kept.delete(counter);
    this.merge(before);
  }

  helperCall(): void {
    const r = this.random;
    if ([1, 2, 3, 4, 5].some((reg) => this.kept.has(reg))) return;
    const result = (): void => {
      this.state.regs[0] = SCALAR;
    };
    switch (r.below(this.skb ? 9 : 7)) {
      case 0:
      case 1:
        this.repeatable = false;
        this.helper(r.pick([5, 7, 8]));
        result();
        return;
      case 2: {
        const map = r.pick([MAP.hash, MAP.array, MAP.lru]);
        const key = this.key(mapOf(map).key, 3);
        const words = mapOf(map).value / 8;
        const first = words + r.below(SLOTS - words + 1);
        for (let slot = first; slot > first - words; slot--) {
          if (slot === key) return;
          this.mem(0x62, 0x18, 10, 0, -8 * slot, r.imm());
          this.state.stack[slot] = SCALAR;
        }
        this.mapReg(1, map);
        this.stackPointer(2, -8 * key);
        this.stackPointer(3, -8 * first);
        this.movImm(4, 0);
        this.helper(2);
        result();
        return;
      }
      case 3: {
        const key = this.key(8, 3);
        this.mapReg(1, MAP.hash);
        this.stackPointer(2, -8 * key);
        this.helper(3);
        result();
        return;
      }
      case 4: {
        // csum_diff over part of the stack, of a size that is known or bounded.
        if (!this.packets) return;
        const slot = 2 + r.below(SLOTS - 2);
        this.mem(0x62, 0x18, 10, 0, -8 * slot, r.imm());
        this.mem(0x62, 0x18, 10, 0, -8 * slot + 8, r.imm());
        this.state.stack[slot] = this.state.stack[slot - 1] = SCALAR;
        this.stackPointer(1, -8 * slot);
        this.movImm(2, r.pick([4, 8, 16]));
        this.movImm(3, 0);
        this.movImm(4, 0);
        this.movImm(5, r.below(100));
        this.helper(28);
        result();
        return;
      }
      case 5: {
        const slot = 2 + r.below(SLOTS - 2);
        const push = r.chance(0.5);
        this.mem(0x62, 0x18, 10, 0, -8 * slot, r.imm());
        this.state.stack[slot] = SCALAR;
        this.mapReg(1, MAP.queue);
        this.stackPointer(2, -8 * slot);
        if (push) this.movImm(3, 0);
        this.helper(push ? 87 : r.pick([88, 89]));
        result();
        return;
      }
      case 6: {
        if (this.type !== 'xdp') return;
        const ctx = this.having((v) => v.k === 'ctx');
        if (ctx === undefined) return;
        this.mov(1, ctx);
        this.movImm(2, r.pick([-8, -4, 0, 2, 4]));
        this.helper(44);
        this.forgetPackets();
        result();
        return;
      }
      default: {
        // skb_load_bytes
        const ctx = this.having((v) => v.k === 'ctx');
        if (ctx === undefined) return;
        const slot = 2 + r.below(SLOTS - 2);
        const size = r.pick([1, 4, 8, 16]);
        this.mov(1, ctx);
        this.movImm(2, r.below(40));
        this.stackPointer(3, -8 * slot);
        this.movImm(4, size);
        this.helper(26);
        for (let at = slot; at > slot - Math.ceil(size / 8); at--)
          this.state.stack[at] = size >= 8 ? SCALAR : undefined;
        result();
        return;
      }
    }
  }

  subprogram(): void {
    const r = this.random;
    if (this.functions >= 4 || [1, 2, 3, 4, 5].some((reg) => this.kept.has(reg))) return;
    const args: Slot[] = [];
    const count = 1 + r.below(3);
    for (let arg = 1; arg <= count; arg++) {
      const from = this.having((v) => v.k !== 'record' && v.k !== 'packetEnd' && v.k !== 'fp');
      if (from !== undefined && (from === 0 || from > 5) && r.chance(0.7)) this.mov(arg, from);
      else this.movImm(arg, r.below(64));
      args.push(this.state.regs[arg]);
    }
    const entry: FuzzInsn = { op: OP.ja, dst: 0, src: 0, off: 0, imm: 0 };
    const again = this.pending.find(
      (p) => !p.callback && !p.global && JSON.stringify(p.args) === JSON.stringify(args),
    );
    if (!again) {
      this.functions++;
      const global = r.chance(0.3) && args.every((arg) => arg?.k === 'scalar');
      this.pending.push({
        entry,
        args: global ? args.map(() => SCALAR) : args,
        callback: false,
        global,
      });
    }
    this.push({ op: OP.call, dst: 0, src: PSEUDO.localCall, off: 0, imm: 0, target: again?.entry ?? entry });
    this.afterCall();
    this.forgetPackets();
    this.state.regs[0] = SCALAR;
  }

  /** bpf_loop with a callback of its own. */
  callback(): void {
    const r = this.random;
    if (this.functions >= 4 || [1, 2, 3, 4, 5].some((reg) => this.kept.has(reg))) return;
    const entry: FuzzInsn = { op: OP.ja, dst: 0, src: 0, off: 0, imm: 0 };
    this.functions++;
    const slot = 1 + r.below(SLOTS);
    this.mem(0x62, 0x18, 10, 0, -8 * slot, r.below(100));
    this.state.stack[slot] = SCALAR;
    this.movImm(1, r.below(20));
    this.push({ op: OP.ldimm64, dst: 2, src: PSEUDO.func, off: 0, imm: 0, target: entry });
    this.state.regs[2] = undefined;
    this.stackPointer(3, -8 * slot);
    this.movImm(4, 0);
    this.helper(181);
    this.state.regs[0] = SCALAR;
    // The callback may write the caller's slot through its second argument.
    this.pending.push({
      entry,
      args: [SCALAR, { k: 'mem', off: 0, room: 8 }],
      callback: true,
      global: false,
    });
  }

  tailCall(): void {
    const ctx = this.having((v) => v.k === 'ctx');
    if (ctx === undefined || [1, 2, 3, 4, 5].some((reg) => this.kept.has(reg))) return;
    this.mov(1, ctx);
    this.mapReg(2, MAP.progs);
    this.movImm(3, this.random.below(6));
    this.helper(12);
    this.state.regs[0] = undefined;
  }

  ringbuf(depth: number): void {
    const r = this.random;
    if ([1, 2, 3, 4, 5].some((reg) => this.kept.has(reg))) return;
    const size = r.pick([8, 16, 40]);
    this.mapReg(1, MAP.ringbuf);
    this.movImm(2, size);
    this.movImm(3, 0);
    this.helper(131);
    const reg = this.free([7, 8, 9]);
    if (this.kept.has(reg)) return;
    this.alu(0xbf, reg, 0, 0);
    this.state.regs[reg] = undefined;
    const before = this.copyState();
    this.skip(0x15, reg, 0, 0, () => {
      this.state.regs[reg] = { k: 'record', size };
      this.kept.add(reg);
      for (let n = r.below(3); n > 0; n--) this.mem(0x62, 0x18, reg, 0, r.below(size / 8) * 8, r.imm());
      if (depth < 2 && r.chance(0.4)) {
        const rest = this.budget;
        this.budget = Math.min(rest, 2);
        this.arithmetic();
        this.budget = rest;
      }
      this.kept.delete(reg);
      // A reference leaked in every round would make Linux look at a million of them.
      if (this.loops || this.callee || r.chance(0.9)) {
        this.mov(1, reg);
        this.movImm(2, 0);
        this.helper(r.pick([132, 133]));
      }
      this.state.regs[reg] = undefined;
    });
    this.merge(before);
  }

  atomic(): void {
    const r = this.random;
    if (r.chance(0.25)) {
      this.ordered();
      return;
    }
    const bits = r.pick([0x00, 0x18]);
    const value = this.scalar();
    const imm = r.pick([0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1]);
    if (imm === 0xf1 && this.state.regs[0]?.k !== 'scalar') return;
    if (imm & 1 && (this.kept.has(value) || this.kept.has(0))) return;
    const base = this.having((v) => v.k === 'mem' && v.room >= 8 && v.off === 0 && v.readonly !== true);
    if (base !== undefined && base !== value && r.chance(0.5)) this.mem(0xc3, bits, base, value, 0, imm);
    else {
      const slot = 1 + r.below(SLOTS);
      this.mem(0x62, 0x18, 10, 0, -8 * slot, r.imm());
      this.state.stack[slot] = SCALAR;
      this.mem(0xc3, bits, 10, value, -8 * slot, imm);
    }
    if (imm & 1) this.state.regs[imm === 0xf1 ? 0 : value] = SCALAR;
  }

  /** Loads that acquire, stores that release. */
  private ordered(): void {
    const r = this.random;
    const { size, bits } = r.pick(SIZES);
    const base = this.having((v) => v.k === 'mem' && v.room >= 8 && v.off === 0 && v.readonly !== true);
    const value = this.scalar();
    const slot = 1 + r.below(SLOTS);
    const [address, off] =
      base !== undefined && base !== value && r.chance(0.5)
        ? [base, r.below(8 / size) * size]
        : [10, -8 * slot];
    if (address === 10) {
      this.mem(0x62, 0x18, 10, 0, -8 * slot, r.imm());
      this.state.stack[slot] = SCALAR;
    }
    if (r.chance(0.5)) this.mem(0xc3, bits & 0x18, address, value, off, 0x110);
    else if (!this.kept.has(value)) {
      this.mem(0xc3, bits & 0x18, value, address, off, 0x100);
      this.state.regs[value] = SCALAR;
    }
  }

  /** Something that does not belong. */
  wild(): void {
    const r = this.random;
    const dst = r.below(11);
    const src = r.below(11);
    // Loops must end: a counter is left alone.
    if (this.kept.has(dst)) return;
    const insn = (op: number, off = 0, imm = 0): void => void this.push({ op, dst, src, off, imm });
    switch (r.below(7)) {
      case 0:
        insn(r.pick(ALU) | (r.chance(0.5) ? 0x0f : 0x0c));
        break;
      case 1:
        this.push({ op: r.pick(ALU) | (r.chance(0.5) ? 0x07 : 0x04), dst, src: 0, off: 0, imm: r.imm() });
        break;
      case 2:
        insn(0x61 | r.pick(SIZES).bits, r.imm() & 127);
        break;
      case 3:
        insn(0x63 | r.pick(SIZES).bits, -(r.imm() & 127));
        break;
      case 4:
        insn(0xbf);
        break;
      case 5:
        this.push({ op: 0x62 | r.pick(SIZES).bits, dst, src: 0, off: -(r.imm() & 63), imm: r.imm() });
        break;
      default:
        this.skip(r.pick(JUMPS) | 0x0d, dst, src, 0, () => this.arithmetic());
    }
    if (dst < 10) this.state.regs[dst] = this.state.regs[dst]?.k === 'scalar' ? SCALAR : undefined;
  }
}
