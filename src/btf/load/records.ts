/** What Linux demands of each record by itself, in its order. @see kernel/bpf/btf.c, btf_check_meta and behind it */
import { BTF_KIND_BY_ID, BTF_KINDS, INT_BOOL, INT_CHAR, INT_SIGNED } from '../kinds.ts';
import { type BtfLog, memberPlace } from './log.ts';
import { type BtfRefusal, refusal } from './refusal.ts';
import { type BtfSource, type RawType, RECORD } from './source.ts';

const MAX_TYPE = 0xf_ffff;
/** Bits of the info word that mean something. */
const INFO_MASK = 0x9f00_ffff;
const INT_MASK = 0x0fff_ffff;
const MAX_BITS = 128;

/** What a kind says of one record. @returns what is wrong, as the type's own line says it */
type Check = (place: Place, type: RawType) => BtfRefusal | undefined;

interface Place {
  readonly source: BtfSource;
  readonly log: BtfLog;
}

/** Finds the records of the type section, one behind the other. */
export function checkRecords(source: BtfSource, log: BtfLog): BtfRefusal | undefined {
  const { length, types } = source.header;
  const end = length + types.offset + types.size;
  let at = length + types.offset;
  while (at < end) {
    const id = source.endId;
    if (id > MAX_TYPE) {
      log.write('Exceeded max num of types');
      return { ...refusal('Exceeded max num of types'), errno: 'E2BIG' };
    }
    const problem = frameProblem(source, at, end - at, id);
    if (problem !== undefined) {
      log.write(`[${id}] ${problem}`);
      return refusal(problem, id);
    }
    const type = source.recordAt(at, id);
    const needed = needs(type);
    const left = end - at - RECORD;
    if (left < needed) {
      const short = `meta_left:${left} meta_needed:${needed}`;
      log.basic(type, short);
      return refusal(short, id);
    }
    const found = CHECKS[type.kind as keyof typeof CHECKS]({ source, log }, type);
    if (found) return found;
    source.starts.push(at);
    at += RECORD + needed;
  }
  return undefined;
}

/** What is wrong with a record before its kind has its say. */
function frameProblem(source: BtfSource, at: number, left: number, id: number): string | undefined {
  if (left < RECORD) return `meta_left:${left} meta_needed:${RECORD}`;
  const info = source.u32(at + 4);
  if (info & ~INFO_MASK) return `Invalid btf_info:${info.toString(16)}`;
  const { kind, name } = source.recordAt(at, id);
  const number = (info >>> 24) & 0x1f;
  if (kind === 'void' || number >= BTF_KIND_BY_ID.length) return `Invalid kind:${number}`;
  return source.isNameOffset(name) ? undefined : `Invalid name_offset:${name}`;
}

/** Bytes that the kind adds to the record. */
function needs({ kind, vlen }: RawType): number {
  if (kind === 'void') return 0;
  const { fixed, element } = BTF_KINDS[kind];
  return 4 * (fixed + element * vlen);
}

/** Says what is wrong on the type's line; that it is fine, too. */
function judge({ log }: Place, type: RawType, problem: string | undefined): BtfRefusal | undefined {
  log.type(type, problem);
  return problem === undefined ? undefined : refusal(problem, type.id);
}

const FLAG = 'Invalid btf_info kind_flag';

const checkInt: Check = (place, type) => {
  const { source, log } = place;
  if (type.vlen !== 0) return judge(place, type, 'vlen != 0');
  if (type.flag) return judge(place, type, FLAG);
  const data = source.extra(type, 0);
  if (data & ~INT_MASK) {
    const problem = `Invalid int_data:${data.toString(16)}`;
    log.basic(type, problem);
    return refusal(problem, type.id);
  }
  const bits = (data & 0xff) + ((data >>> 16) & 0xff);
  if (bits > MAX_BITS) return judge(place, type, `nr_bits exceeds ${MAX_BITS}`);
  if (Math.ceil(bits / 8) > type.third) return judge(place, type, 'nr_bits exceeds type_size');
  const encoding = (data >>> 24) & 0xf;
  if (encoding !== 0 && encoding !== INT_SIGNED && encoding !== INT_CHAR && encoding !== INT_BOOL) {
    log.type(type, 'Unsupported encoding');
    return { ...refusal('Unsupported encoding', type.id), errno: 'ENOTSUPP' };
  }
  return judge(place, type, undefined);
};

/** Kinds that are about one other type. */
const checkReference: Check = (place, type) => {
  const { source } = place;
  const nameIsWrong = (): boolean => {
    if (type.kind === 'typedef') return type.name === 0 || !source.isIdentifier(type.name);
    if (type.kind === 'type_tag') return !source.string(type.name)?.length;
    return type.name !== 0;
  };
  const problem =
    type.vlen !== 0
      ? 'vlen != 0'
      : type.flag && type.kind !== 'type_tag'
        ? FLAG
        : type.third > MAX_TYPE
          ? 'Invalid type_id'
          : nameIsWrong()
            ? 'Invalid name'
            : undefined;
  return judge(place, type, problem);
};

const checkForward: Check = (place, type) => {
  const named = type.name !== 0 && place.source.isIdentifier(type.name);
  const problem =
    type.vlen !== 0 ? 'vlen != 0' : type.third !== 0 ? 'type != 0' : named ? undefined : 'Invalid name';
  return judge(place, type, problem);
};

const checkArray: Check = (place, type) => {
  const { source } = place;
  const isWrong = (id: number): boolean => id === 0 || id > MAX_TYPE;
  const problem =
    type.name !== 0
      ? 'Invalid name'
      : type.vlen !== 0
        ? 'vlen != 0'
        : type.flag
          ? FLAG
          : type.third !== 0
            ? 'size != 0'
            : isWrong(source.extra(type, 0))
              ? 'Invalid elem'
              : isWrong(source.extra(type, 1))
                ? 'Invalid index'
                : undefined;
  return judge(place, type, problem);
};

const checkComposite: Check = (place, type) => {
  const { source, log } = place;
  const unnamed = type.name === 0 || source.isIdentifier(type.name);
  const wrong = judge(place, type, unnamed ? undefined : 'Invalid name');
  if (wrong) return wrong;
  let last = 0;
  for (let i = 0; i < type.vlen; i++) {
    const problem = memberProblem(source, type, i, last);
    log.member(type, i, problem);
    if (problem !== undefined) return refusal(problem, type.id, i);
    last = memberPlace(source, type, i).bits;
  }
  return undefined;
};

function memberProblem(source: BtfSource, type: RawType, i: number, last: number): string | undefined {
  const name = source.extra(type, 3 * i);
  if (!source.isNameOffset(name)) return `Invalid member name_offset:${name}`;
  if (name !== 0 && !source.isIdentifier(name)) return 'Invalid name';
  const id = source.extra(type, 3 * i + 1);
  if (id === 0 || id > MAX_TYPE) return 'Invalid type_id';
  const { bits } = memberPlace(source, type, i);
  if ((type.kind === 'union' && bits !== 0) || last > bits) return 'Invalid member bits_offset';
  return Math.ceil(bits / 8) > type.third ? 'Member bits_offset exceeds its struct size' : undefined;
}

const checkEnum: Check = (place, type) => {
  const { source, log } = place;
  const sized = type.third <= 8 && [1, 2, 4, 8].includes(type.third);
  const named = type.name === 0 || source.isIdentifier(type.name);
  const wrong = judge(place, type, sized ? (named ? undefined : 'Invalid name') : 'Unexpected size');
  if (wrong) return wrong;
  const stride = type.kind === 'enum' ? 2 : 3;
  for (let i = 0; i < type.vlen; i++) {
    const name = source.extra(type, stride * i);
    if (!source.isNameOffset(name)) {
      const problem = `Invalid name_offset:${name}`;
      log.write(`\t${problem}`);
      return refusal(problem, type.id, i);
    }
    if (name === 0 || !source.isIdentifier(name)) {
      log.type(type, 'Invalid name');
      return refusal('Invalid name', type.id, i);
    }
    log.write(`\t${source.shown(name)} val=${enumerator(source, type, i)}\n`);
  }
  return undefined;
};

function enumerator(source: BtfSource, type: RawType, i: number): string {
  if (type.kind === 'enum') {
    const value = source.extra(type, 2 * i + 1);
    return `${type.flag ? value | 0 : value}`;
  }
  const value = (BigInt(source.extra(type, 3 * i + 2)) << 32n) | BigInt(source.extra(type, 3 * i + 1));
  return `${type.flag ? BigInt.asIntN(64, value) : value}`;
}

const checkPrototype: Check = (place, type) =>
  judge(place, type, type.name !== 0 ? 'Invalid name' : type.flag ? FLAG : undefined);

const checkFunction: Check = (place, type) => {
  const named = type.name !== 0 && place.source.isIdentifier(type.name);
  const linkage = type.vlen > 1 ? 'Invalid func linkage' : undefined;
  return judge(place, type, named ? (linkage ?? (type.flag ? FLAG : undefined)) : 'Invalid name');
};

const checkVariable: Check = (place, type) => {
  const { source } = place;
  const problem =
    type.vlen !== 0
      ? 'vlen != 0'
      : type.flag
        ? FLAG
        : type.name === 0 || !source.isIdentifier(type.name)
          ? 'Invalid name'
          : type.third === 0 || type.third > MAX_TYPE
            ? 'Invalid type_id'
            : source.extra(type, 0) > 1
              ? 'Linkage not supported'
              : undefined;
  return judge(place, type, problem);
};

const checkSection: Check = (place, type) => {
  const { source, log } = place;
  const named = type.name !== 0 && source.isSectionName(type.name);
  const problem = type.third === 0 ? 'size == 0' : type.flag ? FLAG : named ? undefined : 'Invalid name';
  const wrong = judge(place, type, problem);
  if (wrong) return wrong;
  let last = 0;
  let sum = 0;
  for (let i = 0; i < type.vlen; i++) {
    const [id, offset, size] = [0, 1, 2].map((word) => source.extra(type, 3 * i + word)) as [
      number,
      number,
      number,
    ];
    // The end is a sum of 32 bits.
    const end = (offset + size) >>> 0;
    const bad =
      id === 0 || id > MAX_TYPE
        ? 'Invalid type_id'
        : offset < last || offset >= type.third
          ? 'Invalid offset'
          : size === 0 || size > type.third
            ? 'Invalid size'
            : end > type.third
              ? 'Invalid offset+size'
              : undefined;
    log.variable(type, i, bad);
    if (bad !== undefined) return refusal(bad, type.id, i);
    last = end;
    sum += size;
  }
  if (type.third >= sum) return undefined;
  log.type(type, 'Invalid btf_info size');
  return refusal('Invalid btf_info size', type.id);
};

const checkFloat: Check = (place, type) => {
  const sized = [2, 4, 8, 12, 16].includes(type.third);
  const problem = type.vlen !== 0 ? 'vlen != 0' : type.flag ? FLAG : sized ? undefined : 'Invalid type_size';
  return judge(place, type, problem);
};

const checkDeclTag: Check = (place, type) => {
  const problem = !place.source.string(type.name)?.length
    ? 'Invalid value'
    : type.vlen !== 0
      ? 'vlen != 0'
      : (place.source.extra(type, 0) | 0) < -1
        ? 'Invalid component_idx'
        : undefined;
  return judge(place, type, problem);
};

const CHECKS = {
  int: checkInt,
  ptr: checkReference,
  array: checkArray,
  struct: checkComposite,
  union: checkComposite,
  enum: checkEnum,
  fwd: checkForward,
  typedef: checkReference,
  volatile: checkReference,
  const: checkReference,
  restrict: checkReference,
  func: checkFunction,
  func_proto: checkPrototype,
  var: checkVariable,
  datasec: checkSection,
  float: checkFloat,
  decl_tag: checkDeclTag,
  type_tag: checkReference,
  enum64: checkEnum,
} as const satisfies Record<keyof typeof BTF_KINDS, Check>;
