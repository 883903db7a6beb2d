/**
 * What the kernel does in WebAssembly over its one memory: maps, and helpers that programs call often. Compiled twice: for a
 * memory that one thread has to itself, and for one that threads share.
 *
 * Exported functions are imported by compiled programs and called by the kernel's JavaScript. Addresses and sizes are
 * `u32`; what programs give is proven by the verifier and not checked again. There is no runtime and no data of its own:
 * everything is in blocks that the kernel allocates.
 */
export { any_delete, any_lookup, any_update } from './any';
export { array_lookup, array_lookup_inner, array_put, array_update } from './array';
export { bloom_peek, bloom_push } from './bloom';
export { csum_diff } from './checksum';
export { hash_add } from './free-list';
export {
  hash_after,
  hash_bucket,
  hash_delete,
  hash_find,
  hash_first_from,
  hash_following,
  hash_give,
  hash_lock,
  hash_lookup,
  hash_lookup_inner,
  hash_lookup_percpu,
  hash_lookup4,
  hash_lookup8,
  hash_lookup16,
  hash_put,
  hash_put_percpu,
  hash_unlink,
  hash_unlock,
  hash_update,
  hash_update_percpu,
} from './hash';
export { clock_coarse_ns, clock_jiffies, clock_ns, prandom } from './inputs';
export { jhash } from './jhash';
export { spin_lock, spin_unlock } from './lock';
export {
  lpm_add,
  lpm_delete,
  lpm_index,
  lpm_lookup,
  lpm_lookup4,
  lpm_next,
  lpm_put,
  lpm_update,
} from './lpm';
export { lru_begin } from './lru';
export {
  lru_delete,
  lru_give,
  lru_lookup,
  lru_lookup_percpu,
  lru_lookup4,
  lru_lookup8,
  lru_lookup16,
  lru_put,
  lru_put_percpu,
  lru_update,
  lru_update_percpu,
} from './lru-hash';
export { queue_peek, queue_pop, queue_push, queue_put } from './queue';
export {
  ring_consume,
  ring_discard,
  ring_next,
  ring_output,
  ring_query,
  ring_reserve,
  ring_submit,
} from './ringbuf';
