/**
 * What Linux demands of BTF beyond what reading it checks: names, reserved fields, which kind may refer to which, members
 * inside their struct. A BTF that passes is one that BTF_LOAD accepts, but for what fields like `bpf_spin_lock` ask of the
 * structs that have them.
 * @see kernel/bpf/btf.c of Linux for the rules, Documentation/bpf/btf.rst for the format
 */
import type { Btf } from './btf.ts';
import { checkSource } from './load/check.ts';
import { BtfLog } from './load/log.ts';
import type { BtfRefusal } from './load/refusal.ts';
import { BtfSource } from './load/source.ts';
import type { BtfTypeId } from './type.ts';

/** Why Linux would not load a BTF. */
export interface BtfRejection {
  readonly errno: BtfRefusal['errno'];
  /** The type; absent if it is the header. */
  readonly id?: BtfTypeId;
  /** The member, parameter, enumerator or variable, counted from 0. */
  readonly component?: number;
  /** Linux's words (`Invalid name`). */
  readonly problem: string;
}

/** The first reason, in Linux's order, why BTF_LOAD would reject this BTF. */
export function validateBtf(btf: Btf): BtfRejection | undefined {
  const source = new BtfSource(btf.bytes, btf.littleEndian, btf.base && BtfSource.of(btf.base));
  const refused = checkSource(source, new BtfLog(source, false));
  return (
    refused &&
    ({ ...refused, ...(refused.id !== undefined && { id: refused.id as BtfTypeId }) } as BtfRejection)
  );
}
