/**
 * The 19 kinds of BTF types: number, Linux's label, the first Linux version that loads them, and the shape of the
 * record behind the common three words (name offset, info, size or type).
 * @see Documentation/bpf/btf.rst §2.2, include/uapi/linux/btf.h
 */
export interface BtfKindFact {
  readonly id: number;
  /** As `bpftool btf dump` prints it. */
  readonly label: string;
  readonly since: string;
  /** What the third word is. */
  readonly third: 'size' | 'type' | 'none';
  /** Words that follow the common three, once. */
  readonly fixed: number;
  /** Words per element; the element count is `vlen`. */
  readonly element: number;
}

export const BTF_KINDS = {
  int: { id: 1, label: 'INT', since: '4.18', third: 'size', fixed: 1, element: 0 },
  ptr: { id: 2, label: 'PTR', since: '4.18', third: 'type', fixed: 0, element: 0 },
  array: { id: 3, label: 'ARRAY', since: '4.18', third: 'none', fixed: 3, element: 0 },
  struct: { id: 4, label: 'STRUCT', since: '4.18', third: 'size', fixed: 0, element: 3 },
  union: { id: 5, label: 'UNION', since: '4.18', third: 'size', fixed: 0, element: 3 },
  enum: { id: 6, label: 'ENUM', since: '4.18', third: 'size', fixed: 0, element: 2 },
  fwd: { id: 7, label: 'FWD', since: '4.18', third: 'none', fixed: 0, element: 0 },
  typedef: { id: 8, label: 'TYPEDEF', since: '4.18', third: 'type', fixed: 0, element: 0 },
  volatile: { id: 9, label: 'VOLATILE', since: '4.18', third: 'type', fixed: 0, element: 0 },
  const: { id: 10, label: 'CONST', since: '4.18', third: 'type', fixed: 0, element: 0 },
  restrict: { id: 11, label: 'RESTRICT', since: '4.18', third: 'type', fixed: 0, element: 0 },
  func: { id: 12, label: 'FUNC', since: '5.0', third: 'type', fixed: 0, element: 0 },
  func_proto: { id: 13, label: 'FUNC_PROTO', since: '5.0', third: 'type', fixed: 0, element: 2 },
  var: { id: 14, label: 'VAR', since: '5.2', third: 'type', fixed: 1, element: 0 },
  datasec: { id: 15, label: 'DATASEC', since: '5.2', third: 'size', fixed: 0, element: 3 },
  float: { id: 16, label: 'FLOAT', since: '5.13', third: 'size', fixed: 0, element: 0 },
  decl_tag: { id: 17, label: 'DECL_TAG', since: '5.16', third: 'type', fixed: 1, element: 0 },
  type_tag: { id: 18, label: 'TYPE_TAG', since: '5.17', third: 'type', fixed: 0, element: 0 },
  enum64: { id: 19, label: 'ENUM64', since: '6.0', third: 'size', fixed: 0, element: 3 },
} as const satisfies Record<string, BtfKindFact>;

/** A kind of BTF type by its lower-case name. `void` is type 0, which no record declares. */
export type BtfKind = keyof typeof BTF_KINDS;

/** Kinds in order of their number; index 0 is `void`. */
export const BTF_KIND_BY_ID: readonly (BtfKind | 'void')[] = [
  'void',
  ...(Object.keys(BTF_KINDS) as BtfKind[]),
];

/** Encoding bits of an INT. */
export const INT_SIGNED = 1;
export const INT_CHAR = 2;
export const INT_BOOL = 4;

/** Linkage of a FUNC or VAR; the index is the number in the record. */
export const BTF_LINKAGES = ['static', 'global', 'extern'] as const;
export type BtfLinkage = (typeof BTF_LINKAGES)[number];

/** First two bytes of `.BTF` and `.BTF.ext`, in the byte order of everything that follows. */
export const BTF_MAGIC = 0xeb9f;
