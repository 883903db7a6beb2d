/**
 * Accesses to what only the kernel's BTF describes: kernel objects, a map's own fields, arguments of traced functions.
 * Which pointers may be followed at all is checked here.
 */
import { isGplCompatible } from '../license.ts';
import { formatBits } from '../value/print.ts';
import type { Explorer } from './explorer.ts';
import type { RegState } from './reg.ts';
import { MEM_PERCPU, MEM_USER, PTR_UNTRUSTED } from './reg-type.ts';

/**
 * @param off the fixed offset, the pointer's own included
 */
export function accessBtfObject(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  access: 'read' | 'write',
): void {
  const type = reg.btf!.type(reg.btfId);
  const name = 'name' in type ? String(type.name) : '';
  if (!ex.caps.allowPtrLeaks) {
    const problem = `'struct ${name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN`;
    ex.refuse('not-permitted', problem, { reason: 'kernel objects tell secrets of the kernel' });
  }
  const kernel = reg.btf === ex.draft.environment.kernelBtf;
  if (kernel && !isGplCompatible(ex.draft.input.license)) {
    const problem = `Cannot access kernel 'struct ${name}' from non-GPL compatible program`;
    ex.refuse('gpl-only', problem, { reason: `the program's license is "${ex.draft.input.license}"` });
  }
  const what = `R${regno} is ptr_${name}`;
  if (off < 0) {
    ex.refuse('memory-bounds', `${what} invalid negative access: off=${off}`, {
      reason: 'the access is in front of the object',
    });
  }
  if (!reg.scalar.isConstValue(0, 0)) {
    const problem = `${what} invalid variable offset: off=${off}, var_off=${formatBits(reg.scalar)}`;
    ex.refuse('memory-bounds', problem, { reason: 'which member is accessed must be known' });
  }
  if ((reg.type & MEM_USER) !== 0) {
    ex.refuse('not-a-pointer', `${what} access user memory: off=${off}`, {
      reason: 'user memory may be paged out',
      hint: 'read it with bpf_probe_read_user',
    });
  }
  if ((reg.type & MEM_PERCPU) !== 0) {
    ex.refuse('not-a-pointer', `${what} access percpu memory: off=${off}`, {
      reason: 'the pointer is to all processors’ copies of the object',
      hint: 'get one with bpf_per_cpu_ptr or bpf_this_cpu_ptr',
    });
  }
  if (access === 'write' && (reg.type & PTR_UNTRUSTED) !== 0) {
    ex.refuse('read-only-memory', 'only read is supported', {
      reason: 'the pointer may not point to what its type says',
    });
  }
  structAccess(ex, reg, off);
}

/** Loads and stores through the pointer to a map itself: its kernel object can be read. */
export function accessMapObject(ex: Explorer, _regno: number, off: number): void {
  unsupported(ex, `field at offset ${off} of a map's kernel object`);
}

/** An access to the arguments of a traced function, LSM hook or struct_ops member. */
export function accessBtfContext(ex: Explorer, off: number): void {
  unsupported(ex, `argument at offset ${off} of the context`);
}

function structAccess(ex: Explorer, reg: RegState, off: number): void {
  unsupported(ex, `member at offset ${off} of BTF type ${reg.btfId}`);
}

function unsupported(ex: Explorer, what: string): never {
  ex.refuse('unsupported-insn', `the embedded kernel does not know the ${what}`, {
    reason: 'what it is stands in the BTF of the kernel that runs the program',
  });
}
