/** Puts sections together to a WebAssembly module. @see WebAssembly Core Specification §5.5 */
import { ByteWriter } from './bytes.ts';
import { OP, TYPE, type ValueType } from './opcodes.ts';

export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** Limits of an imported memory, in pages of 64 KiB. */
export interface MemoryLimits {
  readonly maximum: number;
  readonly shared: boolean;
}

const SECTION = { type: 1, import: 2, function: 3, table: 4, global: 6, export: 7, element: 9, code: 10 };
const KIND = { func: 0, table: 1, memory: 2, global: 3 };
const MAGIC = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);
const MODULE = 'skep';

/** Most bytes of a function that engines take. @see WebAssembly JavaScript Interface, Implementation-defined Limits */
const MAX_FUNCTION = 7_654_321;

/** A function is larger than engines take. */
export class TooLarge extends Error {
  constructor(size: number) {
    super(`a function of ${size} bytes of WebAssembly is more than the ${MAX_FUNCTION} that engines take`);
  }
}

export class ModuleWriter {
  readonly #types = new Map<string, number>();
  readonly #typeList: FunctionType[] = [];
  readonly #imports = new ByteWriter();
  #importCount = 0;
  /** Imported functions so far; a defined function's index comes behind all of them. */
  importedFunctions = 0;
  readonly #globals = new ByteWriter();
  #globalCount = 0;
  #definedGlobals = 0;
  readonly #functions: { type: number; body: ByteWriter | undefined }[] = [];
  readonly #exports = new ByteWriter();
  #exportCount = 0;
  /** Index of the module's own table: behind the one that is imported. */
  ownTable = 0;
  /** Of the module's own table: function index by slot; -1 is empty. */
  #elements: readonly number[] | undefined;

  type(type: FunctionType): number {
    const key = `${type.params} ${type.results}`;
    let index = this.#types.get(key);
    if (index === undefined) {
      index = this.#typeList.push(type) - 1;
      this.#types.set(key, index);
    }
    return index;
  }

  #import(name: string, kind: number, module = MODULE): ByteWriter {
    this.#importCount++;
    this.#imports.name(module);
    this.#imports.name(name);
    this.#imports.u8(kind);
    return this.#imports;
  }

  importMemory({ maximum, shared }: MemoryLimits): void {
    const out = this.#import('memory', KIND.memory);
    out.u8(shared ? 3 : 1);
    out.u32(0);
    out.u32(maximum);
  }

  /** The first table. */
  importTable(name: string): void {
    this.ownTable = 1;
    const out = this.#import(name, KIND.table);
    out.u8(TYPE.funcref);
    out.u8(0);
    out.u32(0);
  }

  /** @returns the global's index */
  importGlobal(name: string, type: ValueType, mutable: boolean): number {
    const out = this.#import(name, KIND.global);
    out.u8(TYPE[type]);
    out.u8(mutable ? 1 : 0);
    return this.#globalCount++;
  }

  /** @param module whose exports it is one of @returns the function's index */
  importFunction(name: string, type: FunctionType, module = MODULE): number {
    this.#import(name, KIND.func, module).u32(this.type(type));
    return this.importedFunctions++;
  }

  /** Defines a mutable i32 global that begins at 0. @returns its index */
  global(): number {
    this.#globals.u8(TYPE.i32);
    this.#globals.u8(1);
    this.#globals.u8(OP.i32_const);
    this.#globals.s32(0);
    this.#globals.u8(OP.end);
    this.#definedGlobals++;
    return this.#globalCount++;
  }

  /** Declares a function, after the last import. @returns its index */
  declare(type: FunctionType): number {
    return this.importedFunctions + this.#functions.push({ type: this.type(type), body: undefined }) - 1;
  }

  /** @param body locals and instructions @throws TooLarge */
  define(index: number, body: ByteWriter): void {
    if (body.length > MAX_FUNCTION) throw new TooLarge(body.length);
    this.#functions[index - this.importedFunctions]!.body = body;
  }

  export(name: string, kind: 'func' | 'global', index: number): void {
    this.#exportCount++;
    this.#exports.name(name);
    this.#exports.u8(KIND[kind]);
    this.#exports.u32(index);
  }

  /** Gives the module a table of its own. */
  elements(slots: readonly number[]): void {
    this.#elements = slots;
  }

  finish(): Uint8Array<ArrayBuffer> {
    let codeSize = 0;
    for (const { body } of this.#functions) codeSize += (body?.length ?? 0) + 5;
    const out = new ByteWriter(codeSize + this.#imports.length + this.#exports.length + 1024);
    out.raw(MAGIC);
    section(out, SECTION.type, this.#typeList.length, (to) => {
      for (const { params, results } of this.#typeList) {
        to.u8(TYPE.func);
        for (const list of [params, results]) {
          to.u32(list.length);
          for (const type of list) to.u8(TYPE[type]);
        }
      }
    });
    section(out, SECTION.import, this.#importCount, (to) => to.raw(this.#imports.bytes));
    section(out, SECTION.function, this.#functions.length, (to) => {
      for (const { type } of this.#functions) to.u32(type);
    });
    const elements = this.#elements;
    if (elements !== undefined) {
      section(out, SECTION.table, 1, (to) => {
        to.u8(TYPE.funcref);
        to.u8(0);
        to.u32(elements.length);
      });
    }
    section(out, SECTION.global, this.#definedGlobals, (to) => to.raw(this.#globals.bytes));
    section(out, SECTION.export, this.#exportCount, (to) => to.raw(this.#exports.bytes));
    if (elements !== undefined) this.#writeElements(out, elements);
    const code = new ByteWriter(codeSize + 8);
    code.u32(this.#functions.length);
    for (const { body } of this.#functions) code.sized(body!);
    out.u8(SECTION.code);
    out.sized(code);
    return out.bytes;
  }

  #writeElements(out: ByteWriter, elements: readonly number[]): void {
    const filled = [...elements.entries()].filter(([, func]) => func >= 0);
    section(out, SECTION.element, filled.length, (to) => {
      for (const [slot, func] of filled) {
        // Active, of that table, function indices.
        to.u8(2);
        to.u32(this.ownTable);
        to.u8(OP.i32_const);
        to.s32(slot);
        to.u8(OP.end);
        to.u8(0);
        to.u32(1);
        to.u32(func);
      }
    });
  }
}

function section(out: ByteWriter, id: number, count: number, write: (to: ByteWriter) => void): void {
  if (count === 0) return;
  const body = new ByteWriter();
  body.u32(count);
  write(body);
  out.u8(id);
  out.sized(body);
}
