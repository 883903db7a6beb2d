/**
 * A WebAssembly module as text: imports, and each function's instructions, one a line. It reads what the compiler of the
 * embedded kernel writes; an instruction that it does not know is shown as its byte, and ends its function.
 *
 * @see WebAssembly Core Specification, sections 5 (binary format) and 6 (text format)
 */
import { ATOMIC, ATOMIC_RMW, I64_TRUNC_SAT_F64_U, OP } from '../../kernel/jit/wasm/opcodes.ts';

const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const TYPES: Readonly<Record<number, string>> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  112: 'funcref',
};
const EMPTY = 0x40;

const NAMES = new Map<number, string>(Object.entries(OP).map(([name, code]) => [code, textName(name)]));
const ATOMICS = new Map<number, string>([
  ...Object.entries(ATOMIC).map(([name, code]) => [code, textName(name).replace('.', '.atomic.')] as const),
  ...Object.entries(ATOMIC_RMW).flatMap(
    ([name, [wide, narrow]]) =>
      [
        [wide, `i64.atomic.rmw.${name}`],
        [narrow, `i64.atomic.rmw32.${name}_u`],
      ] as const,
  ),
]);

/** `i64_load8_u` is `i64.load8_u` in the text format. */
function textName(name: string): string {
  return name.replace(/^(i32|i64|f64|local|global|memory)_/, '$1.');
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  u8(): number {
    return this.#bytes[this.at++] ?? 0;
  }

  /** LEB128, unsigned. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80 || this.done) return value;
    }
  }

  /** LEB128, signed. */
  s64(): bigint {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80 || this.done) return (byte & 0x40) !== 0 ? value - (1n << shift) : value;
    }
  }

  f64(): number {
    const value = this.#view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  name(): string {
    const length = this.u32();
    this.at += length;
    return new TextDecoder().decode(this.#bytes.subarray(this.at - length, this.at));
  }

  part(length: number): Reader {
    const part = new Reader(this.#bytes, this.at, this.at + length);
    this.at += length;
    return part;
  }
}

interface FunctionType {
  readonly params: readonly string[];
  readonly results: readonly string[];
}

interface Module {
  readonly types: FunctionType[];
  /** Lines of the imports. */
  readonly imports: string[];
  /** Names of functions by index; imported ones first. */
  readonly functions: { name: string; type: FunctionType }[];
  readonly bodies: Reader[];
  imported: number;
}

const EXPORT_FUNCTION = 0;
const types = (from: Reader): string[] =>
  Array.from({ length: from.u32() }, () => TYPES[from.u8()] ?? 'unknown');
const signatureText = ({ params, results }: FunctionType): string =>
  `${params.length > 0 ? ` (param ${params.join(' ')})` : ''}${results.length > 0 ? ` (result ${results.join(' ')})` : ''}`;

function importLine(module: Module, from: Reader): string {
  const [of, name, kind] = [from.name(), from.name(), from.u8()];
  const head = `(import "${of}" "${name}"`;
  const limits = () => {
    const flags = from.u8();
    const least = from.u32();
    return `${least}${flags & 1 ? ` ${from.u32()}` : ''}${flags & 2 ? ' shared' : ''}`;
  };
  switch (kind) {
    case 0: {
      const type = module.types[from.u32()] ?? { params: [], results: [] };
      module.functions.push({ name, type });
      module.imported++;
      return `${head} (func $${name.replaceAll(' ', '_')}${signatureText(type)}))`;
    }
    case 1:
      return `${head} (table ${(() => {
        const type = TYPES[from.u8()];
        return `${limits()} ${type}`;
      })()}))`;
    case 2:
      return `${head} (memory ${limits()}))`;
    default: {
      const type = TYPES[from.u8()];
      return `${head} (global ${from.u8() === 1 ? `(mut ${type})` : type}))`;
    }
  }
}

function readModule(bytes: Uint8Array): Module {
  const module: Module = { types: [], imports: [], functions: [], bodies: [], imported: 0 };
  const from = new Reader(bytes, 8);
  while (!from.done) {
    const id = from.u8();
    const section = from.part(from.u32());
    if (id === SECTION.type) {
      for (let n = section.u32(); n > 0; n--) {
        section.u8();
        module.types.push({ params: types(section), results: types(section) });
      }
    } else if (id === SECTION.import) {
      for (let n = section.u32(); n > 0; n--) module.imports.push(importLine(module, section));
    } else if (id === SECTION.function) {
      for (let n = section.u32(); n > 0; n--) {
        const type = module.types[section.u32()] ?? { params: [], results: [] };
        module.functions.push({ name: `${module.functions.length}`, type });
      }
    } else if (id === SECTION.export) {
      for (let n = section.u32(); n > 0; n--) {
        const name = section.name();
        const kind = section.u8();
        const known = module.functions[section.u32()];
        if (kind === EXPORT_FUNCTION && known) known.name = name;
      }
    } else if (id === SECTION.code) {
      for (let n = section.u32(); n > 0; n--) module.bodies.push(section.part(section.u32()));
    }
  }
  return module;
}

/** The module's text, by line. */
export function moduleText(bytes: Uint8Array): string[] {
  const module = readModule(bytes);
  const lines = ['(module', ...module.imports.map((line) => `  ${line}`)];
  for (const [i, body] of module.bodies.entries()) {
    const { name, type } = module.functions[module.imported + i]!;
    lines.push(`  (func $${name.replaceAll(' ', '_')}${signatureText(type)}`);
    const locals: string[] = [];
    for (let n = body.u32(); n > 0; n--) {
      const count = body.u32();
      const local = TYPES[body.u8()] ?? 'unknown';
      for (let l = 0; l < count; l++) locals.push(local);
    }
    if (locals.length > 0) lines.push(`    (local ${locals.join(' ')})`);
    bodyLines(module, body, lines);
    lines.push('  )');
  }
  lines.push(')');
  return lines;
}

const OPENS: ReadonlySet<number> = new Set([OP.block, OP.loop, OP.if]);

function bodyLines(module: Module, body: Reader, lines: string[]): void {
  let depth = 2;
  while (!body.done) {
    const code = body.u8();
    if (code === OP.end) {
      if (body.done) return;
      depth--;
    }
    const shown = code === OP.else ? depth - 1 : depth;
    const text = insnText(module, code, body);
    lines.push(`${'  '.repeat(shown)}${text ?? `unknown 0x${code.toString(16)}`}`);
    if (text === undefined) return;
    if (OPENS.has(code)) depth++;
  }
}

/** `offset=8`, left out where it is 0. */
function memoryText(name: string, from: Reader): string {
  from.u32();
  const offset = from.u32();
  return offset === 0 ? name : `${name} offset=${offset}`;
}

/** @returns `undefined` for what is not known */
function insnText(module: Module, code: number, from: Reader): string | undefined {
  if (code === OP.atomic) {
    const name = ATOMICS.get(from.u32());
    return name === undefined ? undefined : memoryText(name, from);
  }
  if (code === OP.numeric) return from.u32() === I64_TRUNC_SAT_F64_U ? 'i64.trunc_sat_f64_u' : undefined;
  const name = NAMES.get(code);
  if (name === undefined) return undefined;
  switch (code) {
    case OP.block:
    case OP.loop:
    case OP.if: {
      const type = from.u8();
      return type === EMPTY ? name : `${name} (result ${TYPES[type]})`;
    }
    case OP.br:
    case OP.br_if:
    case OP.local_get:
    case OP.local_set:
    case OP.local_tee:
    case OP.global_get:
    case OP.global_set:
      return `${name} ${from.u32()}`;
    case OP.br_table:
      return `${name} ${Array.from({ length: from.u32() + 1 }, () => from.u32()).join(' ')}`;
    case OP.call: {
      const index = from.u32();
      return `${name} $${(module.functions[index]?.name ?? String(index)).replaceAll(' ', '_')}`;
    }
    case OP.call_indirect:
    case OP.return_call_indirect: {
      const type = module.types[from.u32()];
      return `${name} ${from.u32()}${type ? signatureText(type) : ''}`;
    }
    case OP.i32_const:
    case OP.i64_const:
      return `${name} ${from.s64()}`;
    case OP.memory_size:
      from.u8();
      return name;
    default:
      return code >= OP.i32_load && code <= OP.i64_store32 ? memoryText(name, from) : name;
  }
}
