import { describe, expect, it } from 'vitest';
import { assembleLlvm, decodeValid } from '../../isa/index.ts';
import { helperId, isHelper } from '../../sys/helper-ids.ts';
import { helpersOfType } from '../helpers/callable.ts';
import { createKernel } from '../index.ts';
import { linkBare } from './executable.ts';
import { Interpreter } from './interpreter.ts';
import { runRaw } from './raw.ts';

const assemble = (text: string): Uint8Array =>
  assembleLlvm(text, { helper: (name) => (isHelper(name) ? helperId(name) : undefined) }).bytes;

const raw = (text: string, memory: readonly number[] = [], budget?: number) =>
  runRaw(assemble(text), Uint8Array.from(memory), budget === undefined ? {} : { budget });

/** Starts a program that has all helpers of a tc classifier. */
function start(text: string, args: readonly bigint[] = []) {
  const kernel = createKernel();
  const interpreter = new Interpreter(kernel.runtime, { helpers: helpersOfType('sched_cls') });
  interpreter.start(linkBare('test', decodeValid(assemble(text), 'test')), undefined, args);
  return { kernel, interpreter };
}

const fault = (text: string, memory?: readonly number[], budget?: number) => raw(text, memory, budget).fault;

describe('runRaw', () => {
  it('gives r0 and the memory', () => {
    const result = raw('r0 = *(u32 *)(r1 + 0)\n*(u8 *)(r1 + 3) = 9\nexit', [1, 2, 3, 4]);
    expect(result).toMatchObject({ r0: 0x04030201n, memory: Uint8Array.of(1, 2, 3, 9) });
  });

  it('calls functions with their own stacks and saved registers', () => {
    const text = `
      r6 = 1
      *(u64 *)(r10 - 8) = 7
      r1 = r10
      r1 += -8
      call f
      r0 += r6
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      exit
    f:
      r6 = 100
      *(u64 *)(r10 - 8) = 1000
      r0 = *(u64 *)(r1 + 0)
      *(u64 *)(r1 + 0) = 10
      exit`;
    expect(raw(text)).toMatchObject({ r0: 7n + 1n + 10n });
  });

  it('does atomics', () => {
    const text = (op: string) => `
      r1 = 5
      *(u64 *)(r10 - 8) = r1
      r0 = 5
      r2 = 3
      ${op}
      r3 = *(u64 *)(r10 - 8)
      r3 *= 1000
      r2 *= 100
      r0 += r2
      r0 += r3
      exit`;
    expect(raw(text('lock *(u64 *)(r10 - 8) += r2'))).toMatchObject({ r0: 8305n });
    expect(raw(text('r2 = atomic_fetch_add((u64 *)(r10 - 8), r2)'))).toMatchObject({ r0: 8505n });
    expect(raw(text('r0 = cmpxchg_64(r10 - 8, r0, r2)'))).toMatchObject({ r0: 3305n });
  });

  it.each([
    ['r0 = r3\nexit', 'uninitialised-register', 'R3 !read_ok', 0],
    ['exit', 'uninitialised-register', 'R0 !read_ok', 0],
    ['r1 = 0\nr0 = *(u32 *)(r1 + 8)\nexit', 'access', 'null pointer', 1],
    ['r1 = -1\nr0 = *(u8 *)(r1 + 0)\nexit', 'access', 'no address', 1],
    ['r0 = *(u64 *)(r10 + 0)\nexit', 'access', 'outside of the stack: r10+0', 0],
    ['r1 = r10\nr1 += -516\n*(u64 *)(r1 + 0) = 0\nexit', 'access', 'outside of the stack: r10-516', 2],
    ['r0 = *(u32 *)(r1 + 1)\nexit', 'access', 'runs past the end', 0],
    ['call 200\nexit', 'unknown-helper', 'no helper 200', 0],
    ['call 5\nr0 = r1\nexit', 'uninitialised-register', 'R1 !read_ok', 1],
  ])('faults on %j', (text, code, problem, insn) => {
    expect(fault(text, [1, 2, 3, 4])).toMatchObject({
      code,
      insn,
      problem: expect.stringContaining(problem),
    });
  });

  it('stops what does not stop', () => {
    expect(fault('again: goto again\nexit', [], 1000)).toMatchObject({ code: 'budget' });
    expect(fault('f: call f\nexit')).toMatchObject({ code: 'call-depth' });
  });
});

describe('Interpreter', () => {
  it('steps, with everything in sight', () => {
    const { interpreter } = start('r1 = 5\n*(u64 *)(r10 - 8) = r1\ncall f\nr0 += 1\nexit\nf: r0 = r1\nexit');
    expect(interpreter.step()).toBe('running');
    expect(interpreter.regs[1]).toBe(5n);
    interpreter.step();
    const { high } = interpreter.stack;
    expect(interpreter.regs[10]).toBe(BigInt(high));
    expect(interpreter.machine.memory.readU64(high - 8)).toBe(5n);
    interpreter.step();
    expect([interpreter.pc, interpreter.frames.length, interpreter.stack.high]).toEqual([5, 2, high - 512]);
    interpreter.step();
    interpreter.step();
    expect([interpreter.pc, interpreter.frames.length, interpreter.regs[0]]).toEqual([3, 1, 5n]);
    expect(interpreter.run()).toBe(6n);
    expect([interpreter.status, interpreter.executed, interpreter.step()]).toEqual(['done', 7, 'done']);
  });

  const LOOP = (count: number, flags: number) => `
    *(u64 *)(r10 - 8) = 0
    r1 = ${count}
    r2 = subprog[+9]
    r3 = r10
    r3 += -8
    r4 = ${flags}
    call loop
    r1 = *(u64 *)(r10 - 8)
    r1 *= 1000
    r0 += r1
    exit
    r3 = *(u64 *)(r2 + 0)
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    if r1 < 5 goto +1
    r0 = 1
    exit`;

  it('calls functions back', () => {
    expect(start(LOOP(4, 0)).interpreter.run()).toBe(6004n);
    expect(start(LOOP(100, 0)).interpreter.run()).toBe(15006n);
    expect(start(LOOP(0, 0)).interpreter.run()).toBe(0n);
    expect(start(LOOP(1, 1)).interpreter.run()).toBe(BigInt.asUintN(64, -22n));
    expect(start(LOOP(1 << 24, 0)).interpreter.run()).toBe(BigInt.asUintN(32, -7n));
  });

  it('walks the elements of a map', () => {
    const { kernel, interpreter } = start('r0 = 0\nexit');
    const fd = kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 3 });
    for (const i of [0, 1, 2]) {
      kernel.bpf.map_update_elem({
        map_fd: fd,
        key: Uint8Array.of(i, 0, 0, 0),
        value: Uint8Array.of(10 + i, 0, 0, 0, 0, 0, 0, 0),
      });
    }
    const text = `
      r2 = subprog[+10]
      *(u64 *)(r10 - 8) = 0
      r3 = r10
      r3 += -8
      r4 = 0
      call for_each_map_elem
      r1 = *(u64 *)(r10 - 8)
      r0 *= 1000
      r0 += r1
      exit
      r1 = *(u64 *)(r3 + 0)
      r2 = *(u64 *)(r4 + 0)
      r1 += r2
      *(u64 *)(r4 + 0) = r1
      r0 = 0
      exit`;
    const map = mapAddress(kernel);
    interpreter.start(linkBare('test', decodeValid(assemble(text), 'test')), undefined, [map]);
    expect(interpreter.run()).toBe(3033n);
  });

  it('checks helpers’ arguments', () => {
    expect(start('r1 = 1\nr2 = r10\nr2 += -8\ncall map_lookup_elem\nexit').interpreter).toSatisfy(
      (interpreter: Interpreter) =>
        interpreter.run() === undefined &&
        interpreter.problem?.problem === 'bpf_map_lookup_elem: R1: expected=map_ptr',
    );
    const { interpreter } = start('r1 = r10\nr1 += -8\nr2 = 16\ncall trace_printk\nexit');
    expect(interpreter.run()).toBeUndefined();
    expect(interpreter.problem).toMatchObject({ code: 'helper-argument', insn: 3 });
  });

  it('gives its memory back', () => {
    const { kernel, interpreter } = start('r0 = 0\nexit');
    const before = kernel.memoryUse.blocks;
    interpreter.close();
    expect(kernel.memoryUse.blocks).toBe(before - 1);
  });
});

/** The address of the kernel's only map. */
function mapAddress(kernel: ReturnType<typeof createKernel>): bigint {
  for (let addr = 4096; addr < 1 << 20; addr += 8) {
    const map = kernel.runtime.mapAt(addr);
    if (map) return BigInt(map.addr);
  }
  throw new Error('the kernel has no map');
}
