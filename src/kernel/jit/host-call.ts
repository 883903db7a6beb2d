/** Calls of functions of the host. */
import type { FunctionWriter } from './function.ts';
import type { HostCall } from './unit.ts';
import { I64_TRUNC_SAT_F64_U, OP } from './wasm/opcodes.ts';

/**
 * Leaves the result as an i64 on the stack.
 * @param args false when the arguments are there already
 */
export function writeHostCall(f: FunctionWriter, call: HostCall, args = true): void {
  if (args) {
    for (const { reg, as } of call.args) {
      if (as === 'i32') f.getLow(reg);
      else {
        f.get(reg);
        if (as === 'f64') f.op(OP.f64_convert_i64_u);
      }
    }
  }
  if (call.frame) f.framePointer();
  f.call(f.scope.host(call));
  switch (call.result) {
    case 'address':
      f.op(OP.i64_extend_i32_u);
      break;
    case 's32':
      f.op(OP.i64_extend_i32_s);
      break;
    case 'f64':
      f.op(OP.numeric);
      f.op(I64_TRUNC_SAT_F64_U);
      break;
    case 'none':
      f.i64(0);
      break;
    case 'i64':
      break;
  }
}
