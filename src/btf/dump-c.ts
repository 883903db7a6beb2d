/**
 * Dumps types as C that a compiler accepts and that lays them out as the BTF says: definitions before their uses by
 * value, forward declarations where a pointer suffices, padding where the compiler would put none. The text is that of
 * `bpftool btf dump file X format c`.
 */
import { InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import { CDeclarator, type CNames } from './declare-c.ts';
import type { BtfType, BtfTypeId } from './type.ts';

const GUARD_START = `#ifndef __VMLINUX_H__
#define __VMLINUX_H__

`;
const PRAGMA_START = `#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

`;
const KFUNC_WORDS = `#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

`;
const PRAGMA_END = `#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

`;
const GUARD_END = `#endif /* __VMLINUX_H__ */
`;

export interface DumpCOptions {
  /** The types to dump, with what they need; default all that the BTF itself declares. */
  readonly ids?: Iterable<BtfTypeId>;
  /** The kernel's functions whose prototypes follow the types; `words`: only the macros for such prototypes are defined. */
  readonly kfuncs?: readonly Kfunc[] | 'words';
  /** Without the include guard and the pragmas around the types. */
  readonly bare?: boolean;
}

/** A function of the kernel that programs may call. */
export interface Kfunc {
  /** A FUNC. */
  readonly id: BtfTypeId;
  /** Calls of it leave the registers of its arguments as they are (`bpf_fastcall`). */
  readonly fastcall: boolean;
}

/**
 * The types as a C header.
 * @throws InputError if the types can't be put in an order that C accepts
 */
export function dumpC(btf: Btf, options: DumpCOptions = {}): string {
  const dump = new CDump(btf);
  for (const id of options.ids ?? btf.ids()) dump.add(id);
  const { kfuncs } = options;
  if (kfuncs !== undefined && kfuncs !== 'words') dump.addKfuncs(kfuncs);
  const text = dump.text();
  const words = kfuncs !== undefined ? KFUNC_WORDS : '';
  return options.bare ? text : `${GUARD_START}${PRAGMA_START}${words}${text}${PRAGMA_END}${GUARD_END}`;
}

/** Types of GCC's own that other compilers don't know. */
const MISSING_BASE_TYPES: Readonly<Record<string, string>> = {
  __Poly8_t: 'unsigned char',
  __Poly16_t: 'unsigned short',
  __Poly64_t: 'unsigned long long',
  __Poly128_t: 'unsigned __int128',
};

/** A definition that every compiler brings along. */
const BUILT_IN = '__builtin_va_list';

type Progress = 'none' | 'started' | 'done';

/** Deeper chains of types are refused rather than followed. */
const MAX_DEPTH = 1000;

/** Declarations that stand in one text: the second type of a name is `name___2` there. */
export class CDeclarations {
  readonly #plain: CDeclarator;
  readonly #stripped: CDeclarator;

  constructor(btf: Btf) {
    const names = new NameCounter(btf);
    this.#plain = new CDeclarator(btf, names);
    this.#stripped = new CDeclarator(btf, names, true);
  }

  /**
   * A declaration of `name`, without the semicolon; with an empty name the type alone.
   * @param level tabs before what is spelled out on lines of its own
   * @param strip leave out `const`, `volatile`, `restrict` and type tags
   */
  declare(id: BtfTypeId, name: string, { level = 0, strip = false } = {}): string {
    return (strip ? this.#stripped : this.#plain).declaration(id, name, level);
  }
}

/** Names in use: the second type of a name becomes `name___2`. */
class NameCounter implements CNames {
  readonly #btf: Btf;
  /** Structs, unions and enums have a namespace of their own in C. */
  readonly #tags = new Map<string, number>();
  /** Typedefs and enumerators. */
  readonly #idents = new Map<string, number>();
  readonly #resolved = new Map<BtfTypeId, string>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  tag(id: BtfTypeId): string {
    return this.#resolve(id, this.#tags);
  }

  ident(id: BtfTypeId): string {
    return this.#resolve(id, this.#idents);
  }

  enumerator(name: string): string {
    return numbered(name, count(this.#idents, name));
  }

  #resolve(id: BtfTypeId, names: Map<string, number>): string {
    const known = this.#resolved.get(id);
    if (known !== undefined) return known;
    const type = this.#btf.type(id);
    const name = this.#btf.nameOf(id);
    if (name === '') return '';
    // A forward declaration may stand any number of times.
    const forward = type.kind === 'fwd' || (type.kind === 'enum' && type.values.length === 0);
    const resolved = forward ? name : numbered(name, count(names, name));
    this.#resolved.set(id, resolved);
    return resolved;
  }
}

function count(names: Map<string, number>, name: string): number {
  const n = (names.get(name) ?? 0) + 1;
  names.set(name, n);
  return n;
}

function numbered(name: string, n: number): string {
  return n > 1 ? `${name}___${n}` : name;
}

class CDump {
  readonly #btf: Btf;
  readonly #declare: CDeclarator;
  readonly #names: NameCounter;
  readonly #out: string[] = [];
  readonly #ordered: Progress[] = [];
  readonly #emitted: Progress[] = [];
  readonly #forwarded = new Set<BtfTypeId>();
  readonly #referenced: Uint8Array;
  #queue: BtfTypeId[] = [];
  #depth = 0;
  #budget: number;

  constructor(btf: Btf) {
    this.#btf = btf;
    this.#names = new NameCounter(btf);
    this.#declare = new CDeclarator(btf, this.#names);
    this.#referenced = referencedTypes(btf);
    this.#budget = 1_000_000 + 1000 * btf.endId;
  }

  /** Emits a type and what it needs, unless they are there already. */
  add(id: BtfTypeId): void {
    this.#queue = [];
    this.#order(id, false);
    for (const next of this.#queue) this.#emit(next, 0 as BtfTypeId);
  }

  /** The prototypes of functions; the types that they name must be there. */
  addKfuncs(kfuncs: readonly Kfunc[]): void {
    this.#out.push('\n/* BPF kfuncs */\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n');
    for (const { id, fastcall } of kfuncs) {
      const { name, type } = this.#btf.typeOf(id, 'func');
      const prototype = this.#declare.declaration(type, name, 0);
      this.#out.push(`extern ${fastcall ? '__bpf_fastcall ' : ''}${prototype} __weak __ksym;\n`);
    }
    this.#out.push('#endif\n\n');
  }

  text(): string {
    return this.#out.join('');
  }

  #statement(text: string): void {
    this.#out.push(text, ';\n\n');
  }

  /** Runs a step deeper. It is bounded, in depth and in total, for BTF that no compiler made. */
  #deeper<T>(id: BtfTypeId, step: () => T): T {
    if (this.#depth >= MAX_DEPTH || this.#budget-- <= 0) {
      throw new InputError(
        'btf-nesting',
        `${this.#btf.name}: dumping ${this.#btf.describe(id)} as C leads through too many types`,
      );
    }
    this.#depth++;
    try {
      return step();
    } finally {
      this.#depth--;
    }
  }

  /**
   * Queues the named definitions that a type needs, each after those that it needs itself.
   * @param throughPointer whether a declaration suffices
   * @returns whether the type needs a definition to come first ("strong"); a typedef behind a pointer to nothing of
   * the kind can wait
   */
  #order(id: BtfTypeId, throughPointer: boolean): boolean {
    return this.#deeper(id, () => this.#orderType(id, this.#btf.type(id), throughPointer));
  }

  #orderType(id: BtfTypeId, type: BtfType, throughPointer: boolean): boolean {
    if (id === 0 || this.#ordered[id] === 'done') return true;
    if (this.#ordered[id] === 'started') {
      if ((type.kind === 'struct' || type.kind === 'union') && throughPointer && type.name !== '')
        return false;
      throw new InputError(
        'btf-cycle',
        `${this.#btf.name}: ${this.#btf.describe(id)} can't be written as C: it needs its own definition`,
      );
    }
    switch (type.kind) {
      case 'void':
        return true;
      case 'int':
      case 'float':
      case 'func':
      case 'var':
      case 'datasec':
      case 'decl_tag':
        this.#ordered[id] = 'done';
        return false;
      case 'ptr': {
        const strong = this.#order(type.type, true);
        this.#ordered[id] = 'done';
        return strong;
      }
      case 'array':
        return this.#order(type.type, false);
      case 'struct':
      case 'union':
        if (throughPointer && type.name !== '') return false;
        this.#ordered[id] = 'started';
        for (const member of type.members) this.#order(member.type, false);
        if (type.name !== '') this.#queue.push(id);
        this.#ordered[id] = 'done';
        return true;
      case 'enum':
      case 'enum64':
      case 'fwd':
        if (type.name !== '' || this.#referenced[id] === 0) this.#queue.push(id);
        this.#ordered[id] = 'done';
        return true;
      case 'typedef': {
        const strong = this.#order(type.type, throughPointer);
        if (throughPointer && !strong) return false;
        this.#queue.push(id);
        this.#ordered[id] = 'done';
        return true;
      }
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
        return this.#order(type.type, throughPointer);
      case 'func_proto': {
        let strong = this.#order(type.returns, throughPointer);
        for (const param of type.params) strong = this.#order(param.type, throughPointer) || strong;
        return strong;
      }
    }
  }

  /**
   * Emits what must stand before a type can be used, and at the top level the type itself.
   * @param container the named type whose definition the use is in; 0 at the top level
   */
  #emit(id: BtfTypeId, container: BtfTypeId): void {
    this.#deeper(id, () => this.#emitType(id, this.#btf.type(id), container));
  }

  #emitType(id: BtfTypeId, type: BtfType, container: BtfTypeId): void {
    const state = this.#emitted[id];
    if (id === 0 || state === 'done') return;
    if (state === 'started') {
      this.#emitForward(id, type, container);
      return;
    }
    const top = container === 0;
    switch (type.kind) {
      case 'int': {
        const alias = Object.hasOwn(MISSING_BASE_TYPES, type.name)
          ? MISSING_BASE_TYPES[type.name]
          : undefined;
        if (alias !== undefined) this.#statement(`typedef ${alias} ${type.name}`);
        this.#emitted[id] = 'done';
        break;
      }
      case 'enum':
      case 'enum64':
        if (top) this.#statement(this.#declare.enumDefinition(id, type, 0));
        this.#emitted[id] = 'done';
        break;
      case 'ptr':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
      case 'array':
        this.#emit(type.type, container);
        break;
      case 'fwd':
        this.#statement(`${type.of} ${type.name}`);
        this.#emitted[id] = 'done';
        break;
      case 'typedef':
        this.#emitted[id] = 'started';
        this.#emit(type.type, id);
        if (!this.#forwarded.has(id) && type.name !== BUILT_IN) {
          this.#statement(this.#declare.typedefDefinition(id, type));
        }
        this.#emitted[id] = 'done';
        break;
      case 'struct':
      case 'union':
        this.#emitted[id] = 'started';
        if (top || type.name === '') {
          for (const member of type.members) this.#emit(member.type, type.name === '' ? container : id);
        } else if (!this.#forwarded.has(id) && id !== container) {
          this.#statement(this.#declare.tagged(id, type.kind));
          this.#forwarded.add(id);
        }
        if (top) {
          this.#statement(this.#declare.structDefinition(id, type, 0));
          this.#emitted[id] = 'done';
        } else {
          this.#emitted[id] = 'none';
        }
        break;
      case 'func_proto':
        this.#emit(type.returns, container);
        for (const param of type.params) this.#emit(param.type, container);
        break;
      default:
        break;
    }
  }

  /** A type is used while its definition is being prepared. */
  #emitForward(id: BtfTypeId, type: BtfType, container: BtfTypeId): void {
    if (this.#forwarded.has(id)) return;
    if (type.kind === 'struct' || type.kind === 'union') {
      // Inside its own braces a struct's name is declared already.
      if (id === container || type.name === '') return;
      this.#statement(this.#declare.tagged(id, type.kind));
      this.#forwarded.add(id);
    } else if (type.kind === 'typedef') {
      if (type.name !== BUILT_IN) this.#statement(this.#declare.typedefDefinition(id, type));
      this.#forwarded.add(id);
    }
  }
}

/** Which types another refers to: an anonymous enum that none refers to is a definition of constants. */
function referencedTypes(btf: Btf): Uint8Array {
  const referenced = new Uint8Array(btf.endId);
  for (let id = 1 as BtfTypeId; id < btf.endId; id = (id + 1) as BtfTypeId) {
    const type = btf.type(id);
    switch (type.kind) {
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'ptr':
      case 'typedef':
      case 'func':
      case 'var':
      case 'decl_tag':
      case 'type_tag':
        referenced[type.type] = 1;
        break;
      case 'array':
        referenced[type.type] = 1;
        referenced[type.indexType] = 1;
        break;
      case 'struct':
      case 'union':
        for (const member of type.members) referenced[member.type] = 1;
        break;
      case 'func_proto':
        for (const param of type.params) referenced[param.type] = 1;
        break;
      case 'datasec':
        for (const variable of type.vars) referenced[variable.type] = 1;
        break;
      default:
        break;
    }
  }
  return referenced;
}
