/** User space's ends of ring buffers, perf buffers and user ring buffers, on either kernel. */
export {
  type KeptRecord,
  type MapRef,
  openPerfBuffer,
  openPerfRecorder,
  openRingBuffer,
  type PerfBufferOptions,
  type PerfRecorder,
} from './open.ts';
export { type BatchOptions, type ReadOptions, RecordReader } from './reader.ts';
export { BufferRecord } from './record.ts';
export { openUserRing, type Reservation, type ReserveOptions, type UserRingWriter } from './user-ring.ts';
