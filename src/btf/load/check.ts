/**
 * What Linux demands of a BTF that is loaded, check by check in its order and in its words: header, sections, strings,
 * every record by itself, then what the records refer to, then how long chains of modifiers are.
 *
 * Not checked: what fields like `bpf_spin_lock` ask of the structs that have them.
 *
 * @see kernel/bpf/btf.c of Linux, btf_parse; Documentation/bpf/btf.rst for the format
 */
import { BTF_MAGIC } from '../kinds.ts';
import { BtfLog } from './log.ts';
import { checkRecords } from './records.ts';
import { References } from './references.ts';
import { type BtfRefusal, refusal } from './refusal.ts';
import { BtfSource, HEADER } from './source.ts';

const VERSION = 1;
const MAX_NAME_OFFSET = 0xff_ffff;
const MAX_CHAIN = 32;

/** What the check came to: why it is refused, if it is, and what Linux writes. */
export interface BtfLoadCheck {
  readonly refused: BtfRefusal | undefined;
  /** Empty where none was wanted and nothing was refused. */
  readonly log: string;
}

/**
 * Checks a BTF as Linux does.
 * @param options `littleEndian`: the kernel's byte order; `log`: write one even where nothing is refused
 */
export function checkBtfLoad(
  bytes: Uint8Array,
  { littleEndian = true, log = false }: { readonly littleEndian?: boolean; readonly log?: boolean } = {},
): BtfLoadCheck {
  const first = checkOnce(new BtfSource(bytes, littleEndian), log);
  // A refusal without its log would be asked for again.
  return first.refused && !log ? checkOnce(new BtfSource(bytes, littleEndian), true) : first;
}

function checkOnce(source: BtfSource, wanted: boolean): BtfLoadCheck {
  const log = new BtfLog(source, wanted);
  return { refused: checkSource(source, log), log: log.text };
}

/** Checks a BTF whose records are not known yet. */
export function checkSource(source: BtfSource, log: BtfLog): BtfRefusal | undefined {
  return (
    headerProblem(source, log) ??
    sectionsProblem(source, log) ??
    stringsProblem(source, log) ??
    typesProblem(source, log) ??
    checkRecords(source, log) ??
    new References(source, log).check() ??
    chainProblem(source, log)
  );
}

function say(log: BtfLog, problem: string, errno: BtfRefusal['errno'] = 'EINVAL'): BtfRefusal {
  log.write(problem);
  return { ...refusal(problem), errno };
}

function headerProblem(source: BtfSource, log: BtfLog): BtfRefusal | undefined {
  const { bytes, header } = source;
  if (bytes.length < 8) return say(log, 'hdr_len not found');
  if (bytes.length < header.length) return say(log, 'btf_header not found');
  if (header.length > HEADER && bytes.subarray(HEADER, header.length).some((byte) => byte !== 0)) {
    return say(log, 'Unsupported btf_header', 'E2BIG');
  }
  log.header();
  if (header.magic !== BTF_MAGIC) return say(log, 'Invalid magic');
  if (header.version !== VERSION) return say(log, 'Unsupported version', 'ENOTSUPP');
  if (header.flags !== 0) return say(log, 'Unsupported flags', 'ENOTSUPP');
  return !source.base && bytes.length === header.length ? say(log, 'No data') : undefined;
}

/** Types and strings follow each other without a gap and fill the rest. */
function sectionsProblem(source: BtfSource, log: BtfLog): BtfRefusal | undefined {
  const { types, strings, length } = source.header;
  const all = source.bytes.length - length;
  let total = 0;
  // Linux compares by the sign of a 32-bit difference.
  const sections = [types, strings].toSorted((a, b) => (a.offset - b.offset) | 0 || (a.size - b.size) | 0);
  for (const { offset, size } of sections) {
    if (all < offset) return say(log, 'Invalid section offset');
    if (total < offset) return say(log, 'Unsupported section found');
    if (total > offset) return say(log, 'Section overlap found');
    if (all - total < size) return say(log, 'Total section length too long');
    total += size;
  }
  return total === all ? undefined : say(log, 'Unsupported section found');
}

function stringsProblem(source: BtfSource, log: BtfLog): BtfRefusal | undefined {
  const { bytes, base } = source;
  const { strings, length } = source.header;
  const start = length + strings.offset;
  const end = start + strings.size;
  if (end !== bytes.length) return say(log, 'String section is not at the end');
  if (base && strings.size === 0) return undefined;
  if (strings.size === 0 || strings.size - 1 > MAX_NAME_OFFSET || bytes[end - 1] !== 0) {
    return say(log, 'Invalid string section');
  }
  return !base && bytes[start] !== 0 ? say(log, 'Invalid string section') : undefined;
}

function typesProblem({ header, base }: BtfSource, log: BtfLog): BtfRefusal | undefined {
  if (header.types.offset % 4 !== 0) return say(log, 'Unaligned type_off');
  return !base && header.types.size === 0 ? say(log, 'No type found') : undefined;
}

const MODIFIERS: ReadonlySet<string> = new Set(['typedef', 'volatile', 'const', 'restrict', 'type_tag']);

/** Chains of modifiers end, and not too late, and type tags stand first in them. */
function chainProblem(source: BtfSource, log: BtfLog): BtfRefusal | undefined {
  let good = source.firstId - 1;
  for (let id = source.firstId; id < source.endId; id++) {
    let type = source.type(id);
    if (!type || !MODIFIERS.has(type.kind)) continue;
    let tags = type.kind === 'type_tag';
    let left = MAX_CHAIN;
    let at = id;
    while (type && MODIFIERS.has(type.kind)) {
      if (left-- === 0) return { ...say(log, 'Max chain length or cycle detected', 'ELOOP'), id };
      if (type.kind !== 'type_tag') tags = false;
      else if (!tags) return { ...say(log, "Type tags don't precede modifiers"), id };
      // What was looked at before is known to be right.
      if (at <= good) break;
      at = type.third;
      type = source.type(at);
    }
    good = id;
  }
  return undefined;
}
