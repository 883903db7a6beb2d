/**
 * CO-RE ("compile once, run everywhere"): answers the relocation records of an object against the types of the kernel
 * that it will run on. The rules are libbpf's, so the answers are. What it does not do is patch instructions.
 * @see https://docs.ebpf.io/concepts/core/
 */
import { Bug, InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import { kindsCompatible, matchSpec } from './core-match.ts';
import { CORE_RELO_SUBJECT, type CoreSpec, formatCoreSpec, parseCoreSpec } from './core-spec.ts';
import type { CoreRelo } from './ext.ts';
import { INT_SIGNED } from './kinds.ts';
import { essentialName } from './name-index.ts';
import { resolve, resolveType, trySizeOf } from './size.ts';
import type { BtfMember, BtfType, BtfTypeId } from './type.ts';

/** The size and type of what an instruction loads or stores, so that its width can follow the target's. */
export interface CoreAccess {
  readonly size: number;
  readonly type: BtfTypeId;
}

/** The answer to one record. */
export interface CoreAnswer {
  readonly ok: true;
  readonly relo: CoreRelo;
  /** What belongs into the instruction. Of no meaning if poisoned. */
  readonly value: bigint;
  /** What the compiler put there, by the object's own types. */
  readonly original: bigint;
  /**
   * The target lacks what the instruction needs, and so the instruction may only stand where it is not reached: it is to
   * be replaced by one that the verifier rejects.
   */
  readonly poison: boolean;
  /** The instruction must hold `original` before it is patched; otherwise compiler and linker may have changed it. */
  readonly validate: boolean;
  /** For byte offsets of non-bitfields: the local and the target access. */
  readonly localAccess?: CoreAccess;
  readonly targetAccess?: CoreAccess;
  /** Local and target sizes differ in a way (signed, not an integer) that a load or store can't be adjusted to. */
  readonly sizeMismatch: boolean;
  /** The local access, as libbpf writes it. */
  readonly local: string;
  /** The target's, if one matched. */
  readonly target?: string;
  /** The BTF that it matched in. */
  readonly targetBtf?: Btf;
  readonly targetSpec?: CoreSpec;
}

/** A record that can't be answered. */
export interface CoreFailure {
  readonly ok: false;
  readonly relo: CoreRelo;
  /** One sentence. */
  readonly problem: string;
}

export type CoreResult = CoreAnswer | CoreFailure;

interface Candidate {
  readonly btf: Btf;
  readonly id: BtfTypeId;
}

/** One side's value of a relocation. */
type Value =
  | {
      readonly kind: 'value';
      readonly value: bigint;
      readonly validate: boolean;
      readonly access?: CoreAccess;
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'error'; readonly problem: string };

/** Answers the records of one object against one kernel. It remembers the candidates of each type. */
export class CoreRelocator {
  readonly local: Btf;
  readonly target: Btf;
  readonly modules: readonly Btf[];
  readonly #candidates = new Map<BtfTypeId, readonly Candidate[]>();

  /**
   * @param local the object's BTF
   * @param target the kernel's BTF
   * @param modules BTFs of kernel modules, split on `target`; searched for types that the kernel itself lacks
   */
  constructor(local: Btf, target: Btf, modules: readonly Btf[] = []) {
    this.local = local;
    this.target = target;
    this.modules = modules;
  }

  relocate(relo: CoreRelo): CoreResult {
    let spec: CoreSpec;
    try {
      spec = parseCoreSpec(this.local, relo);
    } catch (error) {
      if (error instanceof InputError) return { ok: false, relo, problem: error.message };
      throw error;
    }
    const local = formatCoreSpec(spec);
    const fail = (problem: string): CoreFailure => ({
      ok: false,
      relo,
      problem: `CO-RE relocation ${local}: ${problem}`,
    });
    if (relo.kind === 'local_type_id') {
      const value = BigInt(relo.type);
      return {
        ok: true,
        relo,
        value,
        original: value,
        poison: false,
        validate: false,
        sizeMismatch: false,
        local,
      };
    }
    const name = this.local.nameOf(relo.type);
    if (relo.type === 0 || name === '') return fail('a type without a name can not be looked for');
    const original = sideValue(relo, spec);
    if (original.kind === 'error') return fail(original.problem);
    if (original.kind === 'missing') throw new Bug(`CO-RE: no local value for ${local}`);

    const candidates = this.#candidatesOf(relo.type, name);
    const matched: Candidate[] = [];
    let chosen: { spec: CoreSpec; value: Value } | undefined;
    for (const candidate of candidates) {
      const found = matchSpec(spec, candidate.btf, candidate.id);
      if (!found) continue;
      const value = sideValue(relo, found);
      if (value.kind === 'error') return fail(value.problem);
      matched.push(candidate);
      if (!chosen) {
        chosen = { spec: found, value };
        continue;
      }
      const both = `${formatCoreSpec(chosen.spec)} and ${formatCoreSpec(found)}`;
      if (found.bitOffset !== chosen.spec.bitOffset) {
        return fail(
          `the target is ambiguous: ${both} are at different offsets ` +
            `(bit ${chosen.spec.bitOffset} and bit ${found.bitOffset})`,
        );
      }
      if (valueText(value) !== valueText(chosen.value)) {
        return fail(
          `the target is ambiguous: ${both} give ${valueText(chosen.value)} and ${valueText(value)}`,
        );
      }
    }
    // Once a record has told the candidates apart, later records of the same type are held to those that matched.
    if (matched.length > 0) this.#candidates.set(relo.type, matched);

    const value = chosen?.value ?? sideValue(relo, undefined);
    if (value.kind === 'error') return fail(value.problem);
    return {
      ok: true,
      relo,
      value: value.kind === 'value' ? value.value : 0n,
      original: original.value,
      poison: value.kind === 'missing',
      validate: original.validate,
      sizeMismatch: this.#sizesMismatch(original, value, chosen?.spec.btf),
      local,
      ...(original.access ? { localAccess: original.access } : {}),
      ...(value.kind === 'value' && value.access ? { targetAccess: value.access } : {}),
      ...(chosen
        ? { target: formatCoreSpec(chosen.spec), targetBtf: chosen.spec.btf, targetSpec: chosen.spec }
        : {}),
    };
  }

  /** Types of the target whose name without flavor and whose kind are those of a local type. */
  #candidatesOf(id: BtfTypeId, name: string): readonly Candidate[] {
    const known = this.#candidates.get(id);
    if (known) return known;
    const wanted = essentialName(name);
    const kind = this.local.kind(id);
    const own = (btf: Btf): Candidate[] =>
      btf
        .nameIndex('essential')
        .find(wanted)
        .filter((found) => kindsCompatible(btf.kind(found), kind))
        .map((found) => ({ btf, id: found }));
    let candidates: Candidate[] = [];
    for (let btf: Btf | undefined = this.target; btf; btf = btf.base)
      candidates = [...own(btf), ...candidates];
    if (candidates.length === 0) candidates = this.modules.flatMap(own);
    this.#candidates.set(id, candidates);
    return candidates;
  }

  #sizesMismatch(original: Value, value: Value, target: Btf | undefined): boolean {
    if (original.kind !== 'value' || value.kind !== 'value' || !target) return false;
    if ((original.access?.size ?? 0) === (value.access?.size ?? 0)) return false;
    const from = original.access && this.local.type(original.access.type);
    const to = value.access && target.type(value.access.type);
    if (from?.kind === 'ptr' && to?.kind === 'ptr') return false;
    return !(
      from?.kind === 'int' &&
      to?.kind === 'int' &&
      from.encoding !== INT_SIGNED &&
      to.encoding !== INT_SIGNED
    );
  }
}

/** Answers one record; for many records of one object make one {@link CoreRelocator}. */
export function relocateValue(local: Btf, target: Btf, relo: CoreRelo): CoreResult {
  return new CoreRelocator(local, target).relocate(relo);
}

function valueText(value: Value): string {
  return value.kind === 'value' ? String(value.value) : value.kind;
}

/** The value of a relocation on the side that `spec` is of; without one, the value where nothing matched. */
function sideValue(relo: CoreRelo, spec: CoreSpec | undefined): Value {
  switch (CORE_RELO_SUBJECT[relo.kind]) {
    case 'type':
      return typeValue(relo, spec);
    case 'enumerator':
      return enumeratorValue(relo, spec);
    case 'field':
      return fieldValue(relo, spec);
  }
}

function exact(value: number | bigint, validate = true): Value {
  return { kind: 'value', value: BigInt(value), validate };
}

function typeValue(relo: CoreRelo, spec: CoreSpec | undefined): Value {
  if (!spec) return exact(0);
  switch (relo.kind) {
    // Static linking renumbers types without touching instructions.
    case 'target_type_id':
      return exact(spec.root, false);
    case 'type_size': {
      const size = trySizeOf(spec.btf, spec.root);
      return size === undefined ? noSize(spec) : exact(size);
    }
    default:
      return exact(1);
  }
}

function noSize(spec: CoreSpec): Value {
  return { kind: 'error', problem: `${formatCoreSpec(spec)} in ${spec.btf.name} has no size` };
}

function enumeratorValue(relo: CoreRelo, spec: CoreSpec | undefined): Value {
  if (relo.kind === 'enumval_exists') return exact(spec ? 1 : 0);
  if (!spec) return { kind: 'missing' };
  const step = spec.steps[0]!;
  const type = spec.btf.type(step.type);
  if (type.kind === 'enum') return exact(BigInt.asUintN(64, BigInt(type.values[step.index]!.value | 0)));
  if (type.kind === 'enum64') return exact(BigInt.asUintN(64, type.values[step.index]!.value));
  throw new Bug(`CO-RE: ${formatCoreSpec(spec)} is not an enumerator`);
}

function fieldValue(relo: CoreRelo, spec: CoreSpec | undefined): Value {
  if (relo.kind === 'field_exists') return exact(spec ? 1 : 0);
  if (!spec) return { kind: 'missing' };
  const step = spec.steps[spec.steps.length - 1]!;
  if (step.name === undefined) return elementValue(relo, spec, step.type);
  const owner = spec.btf.type(step.type);
  if (owner.kind !== 'struct' && owner.kind !== 'union') {
    throw new Bug(`CO-RE: ${formatCoreSpec(spec)} is not a member`);
  }
  return memberValue(relo, spec, owner.members[step.index]!);
}

/** A struct, or an array's element, as a whole: it has an offset and a size, but no signedness and no shifts. */
function elementValue(relo: CoreRelo, spec: CoreSpec, type: BtfTypeId): Value {
  const size = trySizeOf(spec.btf, type);
  if (size === undefined) return noSize(spec);
  if (relo.kind === 'byte_off') {
    return {
      kind: 'value',
      value: BigInt(Math.floor(spec.bitOffset / 8)),
      validate: true,
      access: { size, type },
    };
  }
  if (relo.kind === 'byte_sz') return exact(size);
  return { kind: 'error', problem: `${relo.kind} can't be asked of an array element` };
}

function memberValue(relo: CoreRelo, spec: CoreSpec, member: BtfMember): Value {
  const { btf, bitOffset } = spec;
  const type = resolve(btf, member.type);
  const storage = trySizeOf(btf, type);
  if (storage === undefined) return noSize(spec);
  const bitfield = member.bitSize > 0;
  const bitSize = bitfield ? member.bitSize : storage * 8;
  const place = bitfield
    ? bitfieldPlace(bitOffset, bitSize, storage)
    : { offset: Math.floor(bitOffset / 8), size: storage };
  if (!place)
    return { kind: 'error', problem: `bitfield ${formatCoreSpec(spec)} can't be read with one load` };
  const fromByte = bitOffset - place.offset * 8;
  switch (relo.kind) {
    case 'byte_off': {
      if (bitfield) return exact(place.offset, false);
      const access = accessOf(btf, type);
      return {
        kind: 'value',
        value: BigInt(place.offset),
        validate: true,
        ...(access ? { access } : {}),
      };
    }
    case 'byte_sz':
      return exact(place.size, !bitfield);
    case 'signed':
      return exact(isSigned(resolveType(btf, type)) ? 1 : 0);
    case 'lshift_u64': {
      const shift = btf.littleEndian ? 64 - (fromByte + bitSize) : (8 - place.size) * 8 + fromByte;
      return exact(BigInt.asUintN(64, BigInt(shift)), !bitfield);
    }
    case 'rshift_u64':
      return exact(BigInt.asUintN(64, BigInt(64 - bitSize)));
    default:
      throw new Bug(`CO-RE: ${relo.kind} is not about a field`);
  }
}

/** An instruction loads one element of an array, however many the member has. */
function accessOf(btf: Btf, id: BtfTypeId): CoreAccess | undefined {
  let at = resolve(btf, id);
  for (let type = btf.type(at); type.kind === 'array'; type = btf.type(at)) at = resolve(btf, type.type);
  const size = trySizeOf(btf, at);
  return size === undefined ? undefined : { size, type: at };
}

/** The smallest aligned load, of at least the storage's size and at most 8 bytes, that has the whole bitfield in it. */
function bitfieldPlace(
  bitOffset: number,
  bitSize: number,
  storage: number,
): { readonly offset: number; readonly size: number } | undefined {
  for (let size = storage; size > 0 && size <= 8; size *= 2) {
    const offset = Math.floor(bitOffset / 8 / size) * size;
    if (bitOffset + bitSize - offset * 8 <= size * 8) return { offset, size };
  }
  return undefined;
}

function isSigned(type: BtfType): boolean {
  switch (type.kind) {
    case 'enum':
    case 'enum64':
      return type.signed;
    case 'int':
      return (type.encoding & INT_SIGNED) !== 0;
    default:
      return false;
  }
}
