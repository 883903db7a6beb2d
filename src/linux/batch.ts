import {
  type Bpf,
  errnoId,
  type MapBatchAttr,
  type MapBatchResult,
  type MapBatchWriteAttr,
} from '../sys/index.ts';
import { ATTR } from './attr.ts';
import type { Caller } from './call.ts';
import { failure } from './failure.ts';
import { wrongSize } from './map.ts';

type BatchCommands = Pick<
  Bpf,
  'map_lookup_batch' | 'map_lookup_and_delete_batch' | 'map_update_batch' | 'map_delete_batch'
>;

const ENOENT = errnoId('ENOENT');
const COUNT = ATTR.map_lookup_batch.members.count.offset;
/** A hash map's position is four bytes however short its keys are. */
const POSITION_BYTES = 4;

/** The commands on many keys of one map. */
export function batchCommands(caller: Caller): BatchCommands {
  const { scratch } = caller;

  function read(
    command: 'map_lookup_batch' | 'map_lookup_and_delete_batch',
    attr: MapBatchAttr,
  ): MapBatchResult {
    const shape = caller.map(attr.map_fd);
    const valueBytes = caller.valueBytes(shape, attr.elem_flags);
    const positionBytes = Math.max(shape.keySize, POSITION_BYTES);
    if (attr.in_batch !== undefined && attr.in_batch.length < positionBytes) {
      throw wrongSize('batch position', attr.map_fd, attr.in_batch.length, positionBytes);
    }
    scratch.reset();
    const position = scratch.reserve(positionBytes);
    const keys = scratch.reserve(attr.count * shape.keySize);
    const values = scratch.reserve(attr.count * valueBytes);
    const result = caller.try(command, {
      in_batch: scratch.put(attr.in_batch),
      out_batch: position.address,
      keys: keys.address,
      values: values.address,
      count: attr.count,
      map_fd: attr.map_fd,
      elem_flags: attr.elem_flags ?? 0n,
      flags: attr.flags ?? 0n,
    });
    if (result < 0 && result !== -ENOENT) throw failure(command, attr, -result);
    const count = scratch.view.getUint32(COUNT, true);
    return {
      ...(result < 0 ? {} : { out_batch: position.bytes.slice() }),
      count,
      keys: keys.bytes.slice(0, count * shape.keySize),
      values: values.bytes.slice(0, count * valueBytes),
    };
  }

  function write(
    command: 'map_update_batch' | 'map_delete_batch',
    attr: MapBatchWriteAttr & { readonly values?: Uint8Array },
  ): number {
    const shape = caller.map(attr.map_fd);
    const keyBytes = attr.count * shape.keySize;
    if (attr.keys.length < keyBytes) throw wrongSize('run of keys', attr.map_fd, attr.keys.length, keyBytes);
    const valueBytes = attr.count * caller.valueBytes(shape, attr.elem_flags);
    if (attr.values !== undefined && attr.values.length < valueBytes) {
      throw wrongSize('run of values', attr.map_fd, attr.values.length, valueBytes);
    }
    scratch.reset();
    const result = caller.try(command, {
      keys: scratch.put(attr.keys),
      values: scratch.put(attr.values),
      count: attr.count,
      map_fd: attr.map_fd,
      elem_flags: attr.elem_flags ?? 0n,
      flags: attr.flags ?? 0n,
    });
    const count = scratch.view.getUint32(COUNT, true);
    if (result < 0) {
      const done = count < attr.count ? `, ${count} done` : '';
      if (command === 'map_delete_batch') throw failure(command, attr, -result, '', done);
      throw failure(
        'map_update_batch',
        { ...attr, values: attr.values ?? new Uint8Array(0) },
        -result,
        '',
        done,
      );
    }
    return count;
  }

  return {
    map_lookup_batch: (attr) => read('map_lookup_batch', attr),
    map_lookup_and_delete_batch: (attr) => read('map_lookup_and_delete_batch', attr),
    map_update_batch: (attr) => write('map_update_batch', attr),
    map_delete_batch: (attr) => write('map_delete_batch', attr),
  };
}
