/** Calls of functions of the host and of the kernel's own in WebAssembly. */
import type { FunctionWriter } from './function.ts';
import { AREA, type Argument, type HostCall, type NativeCall } from './unit.ts';
import { I64_TRUNC_SAT_F64_U, OP } from './wasm/opcodes.ts';

/**
 * Leaves the result as an i64 on the stack.
 * @param args false when the arguments are there already
 */
export function writeHostCall(f: FunctionWriter, call: HostCall, args = true): void {
  if (args) for (const arg of call.args) writeArgument(f, arg);
  if (call.frame) f.framePointer();
  f.call(f.scope.host(call));
  widen(f, call.result);
}

/** The same of a function of the kernel in WebAssembly. */
export function writeNativeCall(f: FunctionWriter, call: NativeCall): void {
  for (const arg of call.args) {
    if (arg === 'cpu') {
      if (f.unit.cpus === 1) f.i32(0);
      else {
        f.globalGet(f.scope.area);
        f.op(OP.i32_load);
        f.memarg(AREA.cpu);
      }
    } else if (arg === 'area') f.globalGet(f.scope.area);
    else if ('value' in arg) f.i32(arg.value);
    else writeArgument(f, arg);
  }
  f.call(f.scope.native(call));
  widen(f, call.result);
}

function writeArgument(f: FunctionWriter, { reg, as }: Argument): void {
  if (as === 'i32') f.getLow(reg);
  else {
    f.get(reg);
    if (as === 'f64') f.op(OP.f64_convert_i64_u);
  }
}

function widen(f: FunctionWriter, result: HostCall['result']): void {
  switch (result) {
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
