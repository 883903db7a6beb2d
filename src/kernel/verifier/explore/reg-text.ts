/** Registers as the log's states show them. */
import { formatRanges, formatSigned, formatUnsigned } from '../value/print.ts';
import type { Frame } from './frame.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  DYNPTR_TYPE_FILE,
  DYNPTR_TYPE_LOCAL,
  DYNPTR_TYPE_RINGBUF,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_SKB_META,
  DYNPTR_TYPE_XDP,
  NON_OWN_REF,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  regTypeName,
  SCALAR,
} from './reg-type.ts';

export const DYNPTR_NAMES: Readonly<Record<number, string>> = {
  [DYNPTR_TYPE_LOCAL]: 'local',
  [DYNPTR_TYPE_RINGBUF]: 'ringbuf',
  [DYNPTR_TYPE_SKB]: 'skb',
  [DYNPTR_TYPE_XDP]: 'xdp',
  [DYNPTR_TYPE_SKB_META]: 'skb_meta',
  [DYNPTR_TYPE_FILE]: 'file',
};

/** The iterator's type, without what all of them begin with. */
export function iterName(reg: RegState): string {
  const type = reg.iter?.btf.type(reg.iter.btfId);
  return (type !== undefined && 'name' in type ? String(type.name) : '?').replace(/^bpf_iter_/, '');
}

/** A register's value as a state shows it. */
export function regText(frame: Frame, reg: RegState, precise: boolean): string {
  const { type, scalar } = reg;
  const mark = type === SCALAR && precise ? 'P' : '';
  if (type === SCALAR && scalar.isConst) return mark + formatSigned(scalar.valueHi, scalar.valueLo);
  let text = mark + regTypeName(type);
  if (type === PTR_TO_ARENA) return text;
  if (type === PTR_TO_STACK) {
    if (frame.frameno !== reg.frameno) text += `[${reg.frameno}]`;
    if (scalar.isConst) {
      const off = scalar.constNumber() + reg.off;
      return text + formatSigned(Math.floor(off / 0x100000000), off | 0);
    }
  }
  const base = baseType(type);
  if (base === PTR_TO_BTF_ID) text += structName(reg);
  const parts: string[] = [];
  if (reg.id !== 0) {
    const sign = reg.off >= 0 ? '+' : '';
    parts.push(`id=${reg.id}${reg.linkedAdd !== 0 ? `${sign}${reg.off}` : ''}`);
  }
  if (reg.refObjId !== 0) parts.push(`ref_obj_id=${reg.refObjId}`);
  if ((type & NON_OWN_REF) !== 0) parts.push('non_own_ref');
  if (base === CONST_PTR_TO_MAP || base === PTR_TO_MAP_KEY || base === PTR_TO_MAP_VALUE) {
    if (reg.map?.name) parts.push(`map=${reg.map.name}`);
    parts.push(`ks=${reg.map?.keySize ?? 0},vs=${reg.map?.valueSize ?? 0}`);
  }
  if (type !== SCALAR && reg.off !== 0) parts.push(`off=${formatSigned(reg.off >> 31, reg.off)}`);
  if (type === PTR_TO_PACKET || type === PTR_TO_PACKET_META) {
    parts.push(`r=${formatUnsigned(reg.range >> 31, reg.range)}`);
  }
  if (base === PTR_TO_MEM) parts.push(`sz=${formatUnsigned(0, reg.memSize)}`);
  if (base === CONST_PTR_TO_DYNPTR) parts.push(`type=${DYNPTR_NAMES[reg.dynptr?.type ?? 0]}`);
  if (scalar.isConst) {
    if ((scalar.valueHi | scalar.valueLo) !== 0)
      parts.push(`imm=${formatSigned(scalar.valueHi, scalar.valueLo)}`);
  } else {
    const ranges = formatRanges(scalar);
    if (ranges !== '') parts.push(ranges);
  }
  return `${text}(${parts.join(',')})`;
}

function structName(reg: RegState): string {
  const type = reg.btf?.type(reg.btfId);
  return type !== undefined && 'name' in type ? String(type.name) : '';
}
