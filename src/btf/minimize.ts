/**
 * The part of a kernel's BTF that objects are relocated by: what a kernel without BTF needs beside them, in a few kilobytes.
 * Of a struct only the members that are used are kept, at their places.
 * @see https://docs.ebpf.io/concepts/btf/ (BTFHub, `bpftool gen min_core_btf`)
 */
import { InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import { CoreRelocator } from './core.ts';
import type { CoreSpec } from './core-spec.ts';
import { BtfBuilder } from './encode.ts';
import type { CoreRelo } from './ext.ts';
import { withReferences } from './references.ts';
import { skipQualifiers } from './size.ts';
import type { BtfDeclaredType, BtfType, BtfTypeId } from './type.ts';

/** An object's types and its relocations. */
export interface RelocatedObject {
  readonly btf: Btf;
  readonly relos: readonly CoreRelo[];
}

/** What is kept, collected object by object. */
export class BtfMinimizer {
  readonly #target: Btf;
  readonly #types = new Set<BtfTypeId>();
  /** Members that are kept, by struct. */
  readonly #members = new Map<BtfTypeId, Set<number>>();
  /** Types of which the members too were followed. */
  readonly #matched = new Set<BtfTypeId>();

  /** @param target the kernel's BTF */
  constructor(target: Btf) {
    this.#target = target;
  }

  /** Keeps what an object's relocations need. What the kernel lacks is passed over: it is missing in the result too. */
  add({ btf, relos }: RelocatedObject): void {
    const relocator = new CoreRelocator(btf, this.#target);
    for (const relo of relos) {
      const result = relocator.relocate(relo);
      if (!result.ok) throw new InputError('btf-core', result.problem);
      if (result.targetSpec) this.#keep(result.targetSpec);
    }
  }

  #keep(spec: CoreSpec): void {
    const { kind, root } = spec;
    if (kind === 'type_matches') this.#keepMatch(root, false);
    else if (kind.startsWith('type_') || kind.endsWith('type_id')) this.#keepType(root, true);
    else if (kind.startsWith('enum')) this.#keepType(root, false);
    else this.#keepField(spec);
  }

  #member(struct: BtfTypeId, index: number): void {
    const known = this.#members.get(struct);
    if (known) known.add(index);
    else this.#members.set(struct, new Set([index]));
  }

  /** A field's way from the root: the members that it goes through. */
  #keepField({ root, raw }: CoreSpec): void {
    const target = this.#target;
    this.#keepType(root, false);
    let id = root;
    for (const index of raw.slice(1)) {
      id = bare(target, id);
      const type = target.type(id);
      if (type.kind === 'struct' || type.kind === 'union') {
        this.#member(id, index);
        id = type.members[index]!.type;
        this.#keepType(id, false);
      } else if (type.kind === 'array') id = type.type;
      else throw new InputError('btf-core', `${target.name}: ${target.describe(id)} has no members`);
    }
  }

  /** A type with what its size and kind depend on; structs without their members. */
  #keepType(id: BtfTypeId, throughPointers: boolean): void {
    if (id === 0 || (this.#types.has(id) && !throughPointers)) return;
    const seen = this.#types.has(id);
    this.#types.add(id);
    const type = this.#target.type(id);
    if (type.kind === 'ptr' && !throughPointers) return;
    if (seen && type.kind === 'func_proto') return;
    if (type.kind === 'struct' || type.kind === 'union') return;
    for (const other of referred(type)) this.#keepType(other, throughPointers);
  }

  /** A type with all its members, as far as no pointer is between. */
  #keepMatch(id: BtfTypeId, behindPointer: boolean): void {
    if (id === 0 || this.#matched.has(id)) return;
    this.#types.add(id);
    const type = this.#target.type(id);
    const composite = type.kind === 'struct' || type.kind === 'union';
    if (composite && behindPointer) return;
    this.#matched.add(id);
    if (composite) {
      for (const [index, { type: member }] of type.members.entries()) {
        this.#member(id, index);
        this.#keepMatch(member, false);
      }
      return;
    }
    const behind = type.kind === 'ptr' || (behindPointer && isModifier(type));
    for (const other of referred(type)) this.#keepMatch(other, behind);
  }

  /** The kept types, written as BTF. */
  encode(): Uint8Array {
    const target = this.#target;
    const kept = [...target.ids()].filter((id) => this.#types.has(id));
    const ids = new Map<BtfTypeId, BtfTypeId>(kept.map((id, i) => [id, (i + 1) as BtfTypeId]));
    const builder = new BtfBuilder({ littleEndian: target.littleEndian });
    for (const id of kept) {
      const type = target.type(id) as BtfDeclaredType;
      const members = this.#members.get(id);
      const own =
        type.kind === 'struct' || type.kind === 'union'
          ? { ...type, members: type.members.filter((_, index) => members?.has(index)) }
          : type;
      // What was not kept is behind a pointer, and no relocation looks there.
      builder.add(withReferences(own, (other) => ids.get(other) ?? (0 as BtfTypeId)));
    }
    return builder.encode();
  }
}

function bare(btf: Btf, id: BtfTypeId): BtfTypeId {
  let at = skipQualifiers(btf, id);
  for (let type = btf.type(at); type.kind === 'typedef'; type = btf.type(at))
    at = skipQualifiers(btf, type.type);
  return at;
}

function isModifier({ kind }: BtfType): boolean {
  return (
    kind === 'const' || kind === 'volatile' || kind === 'restrict' || kind === 'typedef' || kind === 'fwd'
  );
}

/** The types that a type is made of, members of structs apart. */
function referred(type: BtfType): BtfTypeId[] {
  switch (type.kind) {
    case 'array':
      return [type.type, type.indexType];
    case 'func_proto':
      return [type.returns, ...type.params.map((param) => param.type)];
    default:
      return 'type' in type ? [type.type] : [];
  }
}
