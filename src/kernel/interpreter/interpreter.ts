/**
 * The reference interpreter: runs a program one instruction at a time, with everything in sight (registers, frames,
 * stack, memory). It is what the compiler is tested against and what a debugger drives.
 *
 * Every memory access, every register read and every helper argument is checked while the program runs; what is not
 * allowed ends the run with a {@link RunFault}. A program that the verifier proved safe never faults.
 */
import { Bug } from '../../base/error.ts';
import type { Reg, Size } from '../../isa/index.ts';
import { LIMITS } from '../../sys/limits.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Addr, Region } from '../memory/index.ts';
import type { Deferred } from '../objects/alarms.ts';
import type { Machine } from '../objects/machine.ts';
import type {
  ArgumentScope,
  CallableHelper,
  CallbackPlan,
  HelperImpl,
  HelperResult,
  RunContext,
  RunKernel,
} from './environment.ts';
import { type Executable, functionSlot } from './executable.ts';
import type { FaultCode, RunFault } from './fault.ts';

const STACK_SIZE = LIMITS.MAX_BPF_STACK;
const STACK_SHIFT = 9;
/** Each tail call of a subprogram may begin a call chain of its own. */
const FRAMES = LIMITS.MAX_CALL_FRAMES * (LIMITS.MAX_TAIL_CALL_CNT + 1);
const FP = 10;
/** Iterations of a loop that `may_goto` lets go on, per frame. @see include/linux/bpf.h, BPF_MAX_LOOPS */
const MAX_LOOPS = 8 * 1024 * 1024;
const CALLEE_SAVED = [6, 7, 8, 9] as const;
/** r1 to r5. */
const ARGUMENTS = 0b111110;

export type RunStatus = 'ready' | 'running' | 'done' | 'fault';

/** A call in progress. */
export interface Frame {
  program: Executable;
  /** Slot to go on at in the caller; -1 for the entry. */
  readonly returnPc: number;
  /** The caller's r6 to r9. */
  readonly saved: readonly bigint[];
  /** The caller's written registers: bit i is register i. */
  readonly initialised: number;
  /** The helper that called this frame as a callback. */
  readonly plan?: CallbackPlan;
  /** What is left of `may_goto`'s loops. */
  loops: number;
}

export interface InterpreterOptions {
  /** Most instructions of one run; unlimited when absent. */
  readonly budget?: number;
  readonly helpers?: ReadonlyMap<number, CallableHelper>;
}

export class Interpreter implements ArgumentScope {
  readonly kernel: RunKernel;
  readonly machine: Machine;
  /** r0 to r10. */
  readonly regs: BigUint64Array = new BigUint64Array(11);
  /** The same as 32-bit halves: register i's low half is element 2i. */
  readonly #halves: Int32Array = new Int32Array(this.regs.buffer);
  readonly frames: Frame[] = [];
  /** Slot of the next instruction. */
  pc = 0;
  status: RunStatus = 'ready';
  problem: RunFault | undefined;
  context: RunContext | undefined;
  /** Instructions executed in this run. */
  executed = 0;
  /** Written registers: bit i is register i. */
  initialised = 0;
  readonly acquired = new Map<number, BpfMap>();
  readonly budget: number;
  readonly #helpers: ReadonlyMap<number, CallableHelper>;
  /** The stacks' block: a frame's size at either end is out of bounds, so that an overrun shows. */
  readonly #block: Addr;
  /** Lowest address of the stacks of all frames; frame 0 has the highest. */
  readonly #stack: Addr;
  #program: Executable | undefined;
  #tailCalls = 0;
  /** The region of the last access outside of stack, context and packet. */
  #region: Region | undefined;
  #contextStart = 0;
  #contextEnd = 0;
  #packetStart = 0;
  #packetEnd = 0;
  #stackLow = 0;

  constructor(kernel: RunKernel, options: InterpreterOptions = {}) {
    this.kernel = kernel;
    this.machine = kernel.machine;
    this.budget = options.budget ?? Number.POSITIVE_INFINITY;
    this.#helpers = options.helpers ?? new Map();
    this.#block = this.machine.memory.allocate((FRAMES + 2) * STACK_SIZE, {
      kind: 'stack',
      owner: 'BPF stack',
      access: 'none',
    });
    this.#stack = (this.#block + STACK_SIZE) as Addr;
  }

  /** Gives the stack's memory back. */
  close(): void {
    this.machine.memory.free(this.#block);
  }

  /** The program of the current frame. */
  get program(): Executable {
    if (!this.#program) throw new Bug('the interpreter has no program');
    return this.#program;
  }

  /** Addresses of the current frame's stack: its lowest byte, and one past its highest, which is r10. */
  get stack(): { readonly low: Addr; readonly high: Addr } {
    const high = (this.#stack + (FRAMES - this.frames.length + 1) * STACK_SIZE) as Addr;
    return { low: (high - STACK_SIZE) as Addr, high };
  }

  /**
   * Makes ready to run a program from its start.
   * @param args r1 on, in place of the context's address
   * @param entry another slot to start from
   */
  start(program: Executable, context: RunContext | undefined, args?: readonly bigint[], entry = 0): void {
    this.#program = program;
    this.context = context;
    this.frames.length = 0;
    this.frames.push({ program, returnPc: -1, saved: [], initialised: 0, loops: MAX_LOOPS });
    this.#enterFrame(1);
    this.pc = entry;
    this.executed = 0;
    this.#tailCalls = 0;
    if (this.acquired.size > 0) this.acquired.clear();
    this.problem = undefined;
    this.#contextStart = context?.addr ?? 0;
    this.#contextEnd = context ? context.addr + context.size : 0;
    this.#refresh();
    this.initialised = 1 << FP;
    this.#arguments(args ?? (context ? [BigInt(context.addr)] : []));
    this.status = 'running';
  }

  /** Runs one instruction. */
  step(): RunStatus {
    if (this.status !== 'running') return this.status;
    const program = this.#program!;
    const idx = this.pc;
    const op = program.ops[idx];
    if (op === undefined) {
      this.fault('off-the-end', `control reaches slot ${idx}, which holds no instruction`);
      return this.status;
    }
    const missing = program.reads[idx]! & ~this.initialised;
    if (missing !== 0) {
      this.fault('uninitialised-register', `R${31 - Math.clz32(missing & -missing)} !read_ok`);
      return this.status;
    }
    if (++this.executed > this.budget) {
      this.fault('budget', `the run was stopped after ${this.budget} instructions`);
      return this.status;
    }
    this.pc = idx + 1;
    op(this, program.insns[idx]!, idx);
    this.initialised |= program.writes[idx]!;
    return this.status;
  }

  /** Runs to the end. @returns r0, or `undefined` when the run faulted ({@link problem}) */
  run(): bigint | undefined {
    while (this.status === 'running') this.step();
    return this.status === 'done' ? this.regs[0]! : undefined;
  }

  // What the instructions are made of.

  low(reg: Reg): number {
    return this.#halves[2 * reg]!;
  }

  /** Writes the low half and clears the high one. */
  setLow(reg: Reg, value: number): void {
    this.#halves[2 * reg] = value;
    this.#halves[2 * reg + 1] = 0;
  }

  copy(to: Reg, from: Reg): void {
    this.#halves[2 * to] = this.#halves[2 * from]!;
    this.#halves[2 * to + 1] = this.#halves[2 * from + 1]!;
  }

  fault(code: FaultCode, problem: string, access?: RunFault['access']): void {
    this.status = 'fault';
    const insn = Math.max(this.pc - (code === 'uninitialised-register' || code === 'off-the-end' ? 0 : 1), 0);
    this.problem = { code, program: this.program.name, insn, problem, ...(access && { access }) };
  }

  /** Whether `may_goto` lets the loop go on once more. */
  mayLoopOn(): boolean {
    const frame = this.frames.at(-1)!;
    if (frame.loops === 0) return false;
    frame.loops -= 1;
    return true;
  }

  load(base: Reg, off: number, size: Size): bigint | undefined {
    const addr = this.#reach(base, off, size, false);
    if (addr >= 0) return this.#read(addr, size);
    return addr === CONTEXT ? this.#readContext(base, off, size) : undefined;
  }

  loadInto(dst: Reg, base: Reg, off: number, size: Size) {
    const addr = this.#reach(base, off, size, false);
    if (addr < 0) {
      const value = addr === CONTEXT ? this.#readContext(base, off, size) : undefined;
      if (value !== undefined) this.regs[dst] = value;
      return;
    }
    const { view } = this.machine.memory;
    switch (size) {
      case 1:
        return this.setLow(dst, view.getUint8(addr));
      case 2:
        return this.setLow(dst, view.getUint16(addr, true));
      case 4:
        return this.setLow(dst, view.getInt32(addr, true));
      case 8:
        this.#halves[2 * dst] = view.getInt32(addr, true);
        this.#halves[2 * dst + 1] = view.getInt32(addr + 4, true);
    }
  }

  store(base: Reg, off: number, size: Size, value: bigint) {
    const addr = this.#reach(base, off, size, true);
    if (addr === CONTEXT) return this.#writeContext(base, off, size, value);
    if (addr < 0) return;
    const { view } = this.machine.memory;
    if (size === 8) view.setBigUint64(addr, BigInt.asUintN(64, value), true);
    else this.#writeLow(addr, size, Number(BigInt.asIntN(32, value)));
  }

  storeFrom(base: Reg, off: number, size: Size, src: Reg) {
    const addr = this.#reach(base, off, size, true);
    if (addr === CONTEXT) return this.#writeContext(base, off, size, this.regs[src]!);
    if (addr < 0) return;
    this.#writeLow(addr, Math.min(size, 4) as 1 | 2 | 4, this.#halves[2 * src]!);
    if (size === 8) this.machine.memory.view.setInt32(addr + 4, this.#halves[2 * src + 1]!, true);
  }

  /** `LD_ABS` and `LD_IND`: into r0, in host order; outside of the packet the function returns 0. */
  loadPacket(offset: number, size: 1 | 2 | 4) {
    if (!this.context || this.regs[6] !== BigInt(this.context.addr)) {
      return this.fault('context-access', 'a legacy packet load needs the context in r6');
    }
    const value = this.context.loadPacket(offset, size);
    this.initialised &= ~ARGUMENTS;
    this.setLow(0, value ?? 0);
    if (value === undefined) {
      this.initialised |= 1;
      this.exit();
    }
  }

  callSubprogram(slot: number): void {
    this.#push(slot, this.pc, undefined);
    this.initialised = (this.initialised & ARGUMENTS) | (1 << FP);
  }

  callHelper(id: number) {
    const helper = this.#helpers.get(id);
    if (!helper) return this.fault('unknown-helper', `there is no helper ${id} here`);
    const missing = ((1 << (helper.args + 1)) - 2) & ~this.initialised;
    if (missing !== 0) {
      return this.fault(
        'uninitialised-register',
        `R${31 - Math.clz32(missing & -missing)} !read_ok, and bpf_${helper.name} takes ${helper.args} arguments`,
      );
    }
    const mock = this.kernel.mocks.get(helper.name);
    const wrong = mock ? undefined : helper.check(this);
    if (wrong !== undefined) return this.fault('helper-argument', `bpf_${helper.name}: ${wrong}`);
    this.#finishCall(this.#invoke(mock ?? helper.call));
  }

  /** Calls the kernel function that the call at a slot names. */
  callKfunc(slot: number) {
    const kfunc = this.program.kfuncs.get(slot);
    if (!kfunc) return this.fault('unknown-helper', 'the kernel function is not here');
    const missing = ((1 << (kfunc.args + 1)) - 2) & ~this.initialised;
    if (missing !== 0) {
      const reg = 31 - Math.clz32(missing & -missing);
      const takes = `${kfunc.name} takes ${kfunc.args} arguments`;
      return this.fault('uninitialised-register', `R${reg} !read_ok, and ${takes}`);
    }
    const result = this.#invoke(this.kernel.mocks.get(kfunc.name) ?? kfunc.call);
    this.#finishCall(result, kfunc.narrow);
  }

  #invoke(call: HelperImpl): HelperResult {
    const { regs } = this;
    return call(this, regs[1]!, regs[2]!, regs[3]!, regs[4]!, regs[5]!);
  }

  #finishCall(result: HelperResult, narrow = false) {
    // A helper may free memory, move the packet and grow the address space.
    this.#refresh();
    this.initialised &= ~ARGUMENTS;
    if (this.#jumped) {
      this.#jumped = false;
      this.initialised = (1 << FP) | (1 << 1);
    } else if (this.status !== 'running') return;
    else if (typeof result === 'object') this.#callBack(result, undefined);
    else this.#setResult(narrow ? BigInt.asUintN(32, BigInt(result)) : result);
  }

  later(callback: bigint): Deferred {
    const { program, kernel } = this;
    const slot = functionSlot(program, callback);
    if (slot === undefined) throw new Bug(`0x${callback.toString(16)} is no function of the program`);
    const helpers = this.#helpers;
    program.owner?.hold();
    return {
      call: (args) => {
        const interpreter = new Interpreter(kernel, { helpers, budget: this.budget });
        try {
          interpreter.start(program, undefined, args, slot);
          const result = interpreter.run();
          if (result === undefined)
            throw new Bug(`a callback of ${program.name}: ${interpreter.problem?.problem}`);
          return result;
        } finally {
          interpreter.close();
        }
      },
      release: () => program.owner?.release(),
    };
  }

  raise(cookie: bigint): HelperResult {
    const { exceptionCallback } = this.program.verified ?? {};
    this.frames.length = 1;
    this.#enterFrame(1);
    if (exceptionCallback === undefined) {
      this.regs[0] = cookie;
      this.frames.length = 0;
      this.status = 'done';
    } else {
      this.pc = exceptionCallback;
      this.regs[1] = cookie;
      this.#jumped = true;
    }
    return 0n;
  }

  exit() {
    const frame = this.frames.at(-1)!;
    const { plan } = frame;
    if ((this.initialised & 1) === 0 && (plan || frame.returnPc < 0)) {
      this.pc -= 1;
      return this.fault('uninitialised-register', 'R0 !read_ok');
    }
    this.frames.pop();
    if (frame.returnPc < 0) {
      if (this.acquired.size > 0) {
        return this.fault('leaked-reference', 'the program ends without giving back a reserved record');
      }
      this.status = 'done';
      return;
    }
    for (const [i, reg] of CALLEE_SAVED.entries()) this.regs[reg] = frame.saved[i]!;
    this.initialised = (frame.initialised & ~(ARGUMENTS | 1)) | (this.initialised & 1);
    this.pc = frame.returnPc;
    this.#program = this.frames.at(-1)!.program;
    this.#enterFrame(this.frames.length);
    if (plan) this.#callBack(plan, this.regs[0]!);
  }

  /** Replaces the current frame's program. @returns false when the limit of tail calls is reached */
  tailCall(target: Executable): boolean {
    if (this.#tailCalls >= LIMITS.MAX_TAIL_CALL_CNT) return false;
    this.#tailCalls += 1;
    this.#program = target;
    this.frames.at(-1)!.program = target;
    this.frames.at(-1)!.loops = MAX_LOOPS;
    this.pc = 0;
    this.regs[1] = BigInt(this.context?.addr ?? 0);
    this.#jumped = true;
    return true;
  }
  #jumped = false;

  // What helpers and their argument checks ask.

  #mapAt(pointer: bigint): BpfMap | undefined {
    return this.program.maps.get(Number(pointer)) ?? this.kernel.mapAt(Number(pointer));
  }

  isMap(pointer: bigint): boolean {
    return this.#mapAt(pointer) !== undefined;
  }

  map(pointer: bigint): BpfMap {
    const map = this.#mapAt(pointer);
    if (!map) throw new Bug(`0x${pointer.toString(16)} is no map`);
    return map;
  }

  memoryProblem(addr: bigint, size: number, write: boolean): string | undefined {
    if (addr + BigInt(size) > 0xffff_ffffn) return `0x${addr.toString(16)} is no address`;
    return this.#problemAt(Number(addr), size, write);
  }

  isFunction(addr: bigint): boolean {
    return functionSlot(this.program, addr) !== undefined;
  }

  #setResult(result: bigint | number): void {
    this.regs[0] = typeof result === 'number' ? BigInt(result) : result;
    this.initialised |= 1;
  }

  #callBack(plan: CallbackPlan, result: bigint | undefined) {
    const next = plan.next(result);
    this.#refresh();
    if (typeof next === 'bigint') return this.#setResult(next);
    const slot = functionSlot(this.program, plan.callback);
    if (slot === undefined)
      return this.fault('helper-argument', 'the callback is no function of the program');
    if (!this.#push(slot, this.pc, plan)) return;
    this.initialised = 1 << FP;
    this.#arguments(next);
  }

  #push(slot: number, returnPc: number, plan: CallbackPlan | undefined): boolean {
    if (this.frames.length === FRAMES) {
      this.fault('call-depth', `the call stack of ${FRAMES + 1} frames is too deep`);
      return false;
    }
    this.frames.push({
      program: this.program,
      returnPc,
      saved: CALLEE_SAVED.map((reg) => this.regs[reg]!),
      initialised: this.initialised,
      loops: MAX_LOOPS,
      ...(plan && { plan }),
    });
    this.#enterFrame(this.frames.length);
    this.pc = slot;
    return true;
  }

  #arguments(values: readonly bigint[]): void {
    for (const [i, value] of values.entries()) {
      this.regs[i + 1] = value;
      this.initialised |= 1 << (i + 1);
    }
  }

  #enterFrame(depth: number): void {
    this.#stackLow = this.#stack + (FRAMES - depth) * STACK_SIZE;
    this.setLow(FP, this.#stackLow + STACK_SIZE);
  }

  /** What may have changed while a helper ran. */
  #refresh(): void {
    this.#region = undefined;
    this.#packetStart = this.context?.packetStart ?? 0;
    this.#packetEnd = this.context?.packetEnd ?? 0;
  }

  /** The address of an access that is allowed, `CONTEXT`, or `FAULT`. */
  #reach(base: Reg, off: number, size: number, write: boolean): number {
    const addr = (this.#halves[2 * base]! >>> 0) + off;
    const end = addr + size;
    if (this.#halves[2 * base + 1] === 0) {
      if (addr >= this.#packetStart && end <= this.#packetEnd) return addr;
      if (addr >= this.#contextStart && addr < this.#contextEnd) return CONTEXT;
      const region = this.#region;
      if (
        region &&
        addr >= region.start &&
        end <= region.end &&
        (write ? region.writable : region.readable)
      ) {
        if (region.mapping.kind !== 'packet') return addr;
      }
      if (this.#inStack(addr, end)) return addr;
    }
    return this.#reachSlowly(base, off, size, write);
  }

  /** In the stack of one of the frames that are live. */
  #inStack(addr: number, end: number): boolean {
    return (
      addr >= this.#stackLow &&
      end <= this.#stack + FRAMES * STACK_SIZE &&
      (addr - this.#stack) >> STACK_SHIFT === (end - 1 - this.#stack) >> STACK_SHIFT
    );
  }

  #reachSlowly(base: Reg, off: number, size: number, write: boolean): number {
    const pointer = this.regs[base]! + BigInt(off);
    const problem =
      pointer < 0n || pointer + BigInt(size) > 0xffff_ffffn
        ? `${write ? 'write' : 'read'} of ${size} bytes at 0x${pointer.toString(16)}, which is no address`
        : this.#problemAt(Number(pointer), size, write);
    if (problem === undefined) return Number(pointer);
    this.fault('access', problem, { addr: pointer, size, write });
    return FAULT;
  }

  /** Why an access may not be made. Remembers the region when it may. */
  #problemAt(addr: number, size: number, write: boolean): string | undefined {
    const end = addr + size;
    if (addr >= this.#packetStart && end <= this.#packetEnd) return undefined;
    if (this.#inStack(addr, end)) return undefined;
    const what = `${write ? 'write' : 'read'} of ${size} bytes at 0x${addr.toString(16)}`;
    const region = this.machine.memory.region(addr);
    if (region?.mapping.kind === 'packet') {
      const length = this.#packetEnd - this.#packetStart;
      return `${what} is outside of the packet: offset ${addr - this.#packetStart} of ${length} bytes`;
    }
    if (region?.mapping.kind === 'stack') {
      const top = this.#stackLow + STACK_SIZE;
      return `${what} is outside of the stack: r10${addr < top ? addr - top : `+${addr - top}`}`;
    }
    if (addr < this.#contextEnd && end > this.#contextStart) return `${what} reaches into the context`;
    const fault = this.machine.memory.fault(addr, size, write);
    if (!fault) this.#region = region;
    return fault?.problem;
  }

  #read(addr: number, size: Size): bigint {
    const { view } = this.machine.memory;
    switch (size) {
      case 1:
        return BigInt(view.getUint8(addr));
      case 2:
        return BigInt(view.getUint16(addr, true));
      case 4:
        return BigInt(view.getUint32(addr, true));
      case 8:
        return view.getBigUint64(addr, true);
    }
  }

  #writeLow(addr: number, size: 1 | 2 | 4, value: number): void {
    const { view } = this.machine.memory;
    if (size === 1) view.setUint8(addr, value);
    else if (size === 2) view.setUint16(addr, value, true);
    else view.setInt32(addr, value, true);
  }

  #contextOffset(base: Reg, off: number): number {
    return (this.#halves[2 * base]! >>> 0) + off - this.#contextStart;
  }

  #readContext(base: Reg, off: number, size: Size): bigint | undefined {
    const offset = this.#contextOffset(base, off);
    const value = this.context!.read(offset, size);
    if (value === undefined) this.#badContextAccess(offset, size, false);
    return value;
  }

  #writeContext(base: Reg, off: number, size: Size, value: bigint): void {
    const offset = this.#contextOffset(base, off);
    if (!this.context!.write(offset, size, BigInt.asUintN(size * 8, value))) {
      this.#badContextAccess(offset, size, true);
    }
  }

  #badContextAccess(offset: number, size: number, write: boolean): void {
    this.fault('context-access', `invalid bpf_context access off=${offset} size=${size}`, {
      addr: BigInt(this.#contextStart + offset),
      size,
      write,
    });
  }
}

/** Answers of `#reach` that are no address. */
const CONTEXT = -1;
const FAULT = -2;
