import type { Brand } from '../base/brand.ts';
import type { BtfLinkage } from './kinds.ts';

/** Number of a type in a BTF; 0 is `void`. In a split BTF the base's types come first. */
export type BtfTypeId = Brand<number, 'BtfTypeId'>;

/** Type 0. */
export const VOID = 0 as BtfTypeId;

/** A member of a struct or union. */
export interface BtfMember {
  /** Empty for an anonymous struct or union, and for padding. */
  readonly name: string;
  readonly type: BtfTypeId;
  /** Bits from the start of the struct. */
  readonly bitOffset: number;
  /** Width in bits of a bitfield; 0 for a member that is none (or whose width its INT type tells, see {@link BtfInt}). */
  readonly bitSize: number;
}

export interface BtfParam {
  /** Empty for a parameter without a name; an empty name with type 0 at the end is `...`. */
  readonly name: string;
  readonly type: BtfTypeId;
}

/** A variable's place in a section. */
export interface BtfVarInfo {
  /** A VAR, or the FUNC of an extern function. */
  readonly type: BtfTypeId;
  readonly offset: number;
  readonly size: number;
}

export interface BtfVoid {
  readonly kind: 'void';
}
export interface BtfInt {
  readonly kind: 'int';
  readonly name: string;
  /** Bytes of storage. */
  readonly size: number;
  /** `INT_SIGNED`, `INT_CHAR`, `INT_BOOL`. */
  readonly encoding: number;
  /** Bits of the value; fewer than `size * 8` in the bitfields of old compilers. */
  readonly bits: number;
  /** Bits from the storage's start to the value; not 0 only in the bitfields of old compilers. */
  readonly bitOffset: number;
}
export interface BtfPtr {
  readonly kind: 'ptr';
  readonly type: BtfTypeId;
}
export interface BtfArray {
  readonly kind: 'array';
  readonly type: BtfTypeId;
  readonly indexType: BtfTypeId;
  readonly length: number;
}
export interface BtfComposite {
  readonly kind: 'struct' | 'union';
  /** Empty if anonymous. */
  readonly name: string;
  readonly size: number;
  readonly members: readonly BtfMember[];
  /** Members carry bitfield sizes (`kind_flag`). */
  readonly bitfields: boolean;
}
export interface BtfEnum {
  readonly kind: 'enum';
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}
export interface BtfEnum64 {
  readonly kind: 'enum64';
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}
export interface BtfFwd {
  readonly kind: 'fwd';
  readonly name: string;
  readonly of: 'struct' | 'union';
}
export interface BtfTypedef {
  readonly kind: 'typedef';
  readonly name: string;
  readonly type: BtfTypeId;
}
export interface BtfQualifier {
  readonly kind: 'volatile' | 'const' | 'restrict';
  readonly type: BtfTypeId;
}
export interface BtfFunc {
  readonly kind: 'func';
  readonly name: string;
  /** A FUNC_PROTO. */
  readonly type: BtfTypeId;
  readonly linkage: BtfLinkage;
}
export interface BtfFuncProto {
  readonly kind: 'func_proto';
  readonly returns: BtfTypeId;
  readonly params: readonly BtfParam[];
}
export interface BtfVar {
  readonly kind: 'var';
  readonly name: string;
  readonly type: BtfTypeId;
  readonly linkage: BtfLinkage;
}
export interface BtfDatasec {
  readonly kind: 'datasec';
  readonly name: string;
  /** 0 in an object file that was not linked: its loader fills it in from the section. */
  readonly size: number;
  readonly vars: readonly BtfVarInfo[];
}
export interface BtfFloat {
  readonly kind: 'float';
  readonly name: string;
  readonly size: number;
}
export interface BtfDeclTag {
  readonly kind: 'decl_tag';
  readonly name: string;
  readonly type: BtfTypeId;
  /** The member or parameter that is tagged; -1 for the type itself. */
  readonly component: number;
  /** The tag is an attribute in C (`kind_flag`). */
  readonly attribute: boolean;
}
export interface BtfTypeTag {
  readonly kind: 'type_tag';
  readonly name: string;
  readonly type: BtfTypeId;
  /** The tag is an attribute in C (`kind_flag`). */
  readonly attribute: boolean;
}

/** A type that a BTF declares. References are ids; strings are resolved. */
export type BtfDeclaredType =
  | BtfInt
  | BtfPtr
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfFwd
  | BtfTypedef
  | BtfQualifier
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag
  | BtfTypeTag
  | BtfEnum64;

/** Any type that an id can name, `void` included. */
export type BtfType = BtfVoid | BtfDeclaredType;

/** The type with a given kind. */
export type BtfTypeOf<K extends BtfType['kind']> = OfKind<BtfType, K>;

type OfKind<T extends BtfType, K> = T extends BtfType ? (K extends T['kind'] ? T : never) : never;
