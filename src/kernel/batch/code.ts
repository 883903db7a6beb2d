/**
 * WebAssembly functions as expressions: what the loops over packets are written in. An expression writes its
 * instructions, and leaves its value (if it has one) on the stack.
 */
import { ByteWriter } from '../jit/wasm/bytes.ts';
import type { ModuleWriter } from '../jit/wasm/module.ts';
import { OP, TYPE, type ValueType } from '../jit/wasm/opcodes.ts';

export type Expr = (f: Body) => void;

/** Behind {@link OP.numeric}. */
const MEMORY_COPY = 10;
const MEMORY_FILL = 11;
const I32_STORE8 = 0x3a;
const I32_STORE16 = 0x3b;

/** A function that is being written. */
export class Body {
  readonly out = new ByteWriter(512);
  readonly #params: number;
  readonly #locals: ValueType[] = [];
  /** Labels that are open. */
  depth = 0;

  constructor(params: number) {
    this.#params = params;
  }

  local(type: ValueType): number {
    return this.#params + this.#locals.push(type) - 1;
  }

  finish(): ByteWriter {
    const body = new ByteWriter(this.out.length + 2 * this.#locals.length + 8);
    body.u32(this.#locals.length);
    for (const type of this.#locals) {
      body.u32(1);
      body.u8(TYPE[type]);
    }
    body.raw(this.out.bytes);
    body.u8(OP.end);
    return body;
  }
}

/** A local variable. */
export interface Local {
  readonly get: Expr;
  readonly set: (value: Expr) => Expr;
  readonly tee: (value: Expr) => Expr;
}

/** What a function's code is given to write with. */
export interface Scope {
  readonly params: readonly Local[];
  readonly local: (type?: ValueType) => Local;
}

/** Defines a function of `i32` parameters. @returns its index */
export function define(
  module: ModuleWriter,
  { params, results = [] }: { readonly params: number; readonly results?: readonly ValueType[] },
  write: (scope: Scope) => Expr,
): number {
  const index = module.declare({ params: Array.from({ length: params }, () => 'i32' as const), results });
  const body = new Body(params);
  write({
    params: Array.from({ length: params }, (_, i) => variable(() => i)),
    local: (type = 'i32') => {
      const at = body.local(type);
      return variable(() => at);
    },
  })(body);
  module.define(index, body.finish());
  return index;
}

function variable(index: () => number): Local {
  const access = (op: number): Expr => {
    return ({ out }) => {
      out.u8(op);
      out.u32(index());
    };
  };
  return {
    get: access(OP.local_get),
    set: (value) => seq(value, access(OP.local_set)),
    tee: (value) => seq(value, access(OP.local_tee)),
  };
}

/** One after the other. */
export function seq(...parts: readonly Expr[]): Expr {
  return (f) => {
    for (const part of parts) part(f);
  };
}

export const nothing: Expr = () => {};

export function i32(value: number): Expr {
  return ({ out }) => {
    out.u8(OP.i32_const);
    out.s32(value);
  };
}

const raw = (op: number): Expr => {
  return ({ out }) => out.u8(op);
};
const unary = (op: number) => (a: Expr) => seq(a, raw(op));
const binary = (op: number) => (a: Expr, b: Expr) => seq(a, b, raw(op));

export const add = binary(OP.i32_add);
export const sub = binary(OP.i32_sub);
export const mul = binary(OP.i32_mul);
export const and = binary(OP.i32_and);
export const or = binary(OP.i32_or);
export const xor = binary(OP.i32_xor);
export const shl = binary(OP.i32_shl);
export const shrU = binary(OP.i32_shr_u);
export const rotl = binary(OP.i32_rotl);
export const remU = binary(OP.i32_rem_u);
export const eq = binary(OP.i32_eq);
export const ne = binary(OP.i32_ne);
export const ltU = binary(OP.i32_lt_u);
export const gtU = binary(OP.i32_gt_u);
export const leU = binary(OP.i32_le_u);
export const geU = binary(OP.i32_ge_u);
export const not = unary(OP.i32_eqz);
export const low = unary(OP.i32_wrap_i64);
export const wide = unary(OP.i64_extend_i32_u);
export const add64 = binary(OP.i64_add);
export const drop = unary(OP.drop);

type Loader = (at: Expr, offset?: number) => Expr;
type Storer = (at: Expr, value: Expr, offset?: number) => Expr;

const memarg = (op: number, offset: number): Expr => {
  return ({ out }) => {
    out.u8(op);
    out.u8(0);
    out.u32(offset);
  };
};
const loader =
  (op: number): Loader =>
  (at, offset = 0) =>
    seq(at, memarg(op, offset));
const storer =
  (op: number): Storer =>
  (at, value, offset = 0) =>
    seq(at, value, memarg(op, offset));

export const load = loader(OP.i32_load);
export const load8 = loader(OP.i32_load8_u);
export const load16 = loader(OP.i32_load16_u);
export const load64 = loader(OP.i64_load);
export const store = storer(OP.i32_store);
export const store8 = storer(I32_STORE8);
export const store16 = storer(I32_STORE16);
export const store64 = storer(OP.i64_store);

const bulk = (code: number, zeros: number): Expr => {
  return ({ out }) => {
    out.u8(OP.numeric);
    out.u8(code);
    for (let i = 0; i < zeros; i++) out.u8(0);
  };
};
export const copy = (to: Expr, from: Expr, size: Expr) => seq(to, from, size, bulk(MEMORY_COPY, 2));
export const fill = (to: Expr, value: Expr, size: Expr) => seq(to, value, size, bulk(MEMORY_FILL, 1));

/** The one value or the other. */
export const select = (condition: Expr, yes: Expr, no: Expr) => seq(yes, no, condition, raw(OP.select));

export function when(condition: Expr, then: Expr, otherwise?: Expr): Expr {
  return choose(TYPE.none, condition, then, otherwise);
}

/** As {@link when}, with an i32 for a value. */
export function choice(condition: Expr, yes: Expr, no: Expr): Expr {
  return choose(TYPE.i32, condition, yes, no);
}

function choose(type: number, condition: Expr, then: Expr, otherwise: Expr | undefined): Expr {
  return (f) => {
    condition(f);
    f.out.u8(OP.if);
    f.out.u8(type);
    f.depth++;
    then(f);
    if (otherwise) {
      f.out.u8(OP.else);
      otherwise(f);
    }
    f.depth--;
    f.out.u8(OP.end);
  };
}

/** What a block or a loop is left, or gone round, by. */
export interface Label {
  readonly go: Expr;
  readonly goIf: (condition: Expr) => Expr;
}

/** Going to its label leaves it. */
export function block(write: (label: Label) => Expr): Expr {
  return labelled(OP.block, write);
}

/** Going to its label begins it again. */
export function loop(write: (label: Label) => Expr): Expr {
  return labelled(OP.loop, write);
}

function labelled(op: number, write: (label: Label) => Expr): Expr {
  return (f) => {
    f.out.u8(op);
    f.out.u8(TYPE.none);
    const at = f.depth++;
    const branch = (code: number): Expr => {
      return (g) => {
        g.out.u8(code);
        g.out.u32(g.depth - 1 - at);
      };
    };
    write({ go: branch(OP.br), goIf: (condition) => seq(condition, branch(OP.br_if)) })(f);
    f.depth--;
    f.out.u8(OP.end);
  };
}

/** Ends the function with a value. */
export const result = (value: Expr) => seq(value, raw(OP.return));

/** Calls through the first table. */
export function callIndirect(type: number, index: Expr, ...args: readonly Expr[]): Expr {
  return seq(...args, index, ({ out }) => {
    out.u8(OP.call_indirect);
    out.u32(type);
    out.u32(0);
  });
}

export function call(func: number, ...args: readonly Expr[]): Expr {
  return seq(...args, ({ out }) => {
    out.u8(OP.call);
    out.u32(func);
  });
}

/** The bytes of a 32-bit value in the other order. */
export function swap32(value: Expr): Expr {
  return (f) => {
    const at = f.local('i32');
    const local = variable(() => at);
    or(
      and(rotl(local.tee(value), i32(8)), i32(0x00ff_00ff)),
      and(rotl(local.get, i32(24)), i32(0xff00_ff00 | 0)),
    )(f);
  };
}
