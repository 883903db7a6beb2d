/** Accesses to the context that its type does not allow. */
import { PROGRAMS } from '../../programs/index.ts';
import { programType } from '../explore/access-context.ts';
import type { Advice, Trouble } from './trouble.ts';

export function contextAdvice({ refusal, draft, insn }: Trouble): Advice | undefined {
  const found = /^invalid bpf_context access off=(-?\d+) size=(\d+)$/.exec(refusal.problem);
  if (found === null) return undefined;
  const type = programType(draft);
  const { context } = PROGRAMS[type];
  const off = Number(found[1]);
  const size = Number(found[2]);
  const field = context.fieldAt(off);
  const whole = fullField(context.name, off);
  if (field === undefined) {
    if (whole === undefined) {
      if (context.fields.length === 0) return undefined;
      return { suggestion: `use the fields of struct ${context.name} by their names` };
    }
    return {
      reason: `programs of type ${type} don't have ${whole} in struct ${context.name}`,
      suggestion:
        whole === 'data' || whole === 'data_end'
          ? 'read the packet with bpf_skb_load_bytes(), or use a type of program that reaches it directly (xdp, sched_cls)'
          : `do without it, or use another type of program: this one has ${context.fields.map(({ name }) => name).join(', ')}`,
    };
  }
  const writes = insn !== undefined && insn.kind !== 'ldx' && insn.kind !== 'load_acquire';
  const rule = writes ? field.write : field.read;
  if (rule === undefined) {
    const allowed = context.fields.filter((one) => one.write !== undefined).map(({ name }) => name);
    return {
      reason: `${field.name} of struct ${context.name} can't be ${writes ? 'written' : 'read'} by programs of type ${type}`,
      ...(writes && {
        suggestion:
          allowed.length === 0
            ? 'keep the value in a variable or a map: this context is read-only'
            : `keep the value in a variable or a map; of this context may be written: ${allowed.join(', ')}`,
      }),
    };
  }
  const { min, max } = rule;
  const sizes = min === max ? `${max} bytes` : `${min} to ${max} bytes`;
  if (size >= min && size <= max && (off - field.offset) % size === 0) return undefined;
  return {
    reason: `${field.name} of struct ${context.name} has ${field.size} bytes, and ${size} bytes at its offset ${off - field.offset} are ${writes ? 'written' : 'read'}`,
    suggestion: `access ${field.name} by its name and with its own type: ${sizes} at once`,
  };
}

/** The field's name in the struct as the richest type of program has it. */
function fullField(struct: string, off: number): string | undefined {
  for (const { context } of Object.values(PROGRAMS)) {
    const name = context.name === struct ? context.fieldAt(off)?.name : undefined;
    if (name !== undefined) return name;
  }
  return undefined;
}
