/** Loads and stores that are not made on memory as it is: through pointers that may be anything, and of arenas, maps and sockets. */
import type { Insn, Size } from '../../isa/index.ts';
import { SOCKET_VIEW } from '../net/socket-view.ts';
import type { InsnProof } from '../verifier/index.ts';
import { type Execute, UPDATED } from './execute.ts';
import type { Interpreter } from './interpreter.ts';

/** Below it no memory is mapped. */
const FIRST_PAGE = 4096n;

type Load = Extract<Insn, { kind: 'ldx' | 'load_acquire' }>;
type Store = Extract<Insn, { kind: 'st' | 'stx' | 'store_release' }>;

/** What the instruction does in place of the usual; `undefined`: the usual. */
export function indirectExecutor(insn: Insn, access: NonNullable<InsnProof['access']>): Execute | undefined {
  switch (insn.kind) {
    case 'ldx':
    case 'load_acquire':
      switch (access) {
        case 'btf_id':
        case 'untrusted':
          return loader(carefully);
        case 'map':
          return loader((m, at, size, off) => {
            const map = m.kernel.mapAt(Number(at) - off);
            return map && m.kernel.world.mapField(map, off, size);
          });
        case 'sock':
          return loader((m, at, size, off) =>
            SOCKET_VIEW.read(m.machine.memory, Number(at) - off, off, size),
          );
        case 'arena':
          return loader((m, at, size) => m.program.arena?.load(at, size), true);
        case 'ctx':
          return undefined;
      }
      return undefined;
    case 'st':
    case 'stx':
    case 'store_release':
      return access === 'arena' ? (storeInArena as Execute) : undefined;
    case 'atomic':
      return access === 'arena' ? (atomicInArena as Execute) : undefined;
    default:
      return undefined;
  }
}

function loader(
  read: (m: Interpreter, at: bigint, size: Size, off: number) => bigint | undefined,
  arena = false,
): Execute {
  return (m, any) => {
    const insn = any as Load;
    const base = m.regs[insn.src]!;
    const at = (arena ? BigInt.asUintN(32, base) : base) + BigInt(insn.off);
    const value = read(m, at, insn.size, insn.off) ?? 0n;
    m.regs[insn.dst] = insn.kind === 'ldx' && insn.signed ? BigInt.asIntN(insn.size * 8, value) : value;
  };
}

/** What can't be read is 0. */
function carefully({ machine: { memory } }: Interpreter, at: bigint, size: Size): bigint {
  if (at < FIRST_PAGE || at + BigInt(size) > BigInt(memory.u8.length)) return 0n;
  const bytes = memory.window(Number(at) as Parameters<typeof memory.window>[0], size);
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

function storeInArena(m: Interpreter, insn: Store): void {
  const at = BigInt.asUintN(32, m.regs[insn.dst]!) + BigInt(insn.off);
  const value = insn.kind === 'st' ? BigInt(insn.imm) : m.regs[insn.src]!;
  m.program.arena?.store(at, insn.size, BigInt.asUintN(64, value));
}

function atomicInArena(m: Interpreter, insn: Extract<Insn, { kind: 'atomic' }>): void {
  const { op, fetch, size, dst, off, src } = insn;
  const at = BigInt.asUintN(32, m.regs[dst]!) + BigInt(off);
  const old = m.program.arena?.load(at, size) ?? 0n;
  const bits = size * 8;
  const operand = BigInt.asUintN(bits, m.regs[src]!);
  if (op !== 'cmpxchg' || old === BigInt.asUintN(bits, m.regs[0]!)) {
    m.program.arena?.store(at, size, BigInt.asUintN(bits, UPDATED[op](old, operand)));
  }
  if (op === 'cmpxchg') m.regs[0] = old;
  else if (fetch) m.regs[src] = old;
}
