import { InputError } from '../base/error.ts';
import { type Btf, type BtfTypeId, INT_BOOL, INT_SIGNED, resolveType } from '../btf/index.ts';

/** A variable's value: scalars of up to four bytes are numbers, eight-byte ones are bigints, all else is its bytes. */
export type VariableValue = number | bigint | boolean | Uint8Array;

/** A scalar's representation. */
interface Scalar {
  readonly signed: boolean;
  readonly bool: boolean;
}

/** Where a variable stands, and what it is. */
export interface VariablePlace {
  readonly name: string;
  /** The map that holds it (`.rodata`). */
  readonly map: string;
  /** In the map's value, in bytes. */
  readonly offset: number;
  readonly size: number;
  /** 0 when not known. */
  readonly type: BtfTypeId;
}

/** A global variable of an object: its initial value can be read, and set before the object is loaded. */
export class Variable implements VariablePlace {
  readonly name: string;
  readonly map: string;
  readonly offset: number;
  readonly size: number;
  readonly type: BtfTypeId;
  readonly #bytes: Uint8Array;
  readonly #littleEndian: boolean;
  readonly #scalar: Scalar | undefined;

  /** @param data the map's initial value, which {@link set} changes */
  constructor(place: VariablePlace, data: Uint8Array, littleEndian: boolean, btf: Btf | undefined) {
    this.name = place.name;
    this.map = place.map;
    this.offset = place.offset;
    this.size = place.size;
    this.type = place.type;
    this.#bytes = data.subarray(place.offset, place.offset + place.size);
    this.#littleEndian = littleEndian;
    this.#scalar = scalarOf(place, btf);
  }

  /** The initial value. */
  get(): VariableValue {
    if (!this.#scalar) return this.#bytes.slice();
    const raw = this.#read(this.#scalar.signed);
    if (this.#scalar.bool) return raw !== 0n;
    return this.size === 8 ? raw : Number(raw);
  }

  /** The initial value's bytes, copied. */
  bytes(): Uint8Array {
    return this.#bytes.slice();
  }

  /**
   * Sets the initial value. Scalars take numbers, bigints and booleans; everything takes bytes, of which fewer than the
   * variable has leave the rest zero.
   *
   * @throws InputError when the value does not fit
   */
  set(value: VariableValue): void {
    if (value instanceof Uint8Array) {
      if (value.length > this.size) {
        throw this.#refusal(`${value.length} bytes do not fit into its ${this.size}`);
      }
      this.#bytes.fill(0);
      this.#bytes.set(value);
      return;
    }
    if (!this.#scalar && ![1, 2, 4, 8].includes(this.size)) {
      throw this.#refusal(`it is no scalar; pass its ${this.size} bytes`);
    }
    if (typeof value === 'number' && !Number.isInteger(value)) {
      throw this.#refusal(`${value} is not an integer`);
    }
    const integer = BigInt(value);
    const bits = BigInt(this.size * 8);
    if (integer >= 1n << bits || integer < -(1n << (bits - 1n))) {
      throw this.#refusal(`${value} does not fit into ${bits} bits`);
    }
    for (let i = 0; i < this.size; i++) {
      const at = this.#littleEndian ? i : this.size - 1 - i;
      this.#bytes[at] = Number((integer >> BigInt(i * 8)) & 0xffn);
    }
  }

  #read(signed: boolean): bigint {
    let value = 0n;
    for (let i = 0; i < this.size; i++) {
      const at = this.#littleEndian ? this.size - 1 - i : i;
      value = (value << 8n) | BigInt(this.#bytes[at]!);
    }
    return signed ? BigInt.asIntN(this.size * 8, value) : value;
  }

  #refusal(why: string): InputError {
    return new InputError('loader-variable', `setting variable ${this.name} (${this.map}): ${why}`);
  }
}

function scalarOf(place: VariablePlace, btf: Btf | undefined): Scalar | undefined {
  if (place.size !== 1 && place.size !== 2 && place.size !== 4 && place.size !== 8) return undefined;
  if (!btf || place.type === 0) return undefined;
  const type = resolveType(btf, place.type);
  switch (type.kind) {
    case 'int':
      return { signed: (type.encoding & INT_SIGNED) !== 0, bool: (type.encoding & INT_BOOL) !== 0 };
    case 'enum':
    case 'enum64':
      return { signed: type.signed, bool: false };
    case 'ptr':
      return { signed: false, bool: false };
    default:
      return undefined;
  }
}
