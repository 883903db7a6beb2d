/** Checks the records that tie instructions to BTF: which function starts where, which line each one came from. */
import { type Btf, type BtfTypeId, resolveType } from '../../../btf/index.ts';
import type { InfoRecords } from '../program.ts';
import type { RejectCode, Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

/** Bytes of the members that are known. @see include/uapi/linux/bpf.h, struct bpf_func_info, bpf_line_info */
const FUNC_INFO_SIZE = 8;
const LINE_INFO_SIZE = 16;
const MAX_REC_SIZE = 252;

function refuse(code: RejectCode, insn: number, problem: string, reason: string, e2big = false): Verdict {
  return { code, insn, problem, reason, ...(e2big && { errno: 'E2BIG' as const }) };
}

function recordCount({ bytes, recSize }: InfoRecords): number {
  return recSize === 0 ? 0 : Math.floor(bytes.length / recSize);
}

/** A record may be longer than what is known of it only when the rest is zero. */
function hasTail({ bytes, recSize }: InfoRecords, at: number, known: number): boolean {
  for (let i = at + known; i < at + recSize; i++) if (bytes[i] !== 0) return true;
  return false;
}

/** The FUNC that function info gives to a slot. */
export interface FuncRecord {
  readonly insn: number;
  readonly type: BtfTypeId;
}

/** Reads the records of functions, by themselves. */
export function checkFuncRecords(draft: Draft): Verdict {
  const { funcInfo, btf } = draft.input;
  const count = funcInfo ? recordCount(funcInfo) : 0;
  if (!funcInfo || !btf || count === 0) return undefined;
  if (funcInfo.recSize < FUNC_INFO_SIZE || funcInfo.recSize > MAX_REC_SIZE || funcInfo.recSize % 4 !== 0) {
    return refuse(
      'bad-func-info',
      0,
      `invalid func info rec size ${funcInfo.recSize}`,
      `a record has ${FUNC_INFO_SIZE} to ${MAX_REC_SIZE} bytes, a multiple of 4`,
    );
  }
  const view = new DataView(funcInfo.bytes.buffer, funcInfo.bytes.byteOffset, funcInfo.bytes.length);
  const records: FuncRecord[] = [];
  for (let i = 0; i < count; i++) {
    const at = i * funcInfo.recSize;
    if (hasTail(funcInfo, at, FUNC_INFO_SIZE)) {
      return refuse(
        'bad-func-info',
        0,
        'nonzero tailing record in func info',
        `record ${i} has an unknown part`,
        true,
      );
    }
    const insn = view.getUint32(at, true);
    const type = view.getUint32(at + 4, true);
    const before = records.at(-1)?.insn;
    if (before === undefined ? insn !== 0 : insn <= before) {
      return refuse(
        'bad-func-info',
        insn,
        before === undefined
          ? `nonzero insn_off ${insn} for the first func info record`
          : `same or smaller insn offset (${insn}) than previous func info record (${before})`,
        'records are ordered by instruction, from 0 on',
      );
    }
    if (type <= 0 || type >= btf.length || btf.kind(type as BtfTypeId) !== 'func') {
      return refuse('bad-func-info', insn, `invalid type id ${type} in func info`, 'the type must be a FUNC');
    }
    records.push({ insn, type: type as BtfTypeId });
  }
  draft.funcRecords = records;
  return undefined;
}

/** Gives the subprograms their names and types. */
export function checkFuncInfo(draft: Draft): Verdict {
  const { subprograms, funcRecords } = draft;
  const { btf } = draft.input;
  if (btf === undefined || funcRecords.length === 0) return checkWithoutFuncInfo(draft);
  if (funcRecords.length !== subprograms.length) {
    return refuse(
      'bad-func-info',
      0,
      `number of funcs in func_info doesn't match number of subprogs`,
      `there are ${funcRecords.length} records and ${subprograms.length} functions`,
    );
  }
  for (const [i, { insn, type }] of funcRecords.entries()) {
    const sub = subprograms[i]!;
    if (insn !== sub.start) {
      return refuse(
        'bad-func-info',
        insn,
        "func_info BTF section doesn't match subprog layout in BPF program",
        `function ${i} starts at instruction ${sub.start}, and its record says ${insn}`,
      );
    }
    const func = btf.typeOf(type, 'func');
    sub.name = func.name;
    sub.linkage = func.linkage;
    sub.btfFunc = type;
    if (i === 0 || returnsNumber(btf, func.type)) continue;
    const what = sub.hasLdAbs ? 'LD_ABS' : sub.hasTailCall ? 'tail_call' : undefined;
    if (what === undefined) continue;
    const refused = refuse(
      'bad-func-info',
      insn,
      `${what} is only allowed in functions that return 'int'.`,
      `${sub.name}() can be left in its middle (${what}), so its caller must be able to use what it returns`,
    );
    return refused && { ...refused, hint: `declare it as static int ${sub.name}(…)` };
  }
  return undefined;
}

/** Whether the function gives a number that fits a register. */
function returnsNumber(btf: Btf, proto: BtfTypeId): boolean {
  const type = resolveType(btf, btf.typeOf(proto, 'func_proto').returns);
  return (type.kind === 'int' && type.size <= 8) || type.kind === 'enum' || type.kind === 'enum64';
}

function checkWithoutFuncInfo({ subprograms }: Draft): Verdict {
  for (const sub of subprograms.slice(1)) {
    const what = sub.hasLdAbs ? 'LD_ABS' : sub.hasTailCall ? 'tail_call' : undefined;
    if (what === undefined) continue;
    return refuse(
      'bad-func-info',
      sub.start,
      `${what} is not allowed in subprogs without BTF`,
      'the function can be left in its middle, and only BTF says what it returns',
    );
  }
  return undefined;
}

export function checkLineInfo(draft: Draft): Verdict {
  const { lineInfo, btf } = draft.input;
  const count = lineInfo ? recordCount(lineInfo) : 0;
  if (!lineInfo || !btf || count === 0) return undefined;
  const { recSize, bytes } = lineInfo;
  if (recSize < LINE_INFO_SIZE || recSize > MAX_REC_SIZE || recSize % 4 !== 0) {
    return refuse(
      'bad-line-info',
      0,
      '',
      `a record has ${LINE_INFO_SIZE} to ${MAX_REC_SIZE} bytes, a multiple of 4`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let before = -1;
  let sub = 0;
  for (let i = 0; i < count; i++) {
    const at = i * recSize;
    if (hasTail(lineInfo, at, LINE_INFO_SIZE)) {
      return refuse(
        'bad-line-info',
        0,
        'nonzero tailing record in line_info',
        `record ${i} has an unknown part`,
        true,
      );
    }
    const insn = view.getUint32(at, true);
    if (insn <= before || insn >= draft.count) {
      return refuse(
        'bad-line-info',
        Math.min(insn, draft.count - 1),
        `Invalid line_info[${i}].insn_off:${insn} (prev_offset:${Math.max(before, 0)} prog->len:${draft.count})`,
        'records are ordered by instruction and stay inside the program',
      );
    }
    if (draft.slots[insn]!.code === 0) {
      return refuse(
        'bad-line-info',
        insn,
        `Invalid insn code at line_info[${i}].insn_off`,
        'it is the second slot of a 64-bit load',
      );
    }
    const fileOffset = view.getUint32(at + 4, true);
    const textOffset = view.getUint32(at + 8, true);
    if (fileOffset >= btf.strings.end || textOffset >= btf.strings.end) {
      return refuse(
        'bad-line-info',
        insn,
        `Invalid line_info[${i}].line_off or .file_name_off`,
        `the BTF's strings end at ${btf.strings.end}`,
      );
    }
    const place = view.getUint32(at + 12, true);
    draft.lines.set(insn, {
      file: btf.strings.get(fileOffset, 'line info'),
      text: btf.strings.get(textOffset, 'line info').trimStart(),
      line: place >>> 10,
      column: place & 0x3ff,
    });
    before = insn;
    const next = draft.subprograms[sub];
    if (next === undefined) continue;
    if (insn === next.start) sub++;
    else if (insn > next.start) return missing(`func#${sub}`, next.start);
  }
  const left = draft.subprograms[sub];
  return left && missing(`${draft.subprograms.length - sub} funcs starting from func#${sub}`, left.start);
}

function missing(what: string, start: number): Verdict {
  return refuse(
    'bad-line-info',
    start,
    `missing bpf_line_info for ${what}`,
    'each function needs a record for its first instruction',
  );
}
