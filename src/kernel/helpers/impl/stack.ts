/** Stacks of the current task by id. @see kernel/bpf/stackmap.c, bpf_get_stackid */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { StackTraceMap } from '../../maps/index.ts';

/** `BPF_F_USER_STACK`. */
const USER = 1n << 8n;

export const get_stackid: HelperImpl = (run, _context, pointer, flags) => {
  const map = run.map(pointer);
  if (!(map instanceof StackTraceMap)) throw new Bug(`a stack in a map of type ${map.shape.type}`);
  const { kernelStack = [], userStack = [] } = run.kernel.task;
  return map.remember(flags & USER ? userStack : kernelStack, flags);
};
