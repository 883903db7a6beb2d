/** Puts map file descriptors, kernel type ids and addresses into a linked program's instructions. */
import { Bug, InputError } from '../base/error.ts';
import type { Fd } from '../sys/index.ts';
import type { LinkedProgram } from './link.ts';
import type { ResolvedExtern } from './resolve-externs.ts';
import type { Ref } from './spec.ts';

const SLOT = 8;
const CALL = 0x85;

/** `src_reg` pseudo values. @see include/uapi/linux/bpf.h */
const PSEUDO = { mapFd: 1, mapValue: 2, btfId: 3, kfuncCall: 2 } as const;

/** Helper numbers of calls that stand for an absent function; the verifier refuses one that it reaches. */
const POISON_KFUNC = 2_002_000_000;

/** What references are replaced by. */
export interface Supplies {
  readonly mapFd: (name: string) => Fd;
  readonly extern: (name: string) => ResolvedExtern;
}

/**
 * Patches the instructions in place.
 *
 * @param what the program, for messages
 * @returns BTF fds that kfunc calls index; the first, which stands for vmlinux, is a placeholder. Empty without such.
 */
export function relocateProgram(program: LinkedProgram, supplies: Supplies, what: string): Fd[] {
  const view = new DataView(program.insns.buffer, program.insns.byteOffset, program.insns.length);
  const modules: Fd[] = [];
  for (const ref of program.refs) relocate(view, ref, supplies, modules, what);
  return modules.length > 0 ? [modules[0]!, ...modules] : [];
}

function relocate(view: DataView, ref: Ref, supplies: Supplies, modules: Fd[], what: string): void {
  const at = ref.insn * SLOT;
  const load = (pseudo: number, low: number, high: number) => {
    view.setUint8(at + 1, (view.getUint8(at + 1) & 0x0f) | (pseudo << 4));
    view.setInt32(at + 4, low, true);
    view.setInt32(at + SLOT + 4, high, true);
  };
  switch (ref.kind) {
    case 'map':
      load(PSEUDO.mapFd, supplies.mapFd(ref.map), 0);
      return;
    case 'data':
      load(PSEUDO.mapValue, supplies.mapFd(ref.map), ref.off);
      return;
    case 'extern': {
      const found = supplies.extern(ref.extern);
      switch (found.kind) {
        case 'kconfig':
          load(PSEUDO.mapValue, supplies.mapFd('.kconfig'), found.offset);
          return;
        case 'address':
          load(0, Number(found.address & 0xffff_ffffn) | 0, Number(found.address >> 32n) | 0);
          return;
        case 'btf_var':
        case 'kfunc':
          load(PSEUDO.btfId, found.id, found.moduleFd ?? 0);
          return;
        case 'absent':
          load(0, 0, 0);
          return;
        default:
          throw found satisfies never;
      }
    }
    case 'kfunc': {
      const found = supplies.extern(ref.extern);
      if (found.kind === 'absent') {
        view.setUint32(at, CALL, true);
        view.setInt32(at + 4, POISON_KFUNC, true);
        return;
      }
      if (found.kind !== 'kfunc')
        throw new InputError('loader-ksym', `${what}: ${ref.extern} is no function`);
      view.setUint8(at + 1, (view.getUint8(at + 1) & 0x0f) | (PSEUDO.kfuncCall << 4));
      view.setInt16(at + 2, moduleIndex(found.moduleFd, modules), true);
      view.setInt32(at + 4, found.id, true);
      return;
    }
    case 'call':
    case 'func':
      throw new Bug(`${what}: a reference to a function was left by linking`);
    default:
      throw ref satisfies never;
  }
}

/** Index into the load's `fd_array`; 0 is vmlinux. */
function moduleIndex(fd: Fd | undefined, modules: Fd[]): number {
  if (fd === undefined) return 0;
  const known = modules.indexOf(fd);
  if (known >= 0) return known + 1;
  return modules.push(fd);
}
