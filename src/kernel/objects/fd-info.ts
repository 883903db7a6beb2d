/** What `/proc/self/fdinfo` shows of an object: `name:<tab>value` by line. @see kernel/bpf/syscall.c, the show_fdinfo functions */
import { mapTypeId } from '../../sys/map-types.ts';
import { progTypeId } from '../../sys/prog-types.ts';
import { type BpfMap, ProgArrayMap } from '../maps/index.ts';
import type { KernelObject } from './object.ts';
import { Program } from './program.ts';

const PAGE = 4096;

/** Bytes that Linux would charge for it, as near as its layout tells. */
function mapBytes(map: BpfMap, cpus: number): number {
  const { type, keySize, valueSize, maxEntries } = map.shape;
  const value = (valueSize + 7) & ~7;
  const perCpu = type.includes('percpu') ? value * cpus : value;
  if (type === 'ringbuf' || type === 'user_ringbuf') return maxEntries + 3 * PAGE;
  const key = type.includes('array') ? 0 : ((keySize + 7) & ~7) + 48;
  return 320 - 8 + maxEntries * (key + perCpu) + (maxEntries === 0 ? 8 : 0);
}

/** A program's instructions take whole pages. */
function programBytes(program: Program): number {
  return Math.ceil((program.verified.input.insns.length + 80) / PAGE) * PAGE;
}

/** @param cpus that a per-CPU value has a slot for */
export function fdInfo(object: KernelObject, cpus: number): string {
  const fields: (readonly [string, string | number | bigint])[] = [];
  if (object instanceof Program) {
    const { facts, stats, verified } = object;
    fields.push(
      ['prog_type', progTypeId(facts.type)],
      ['prog_jited', 1],
      ['prog_tag', Array.from(facts.tag, (byte) => byte.toString(16).padStart(2, '0')).join('')],
      ['memlock', programBytes(object)],
      ['prog_id', object.id],
      ['run_time_ns', stats.nanoseconds],
      ['run_cnt', stats.runs],
      ['recursion_misses', stats.recursionMisses],
      ['verified_insns', verified.processed],
    );
  } else if (object.kind === 'map') {
    const map = object as BpfMap;
    const { shape } = map;
    fields.push(
      ['map_type', mapTypeId(shape.type)],
      ['key_size', shape.keySize],
      ['value_size', shape.valueSize],
      ['max_entries', shape.maxEntries],
      ['map_flags', `0x${shape.flags.toString(16)}`],
      ['map_extra', `0x${shape.extra.toString(16)}`],
      ['memlock', mapBytes(map, cpus)],
      ['map_id', map.id],
      ['frozen', map.frozen ? 1 : 0],
    );
    if (map instanceof ProgArrayMap && map.ownerType !== undefined) {
      fields.push(['owner_prog_type', progTypeId(map.ownerType)], ['owner_jited', 1]);
    }
  } else {
    fields.push([`${object.kind}_id`, object.id]);
  }
  return fields.map(([name, value]) => `${name}:\t${value}\n`).join('');
}
