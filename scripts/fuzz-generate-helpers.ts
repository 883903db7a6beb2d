/** Calls of any helper, with arguments of the kinds that its prototype names. */
import { takesMapType } from '../src/kernel/helpers/map-types.ts';
import { prototype } from '../src/kernel/helpers/prototypes.ts';
import type { Arg } from '../src/kernel/helpers/prototypes-arg.ts';
import { helpersOf } from '../src/kernel/programs/index.ts';
import { type Helper, helperId } from '../src/sys/index.ts';
import type { Generator } from './fuzz-generate.ts';
import { FUZZ_MAPS, MAP, MAP_NAMES, type MapName, mapOf } from './fuzz-generate-maps.ts';
import { SCALAR, SLOTS } from './fuzz-generate-writer.ts';
import { PSEUDO } from './fuzz-program.ts';

/** Calls with rules of their own, which other actions write. */
const ELSEWHERE: ReadonlySet<Helper> = new Set<Helper>([
  'tail_call',
  'ringbuf_reserve',
  'spin_lock',
  'spin_unlock',
  'loop',
  'for_each_map_elem',
]);

const callable = new Map<string, readonly Helper[]>();

function helpers(g: Generator): readonly Helper[] {
  const name = `${g.type} ${g.attach} ${g.careful}`;
  let known = callable.get(name);
  if (known === undefined) {
    const caps = new Set(g.careful ? (['bpf', 'net_admin'] as const) : (['sys_admin'] as const));
    known = [...helpersOf({ type: g.type, attach: g.attach, caps })].filter((one) => !ELSEWHERE.has(one));
    callable.set(name, known);
  }
  return known;
}

/** What the arguments so far have settled. */
interface Call {
  readonly helper: Helper;
  readonly args: readonly Arg[];
  map?: MapName;
  /** Register of a reference that the call takes. */
  taken?: number;
}

export function anyHelper(g: Generator, depth: number): void {
  const r = g.random;
  if ([1, 2, 3, 4, 5].some((reg) => g.kept.has(reg))) return;
  const helper = r.pick(helpers(g));
  const proto = prototype(helper, g.type);
  if (proto.mightSleep === true && g.type !== 'syscall' && !r.chance(0.03)) return;
  const call: Call = { helper, args: proto.args };
  const held: number[] = [];
  let able = true;
  for (let i = 0; i < proto.args.length && able; i++) {
    const reg = i + 1;
    const size = proto.args[i + 1]?.kind;
    if (size === 'const_size' || size === 'const_size_or_zero') {
      able = memory(g, reg, proto.args[i]!, size === 'const_size_or_zero', proto.packetAccess === true);
      held.push(reg, reg + 1);
      i++;
    } else {
      able = argument(g, reg, proto.args[i]!, call);
      held.push(reg);
    }
    for (const one of held) g.kept.add(one);
  }
  for (const one of held) g.kept.delete(one);
  if (!able) {
    for (const one of held) g.state.regs[one] = undefined;
    return;
  }
  g.repeatable = false;
  g.helper(helperId(helper));
  if (proto.changesPacket) g.forgetPackets();
  if (call.taken !== undefined) forget(g, call.taken);
  result(g, call, proto.ret, proto.acquires === true, depth);
}

function forget(g: Generator, reg: number): void {
  g.state.regs[reg] = undefined;
}

/** Puts a value of the kind into the register. @returns whether there is one */
function argument(g: Generator, reg: number, arg: Arg, call: Call): boolean {
  const r = g.random;
  if (arg.nullable && r.chance(0.2)) {
    g.movImm(reg, 0);
    return true;
  }
  switch (arg.kind) {
    case 'anything':
      number(g, reg);
      return true;
    case 'const_size':
    case 'const_size_or_zero':
    case 'const_alloc_size_or_zero':
      g.movImm(reg, r.pick([0, 1, 8, 16, 64]));
      return true;
    case 'ctx': {
      const ctx = g.having((v) => v.k === 'ctx');
      if (ctx === undefined) return false;
      g.mov(reg, ctx);
      return true;
    }
    case 'const_map_ptr': {
      const fitting = MAP_NAMES.filter((name) => takesMapType(call.helper, FUZZ_MAPS[name].type));
      if (fitting.length === 0) return false;
      const name = r.chance(0.97) ? r.pick(fitting) : r.pick(MAP_NAMES);
      call.map = name;
      g.mapReg(reg, MAP[name]);
      return true;
    }
    case 'map_key':
      return bytes(g, reg, call.map === undefined ? 8 : FUZZ_MAPS[call.map].key, true);
    case 'map_value':
      return bytes(g, reg, call.map === undefined ? 8 : FUZZ_MAPS[call.map].value, arg.access !== 'uninit');
    case 'mem':
      return bytes(g, reg, arg.size ?? 8, arg.access !== 'uninit');
    case 'stack':
      return bytes(g, reg, 8, true);
    case 'const_str':
      g.push({ op: 0x18, dst: reg, src: PSEUDO.mapValue, off: 0, imm: 0, imm2: 0, map: MAP.readonly });
      g.state.regs[reg] = undefined;
      return true;
    case 'sock_common':
    case 'socket':
    case 'btf_id_sock_common': {
      const socket = g.having((v) => v.k === 'socket');
      if (socket === undefined) return false;
      g.mov(reg, socket);
      return true;
    }
    case 'ringbuf_mem': {
      const record = g.having((v) => v.k === 'record');
      // A record belongs to the action that reserved it.
      if (record === undefined || !r.chance(0.1)) return false;
      g.mov(reg, record);
      return true;
    }
    case 'timer':
    case 'spin_lock': {
      const value = g.having((v) => v.k === 'mem');
      if (value === undefined || !r.chance(0.2)) return false;
      g.mov(reg, value);
      return true;
    }
    case 'dynptr':
      return arg.access === 'uninit' || r.chance(0.1) ? bytes(g, reg, 16, false) : false;
    case 'func':
    case 'btf_id':
    case 'percpu_btf_id':
    case 'kptr_xchg_dest':
      return false;
  }
}

function number(g: Generator, reg: number): void {
  const r = g.random;
  const scalar = g.having((v) => v.k === 'scalar');
  if (scalar !== undefined && r.chance(0.4)) g.mov(reg, scalar);
  else if (r.chance(0.1)) g.imm64(reg, r.imm(), r.imm());
  else g.movImm(reg, r.chance(0.7) ? 0 : r.imm());
}

/** A pointer to bytes of the stack, or of a value. */
function bytes(g: Generator, reg: number, size: number, initialised: boolean): boolean {
  const r = g.random;
  const value = g.having((v) => v.k === 'mem' && v.off === 0 && v.room >= size && v.readonly !== true);
  if (value !== undefined && r.chance(0.3)) {
    g.mov(reg, value);
    return true;
  }
  const slots = Math.ceil(size / 8);
  if (slots > SLOTS) return false;
  const first = slots + r.below(SLOTS - slots + 1);
  fill(g, first, slots, initialised || r.chance(0.5));
  g.stackPointer(reg, -8 * first);
  return true;
}

function fill(g: Generator, first: number, slots: number, initialised: boolean): void {
  for (let slot = first; slot > first - slots; slot--) {
    if (initialised && (g.state.stack[slot]?.k !== 'scalar' || g.random.chance(0.3)))
      g.mem(0x62, 0x18, 10, 0, -8 * slot, g.random.imm());
    g.state.stack[slot] = initialised ? SCALAR : undefined;
  }
}

/** Memory and its size, in this register and the next. */
function memory(g: Generator, reg: number, arg: Arg, zero: boolean, packets: boolean): boolean {
  const r = g.random;
  const size = reg + 1;
  if (arg.nullable && zero && r.chance(0.2)) {
    g.movImm(reg, 0);
    g.movImm(size, 0);
    return true;
  }
  const value = g.having(
    (v) => (v.k === 'mem' && v.readonly !== true && v.off >= 0) || (packets && v.k === 'packet'),
  );
  let room: number;
  if (value !== undefined && r.chance(0.4)) {
    const held = g.state.regs[value] as { off: number; room: number };
    room = held.room;
    g.mov(reg, value);
    if (held.off !== 0) g.alu(0x07, reg, 0, held.off);
  } else {
    const slots = 1 + r.below(5);
    const first = slots + r.below(SLOTS - slots + 1);
    // What a helper fills must be there only where Linux can't see the whole stack.
    fill(g, first, slots, arg.access !== 'uninit' || r.chance(0.7));
    if (arg.access === 'uninit')
      for (let slot = first; slot > first - slots; slot--) g.state.stack[slot] = undefined;
    g.stackPointer(reg, -8 * first);
    room = 8 * slots;
  }
  g.state.regs[reg] = undefined;
  if (room < 1) return false;
  g.kept.add(reg);
  const variable = r.chance(0.35) ? g.bound(room) : undefined;
  g.kept.delete(reg);
  if (variable === undefined || g.kept.has(variable) || variable === reg) {
    g.movImm(size, Math.max(zero ? 0 : 1, r.chance(0.95) ? r.below(room + 1) : room + 1));
    return true;
  }
  if (variable !== size) g.mov(size, variable);
  // Where zero is no size, it is made one.
  if (!zero) g.alu(0x47, size, 0, 1);
  return true;
}

function result(g: Generator, call: Call, ret: string, acquires: boolean, depth: number): void {
  const r = g.random;
  switch (ret) {
    case 'integer':
      g.state.regs[0] = SCALAR;
      return;
    case 'map_value_or_null':
    case 'map_value': {
      const room = call.map === undefined ? 0 : mapOf(MAP[call.map]).value;
      const reg = g.free([7, 8, 9]);
      if (room === 0 || g.kept.has(reg)) return;
      g.alu(0xbf, reg, 0, 0);
      g.state.regs[reg] = undefined;
      const before = g.copyState();
      g.skip(0x15, reg, 0, 0, () => {
        if (call.map === 'locked' || call.map === 'timed') return;
        g.state.regs[reg] = { k: 'mem', off: 0, room };
        for (let n = 1 + r.below(2); n > 0; n--) g.memAccess();
        if (depth < 3) g.block(depth + 1);
      });
      g.merge(before);
      return;
    }
    case 'socket_or_null':
    case 'sock_common_or_null':
    case 'tcp_sock_or_null': {
      const kind = ret === 'socket_or_null' ? 'sock' : ret === 'tcp_sock_or_null' ? 'tcp' : 'common';
      useSocket(g, kind, acquires);
      return;
    }
    default:
  }
}

/** r0 may be a socket: it is looked at, and given back where it must be. */
export function useSocket(g: Generator, kind: 'sock' | 'common' | 'tcp', acquired: boolean): void {
  const r = g.random;
  const reg = g.free([7, 8, 9]);
  if (g.kept.has(reg)) return;
  g.alu(0xbf, reg, 0, 0);
  g.state.regs[reg] = undefined;
  const before = g.copyState();
  g.skip(0x15, reg, 0, 0, () => {
    g.state.regs[reg] = { k: 'socket', kind };
    g.kept.add(reg);
    const fields = { sock: 20, common: 12, tcp: 28 }[kind];
    for (let n = r.below(3); n > 0; n--) {
      const into = g.free([0, 2, 3, 4, 5]);
      if (g.kept.has(into)) continue;
      g.mem(0x61, r.pick([0x00, 0x00, 0x08, 0x10]), into, reg, 4 * r.below(fields));
      g.state.regs[into] = SCALAR;
    }
    if (r.chance(0.3)) anyHelper(g, 4);
    g.kept.delete(reg);
    if (acquired && (g.loops || g.callee || r.chance(0.93))) {
      g.mov(1, reg);
      g.helper(helperId('sk_release'));
      // Only its integer result is left of it.
      g.state.regs[0] = SCALAR;
    }
    g.state.regs[reg] = undefined;
    for (const list of [g.state.regs, g.state.stack])
      for (const [i, value] of list.entries()) if (value?.k === 'socket') list[i] = undefined;
  });
  g.merge(before);
}
