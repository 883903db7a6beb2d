/**
 * How a program sees its context: a struct of the UAPI of which each field has its own rules of access, and behind
 * each field the kernel object that it really reads.
 *
 * The tables beside this file declare the structs; a program type takes one as it is or narrows it ({@link ContextStruct.with}).
 * What is not declared here is what an access means for the value read: that is the verifier's.
 */
import { Bug } from '../../base/error.ts';
import type { StructLayout } from '../../base/layout.ts';
import type { Size } from '../../isa/insn.ts';
import type { AttachType } from '../../sys/index.ts';

/** A capability beside those that loading the program type needs anyway. */
export type FieldCapability = 'bpf' | 'perfmon';

/** Which accesses to a field are allowed: naturally aligned, inside the field, `min` to `max` bytes. */
export interface AccessRule {
  readonly min: Size;
  readonly max: Size;
  /** Only at the field's first byte. */
  readonly atStart?: true;
  readonly cap?: FieldCapability;
}

/** What a load of a field yields. Pointers want an access of the whole field. */
export type FieldValue =
  | 'scalar'
  | 'packet'
  | 'packet_end'
  | 'packet_meta'
  | 'flow_keys'
  | 'tp_buffer'
  | 'sock'
  | 'sock_or_null'
  | 'sock_common_or_null'
  /** A trusted pointer to the kernel struct that `btf` names. */
  | 'trusted_ptr';

export interface ContextField {
  readonly name: string;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  readonly size: number;
  readonly value: FieldValue;
  readonly read?: AccessRule;
  readonly write?: AccessRule;
  /** Kernel struct behind a `trusted_ptr`. */
  readonly btf?: string;
  /** The field exists for these expected attach types only. */
  readonly attach?: readonly AttachType[];
  /** Writable for these expected attach types only. */
  readonly writeAttach?: readonly AttachType[];
  /**
   * Where the value is in the kernel object: a member path in C's notation (`dev->ifindex`). `cb<T>.x` is member x
   * of the control block seen as a T, `shinfo.x` a member of the skb's shared info.
   */
  readonly reads?: string;
}

/** One field's facts as they are declared; place and name come from the layout. */
export type FieldFacts = Omit<ContextField, 'name' | 'offset' | 'size' | 'value'> & {
  readonly value?: FieldValue;
};

/** The whole field at once. */
export const u32Exact: AccessRule = { min: 4, max: 4 };
export const u64Exact: AccessRule = { min: 8, max: 8 };
/** Any aligned part. */
export const narrow32: AccessRule = { min: 1, max: 4 };
export const narrow64: AccessRule = { min: 1, max: 8 };
/** The field or its first bytes. */
export const prefix32: AccessRule = { min: 1, max: 4, atStart: true };

/** Accesses outside any field of a struct without fields (register files, argument arrays, tracepoint records). */
export interface OpenRange {
  /** First byte that may be accessed. */
  readonly from: number;
  /** One past the last. */
  readonly to: number;
  readonly read: AccessRule;
  readonly write?: AccessRule;
}

export class ContextStruct {
  /** UAPI name (`__sk_buff`). */
  readonly name: string;
  /** `sizeof`, or the limit of offsets where the struct is open. */
  readonly size: number;
  /** The kernel's struct that it stands for; absent where the context is what it seems. */
  readonly kernelObject: string | undefined;
  readonly fields: readonly ContextField[];
  readonly ranges: readonly OpenRange[];

  constructor(
    name: string,
    size: number,
    kernelObject: string | undefined,
    fields: readonly ContextField[],
    ranges: readonly OpenRange[] = [],
  ) {
    this.name = name;
    this.size = size;
    this.kernelObject = kernelObject;
    this.fields = fields;
    this.ranges = ranges;
  }

  /** The struct as one program type sees it: `hide` removes fields, `only` keeps some, `patch` changes rules. */
  with(change: {
    readonly hide?: readonly string[];
    readonly only?: readonly string[];
    readonly patch?: Readonly<Record<string, Partial<FieldFacts>>>;
    readonly readOnly?: readonly string[];
  }): ContextStruct {
    const { hide = [], only, patch = {}, readOnly = [] } = change;
    const known = new Set(this.fields.map((field) => field.name));
    for (const name of [...hide, ...(only ?? []), ...Object.keys(patch), ...readOnly]) {
      if (!known.has(name)) throw new Bug(`${this.name} has no field ${name}`);
    }
    const fields = this.fields
      .filter((field) => !hide.includes(field.name) && (only?.includes(field.name) ?? true))
      .map((field): ContextField => {
        const { write, ...rest } = field;
        const base = readOnly.includes(field.name) || write === undefined ? rest : field;
        return { ...base, ...patch[field.name] };
      });
    return new ContextStruct(this.name, this.size, this.kernelObject, fields, this.ranges);
  }

  /** The field that contains the byte at `offset`, for messages and for tools; the first where fields overlap. */
  fieldAt(offset: number): ContextField | undefined {
    return this.fields.find((field) => offset >= field.offset && offset < field.offset + field.size);
  }

  /**
   * The place that an access hits, or `undefined` where Linux says "invalid bpf_context access".
   *
   * @param attach expected attach type of the program
   * @param caps capabilities that the program was loaded with
   */
  access(
    kind: 'read' | 'write',
    offset: number,
    size: number,
    attach: AttachType | undefined,
    caps: ReadonlySet<FieldCapability>,
  ): ContextField | OpenRange | undefined {
    if (offset % size !== 0) return undefined;
    for (const field of this.fields) {
      const rule = field[kind];
      if (rule === undefined || !fits(rule, field.offset, field.offset + field.size, offset, size)) continue;
      if (!listed(field.attach, attach)) continue;
      if (kind === 'write' && !listed(field.writeAttach, attach)) continue;
      if (rule.cap !== undefined && !caps.has(rule.cap)) continue;
      return field;
    }
    return this.ranges.find((range) => {
      const rule = range[kind];
      return rule !== undefined && fits(rule, range.from, range.to, offset, size);
    });
  }
}

function listed(list: readonly AttachType[] | undefined, attach: AttachType | undefined): boolean {
  return list === undefined || (attach !== undefined && list.includes(attach));
}

function fits(rule: AccessRule, from: number, to: number, offset: number, size: number): boolean {
  return (
    size >= rule.min &&
    size <= rule.max &&
    offset >= from &&
    offset + size <= to &&
    (rule.atStart !== true || offset === from)
  );
}

/**
 * Declares a context struct. A member without facts can't be accessed at all.
 *
 * @param extra fields that share bytes with members: unions and accepted older widths
 */
export function context<M>(
  name: string,
  layout: StructLayout<M>,
  kernelObject: string | undefined,
  facts: { readonly [K in keyof M]?: FieldFacts },
  extra: readonly ContextField[] = [],
): ContextStruct {
  const fields: ContextField[] = [];
  for (const member of Object.keys(layout.members) as (keyof M & string)[]) {
    const fact = facts[member];
    if (fact === undefined) continue;
    fields.push({ value: 'scalar', ...fact, name: member, ...layout.members[member] });
  }
  return new ContextStruct(name, layout.size, kernelObject, [...fields, ...extra]);
}

/** Declares a context without named fields. */
export function openContext(name: string, ranges: readonly OpenRange[]): ContextStruct {
  return new ContextStruct(name, Math.max(...ranges.map((range) => range.to)), undefined, [], ranges);
}
