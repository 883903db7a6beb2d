/** The accesses that the host makes for a compiled program, as the interpreter makes them. */
import type { Size } from '../../isa/index.ts';
import { UPDATED } from '../interpreter/execute.ts';
import type { JitRun } from './run.ts';
import type { Argument, HostCall, IndirectAccess } from './unit.ts';

const I64: Argument = { reg: 0, as: 'i64' };
const I32: Argument = { reg: 0, as: 'i32' };
const OFFSET_SHIFT = 4;

const host = (name: string, args: readonly Argument[], call: HostCall['call']): HostCall => ({
  kind: 'host',
  name,
  args,
  result: 'i64',
  call,
});

export function indirectAccess(run: JitRun): IndirectAccess {
  const { arena } = run.program;
  const unsigned = (value: bigint) => BigInt.asUintN(64, value);
  return {
    mapLoad: host('map load', [I64, I32], (at: bigint, how: number) => {
      const offset = how >> OFFSET_SHIFT;
      const map = run.kernel.mapAt(Number(unsigned(at)) - offset);
      return map ? run.kernel.world.mapField(map, offset, how & 15) : 0n;
    }),
    arenaLoad: host('arena load', [I64, I32], (at: bigint, size: Size) => arena?.load(at, size) ?? 0n),
    arenaStore: host('arena store', [I64, I64, I32], (at: bigint, value: bigint, size: Size) => {
      arena?.store(at, size, unsigned(value));
      return 0n;
    }),
    arenaAtomic: host(
      'arena atomic',
      [I64, I64, I64, I32],
      (at: bigint, given: bigint, expected: bigint, slot: number) => {
        const insn = run.program.insns[slot];
        if (insn?.kind !== 'atomic') return 0n;
        const bits = insn.size * 8;
        const old = arena?.load(at, insn.size) ?? 0n;
        if (insn.op !== 'cmpxchg' || old === BigInt.asUintN(bits, expected)) {
          const value = UPDATED[insn.op](old, BigInt.asUintN(bits, given));
          arena?.store(at, insn.size, BigInt.asUintN(bits, value));
        }
        return old;
      },
    ),
    userHigh: (arena?.userAddress ?? 0n) >> 32n,
  };
}
