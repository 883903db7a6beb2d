import type { Bpf, MapBatchAttr, MapBatchResult, MapBatchWriteAttr } from '../../sys/kernel.ts';
import { type BpfMap, errno } from '../maps/index.ts';
import { type Call, fail, mapFailure, openFile } from './failure.ts';
import { checkLock, demand, lockFlag, type MapFile } from './map-elem.ts';
import type { KernelState } from './state.ts';

type BatchCommands = Pick<
  Bpf,
  'map_lookup_batch' | 'map_lookup_and_delete_batch' | 'map_update_batch' | 'map_delete_batch'
>;

const EMPTY: MapBatchResult = { count: 0, keys: new Uint8Array(0), values: new Uint8Array(0) };
/** A hash map's position is four bytes however short its keys are. */
const POSITION_BYTES = 4;

export function batchCommands(state: KernelState): BatchCommands {
  function read(
    command: 'map_lookup_batch' | 'map_lookup_and_delete_batch',
    attr: MapBatchAttr,
  ): MapBatchResult {
    const remove = command === 'map_lookup_and_delete_batch';
    const verb = remove ? 'taking a batch of' : 'looking up a batch of';
    const call: Call = { command, doing: `${verb} ${attr.count} in map fd ${attr.map_fd}` };
    const file = openFile(state, call, 'map', attr.map_fd);
    const map = file.object;
    demand(call, file, remove ? { read: true, write: true } : { read: true });
    if (!(remove ? map.batches.lookupAndDelete : map.batches.lookup)) throw unsupported(call, map);
    const flags = lockFlag(call, map, attr.elem_flags ?? 0n);
    if (attr.flags) throw fail(call, 'EINVAL', 'a batch takes no flags of its own');
    if (attr.count === 0) return EMPTY;
    const position = Math.max(map.shape.keySize, POSITION_BYTES);
    if (attr.in_batch && attr.in_batch.length < Math.min(position, POSITION_BYTES)) {
      throw fail(
        call,
        'EINVAL',
        `in_batch has ${attr.in_batch.length} bytes, but a position has ${position}`,
      );
    }
    const { status, cursor, ...rest } = map.batchRead(attr.in_batch, attr.count, remove, flags);
    if (status === errno('ENOENT')) return rest;
    if (status !== 0) throw mapFailure(call, map, status, 'batch');
    if (!cursor) return rest;
    const padded = new Uint8Array(Math.max(position, cursor.length));
    padded.set(cursor);
    return { ...rest, out_batch: padded };
  }

  function write(
    command: 'map_update_batch' | 'map_delete_batch',
    attr: MapBatchWriteAttr & { readonly values?: Uint8Array },
  ): number {
    const verb = command === 'map_update_batch' ? 'updating' : 'deleting';
    const call: Call = { command, doing: `${verb} a batch of ${attr.count} keys of map fd ${attr.map_fd}` };
    const file: MapFile = openFile(state, call, 'map', attr.map_fd);
    const map = file.object;
    demand(call, file, { write: true });
    if (!(command === 'map_update_batch' ? map.batches.update : map.batches.delete)) {
      throw unsupported(call, map);
    }
    const flags = checkElemFlags(call, map, attr);
    const { keySize } = map.shape;
    const valueSize = map.sysValueSize;
    checkRun(call, 'keys', attr.keys, attr.count * keySize);
    if (attr.values) checkRun(call, 'values', attr.values, attr.count * valueSize);
    for (let i = 0; i < attr.count; i++) {
      const key = attr.keys.subarray(i * keySize, (i + 1) * keySize);
      const status = attr.values
        ? map.sysUpdate(key, attr.values.subarray(i * valueSize, (i + 1) * valueSize), flags)
        : map.sysDelete(key);
      if (status !== 0) {
        const access = attr.values ? 'update' : 'delete';
        throw mapFailure({ ...call, doing: `${call.doing}, ${i} done` }, map, status, access);
      }
    }
    return attr.count;
  }

  return {
    map_lookup_batch: (attr) => read('map_lookup_batch', attr),
    map_lookup_and_delete_batch: (attr) => read('map_lookup_and_delete_batch', attr),
    map_update_batch: (attr) => write('map_update_batch', attr),
    map_delete_batch: (attr) => write('map_delete_batch', attr),
  };
}

function unsupported(call: Call, map: BpfMap): Error {
  return fail(call, 'ENOTSUPP', `maps of type ${map.shape.type} have no such batches`);
}

/** A batch's `elem_flags`: those of each update; none but `BPF_F_LOCK`, as Linux has it. */
function checkElemFlags(call: Call, map: BpfMap, attr: MapBatchWriteAttr): number {
  const flags = attr.elem_flags ?? 0n;
  lockFlag(call, map, flags);
  checkLock(call, map, flags);
  if (attr.flags) throw fail(call, 'EINVAL', 'a batch takes no flags of its own');
  return Number(flags);
}

function checkRun(call: Call, what: string, given: Uint8Array, needed: number): void {
  if (given.length >= needed) return;
  throw fail(call, 'EINVAL', `the ${what} have ${given.length} bytes where the batch needs ${needed}`);
}
