/** Batches by walking keys, as every type has them that doesn't walk its own buckets. */
import { concatBytes } from '../../base/bytes.ts';
import { type BatchRead, type BpfMap, errno, type Status } from './map.ts';

/** What was read, in buffers that grow. */
export class BatchBuffer {
  readonly #keys: Uint8Array[] = [];
  readonly #values: Uint8Array[] = [];

  get count(): number {
    return this.#keys.length;
  }

  push(key: Uint8Array, value: Uint8Array): void {
    this.#keys.push(key);
    this.#values.push(value);
  }

  done(status: Status, cursor?: Uint8Array<ArrayBuffer>): BatchRead {
    const result = {
      status,
      count: this.count,
      keys: concatBytes(this.#keys),
      values: concatBytes(this.#values),
    };
    return cursor ? { ...result, cursor } : result;
  }
}

/** The cursor is the last key that was read; the end of the map is `ENOENT`. */
export function genericBatchRead(map: BpfMap, cursor: Uint8Array | undefined, count: number): BatchRead {
  const batch = new BatchBuffer();
  let last: Uint8Array<ArrayBuffer> | undefined;
  while (batch.count < count) {
    const key = map.nextKey(last ?? cursor);
    if (typeof key === 'number') return batch.done(key, last);
    const value = map.sysLookup(key, 0);
    // An element that went away between the two calls is passed over.
    if (typeof value !== 'number') batch.push(key, value);
    else if (value !== errno('ENOENT')) return batch.done(value, last);
    last = key;
  }
  return batch.done(0, last);
}
