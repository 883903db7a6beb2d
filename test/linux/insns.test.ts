/** Every instruction case on the interpreter and on Linux: the same registers and memory come out. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { encode, type Insn, kernelInsn } from '../../src/isa/index.ts';
import { runRaw } from '../../src/kernel/interpreter/index.ts';
import { linuxStatus, openLinux } from '../../src/linux/index.ts';
import type { Fd } from '../../src/sys/index.ts';
import { anyInsn } from '../isa/arbitrary.ts';
import { CASES, caseProgram, difference, type InsnCase, STATE_BYTES, stateBlocks } from '../isa/cases.ts';

const status = linuxStatus();

const reg = (reg: 1 | 6 | 7 | 8) => ({ kind: 'reg', reg }) as const;
const TO_R6: readonly Insn[] = [{ kind: 'alu', op: 'mov', width: 64, dst: 6, src: reg(1) }];

/** An XDP program's: r6 is the packet, of which `length` bytes are there. */
function packetToR6(length: number): readonly Insn[] {
  return [
    { kind: 'ldx', size: 4, signed: false, dst: 6, src: 1, off: 0 },
    { kind: 'ldx', size: 4, signed: false, dst: 7, src: 1, off: 4 },
    { kind: 'alu', op: 'mov', width: 64, dst: 8, src: reg(6) },
    { kind: 'alu', op: 'add', width: 64, dst: 8, src: { kind: 'imm', imm: length } },
    { kind: 'jmp', op: 'jle', width: 64, dst: 8, src: reg(7), off: 2 },
    { kind: 'alu', op: 'mov', width: 64, dst: 0, src: { kind: 'imm', imm: 1 } },
    { kind: 'exit' },
  ];
}

describe.skipIf(!status.ok)('every instruction, on Linux', () => {
  const kernel = status.ok ? openLinux() : undefined;
  afterAll(() => kernel?.close());

  function load(one: InsnCase, block: Uint8Array): Fd {
    const insns = caseProgram(one.body, block.length / STATE_BYTES, packetToR6(block.length));
    return kernel!.bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL', log_level: 1 }).fd;
  }

  function onLinux(one: InsnCase, block: Uint8Array): Uint8Array {
    const fd = load(one, block);
    try {
      const { retval, data_out } = kernel!.bpf.prog_test_run({ prog_fd: fd, data_in: block });
      if (retval !== 0) throw new Error(`${one.name}: the packet is shorter than ${block.length} bytes`);
      return data_out;
    } finally {
      kernel!.closeFd(fd);
    }
  }

  function onInterpreter(one: InsnCase, block: Uint8Array): Uint8Array {
    const result = runRaw(caseProgram(one.body, block.length / STATE_BYTES, TO_R6), block);
    if (result.fault)
      throw new Error(`${one.name}: instruction ${result.fault.insn}: ${result.fault.problem}`);
    return result.memory;
  }

  /** The log of a load, accepted or refused. */
  function logOf(insns: Uint8Array): string {
    try {
      const { fd, log } = kernel!.bpf.prog_load({
        prog_type: 'socket_filter',
        insns,
        license: 'GPL',
        log_level: 2,
      });
      kernel!.closeFd(fd);
      return log;
    } catch (error) {
      return error instanceof InputError ? (error.detail ?? '') : '';
    }
  }

  test('does what the interpreter does', { timeout: 300_000 }, () => {
    let states = 0;
    let changed = 0;
    const complaints: string[] = [];
    for (const one of CASES) {
      if (one.refused !== undefined) continue;
      for (const block of stateBlocks(one)) {
        const result = onLinux(one, block);
        const complaint = difference(block, onInterpreter(one, block), result);
        if (difference(block, block, result) !== undefined) changed++;
        states += block.length / STATE_BYTES;
        if (complaint !== undefined) {
          complaints.push(`${one.name}: ${complaint}`);
          break;
        }
      }
    }
    expect(complaints).toEqual([]);
    // Nearly every case does something to some state.
    expect(changed).toBeGreaterThan(1400);
    expect(states).toBeGreaterThan(40_000);
  });

  test("is printed as the kernel's log prints it", () => {
    const rest: readonly Insn[] = [
      { kind: 'alu', op: 'mov', width: 64, dst: 0, src: { kind: 'imm', imm: 0 } },
      { kind: 'exit' },
    ];
    let compared = 0;
    for (const any of fc.sample(anyInsn, 4000)) {
      // A jump must reach something, or it is refused before it is printed; the log names helpers.
      const insn = 'off' in any && !('dst' in any && any.kind !== 'jmp') ? { ...any, off: 0 } : any;
      if (insn.kind === 'call') continue;
      const log = logOf(encode([insn, ...rest]));
      const printed = /^0: (\([0-9a-f]{2}\) [^;]*?)\s*(?:;.*)?$/m.exec(log)?.[1];
      // What names an object that is not there is refused before anything is printed.
      if (printed === undefined) continue;
      compared++;
      expect(kernelInsn(insn)).toBe(printed);
    }
    expect(compared).toBeGreaterThan(3000);
  });

  test('is refused where its immediate is out of range', () => {
    const refused = CASES.filter((one) => one.refused !== undefined);
    expect(refused.length).toBeGreaterThan(50);
    for (const one of refused) {
      let log: unknown = 'it was accepted';
      try {
        kernel!.closeFd(load(one, stateBlocks(one)[0]!));
      } catch (error) {
        log = (error as { detail?: unknown }).detail;
      }
      expect(log, one.name).toContain(one.refused);
    }
  });
});
