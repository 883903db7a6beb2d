/** The call of a function that the program is attached to. @see kernel/trace/bpf_trace.c, bpf_get_func_arg and behind it */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { type TracedCall, TracingContext } from '../../net/tracing-context.ts';
import { addr, err, u32 } from './values.ts';

const call = ({ context }: HelperRun): TracedCall | undefined =>
  context instanceof TracingContext ? context.call : undefined;

export const get_func_arg: HelperImpl = (run, _context, index, value) => {
  const arg = call(run)?.args[u32(index)];
  if (arg === undefined) return err('EINVAL');
  run.machine.memory.writeU64(addr(value), arg);
  return 0n;
};

export const get_func_ret: HelperImpl = (run, _context, value) => {
  const result = call(run)?.result;
  if (result === undefined) return err('EOPNOTSUPP');
  run.machine.memory.writeU64(addr(value), BigInt.asUintN(64, result));
  return 0n;
};

export const get_func_arg_cnt: HelperImpl = (run) => call(run)?.args.length ?? 0;
export const get_func_ip: HelperImpl = (run) => call(run)?.ip ?? 0n;
export const get_attach_cookie: HelperImpl = (run) => call(run)?.cookie ?? 0n;
