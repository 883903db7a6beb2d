/** Helpers over maps, ring buffers, dynptrs, timers and local storage. */
import {
  ALLOC_SIZE,
  ANY,
  type Arg,
  BTF_SOCK,
  btfOrNull,
  FUNC,
  KEY,
  MAP,
  type Prototypes,
  READ_MEM,
  SIZE_OR_ZERO,
  STACK_OR_NULL,
  TIMER,
  UNINIT_MEM,
  UNINIT_VALUE,
  VALUE,
  VALUE_OR_NULL,
} from './prototypes-arg.ts';

const SPIN_LOCK = { kind: 'spin_lock' } as const satisfies Arg;
const READ_DYNPTR = { kind: 'dynptr', access: 'read' } as const satisfies Arg;
const SAMPLE = { kind: 'ringbuf_mem', release: true } as const satisfies Arg;
const SAMPLE_DYNPTR = { kind: 'dynptr', dynptr: 'ringbuf', release: true } as const satisfies Arg;

const storageGet = (struct: string) =>
  ({ args: [MAP, btfOrNull(struct), VALUE_OR_NULL, ANY], ret: 'map_value_or_null' }) as const;
const storageDelete = (struct: string) => ({ args: [MAP, btfOrNull(struct)], ret: 'integer' }) as const;

export const MAP_PROTOTYPES = {
  map_lookup_elem: { args: [MAP, KEY], ret: 'map_value_or_null', packetAccess: true },
  map_update_elem: { args: [MAP, KEY, VALUE, ANY], ret: 'integer', packetAccess: true },
  map_delete_elem: { args: [MAP, KEY], ret: 'integer', packetAccess: true },
  map_push_elem: { args: [MAP, VALUE, ANY], ret: 'integer', packetAccess: true },
  map_pop_elem: { args: [MAP, UNINIT_VALUE], ret: 'integer' },
  map_peek_elem: { args: [MAP, UNINIT_VALUE], ret: 'integer' },
  map_lookup_percpu_elem: { args: [MAP, KEY, ANY], ret: 'map_value_or_null', packetAccess: true },
  for_each_map_elem: { args: [MAP, FUNC, STACK_OR_NULL, ANY], ret: 'integer' },
  spin_lock: { args: [SPIN_LOCK], ret: 'void' },
  spin_unlock: { args: [SPIN_LOCK], ret: 'void' },
  kptr_xchg: {
    args: [{ kind: 'kptr_xchg_dest' }, { kind: 'btf_id', nullable: true, release: true }],
    ret: 'btf_id_or_null',
    acquires: true,
  },
  get_local_storage: { args: [MAP, ANY], ret: 'map_value' },
  sk_storage_get: { args: [MAP, BTF_SOCK, VALUE_OR_NULL, ANY], ret: 'map_value_or_null' },
  sk_storage_delete: { args: [MAP, BTF_SOCK], ret: 'integer' },
  inode_storage_get: storageGet('inode'),
  inode_storage_delete: storageDelete('inode'),
  task_storage_get: storageGet('task_struct'),
  task_storage_delete: storageDelete('task_struct'),
  cgrp_storage_get: storageGet('cgroup'),
  cgrp_storage_delete: storageDelete('cgroup'),
  timer_init: { args: [TIMER, MAP, ANY], ret: 'integer', gplOnly: true },
  timer_set_callback: { args: [TIMER, FUNC], ret: 'integer', gplOnly: true },
  timer_start: { args: [TIMER, ANY, ANY], ret: 'integer', gplOnly: true },
  timer_cancel: { args: [TIMER], ret: 'integer', gplOnly: true },
  ringbuf_output: { args: [MAP, READ_MEM, SIZE_OR_ZERO, ANY], ret: 'integer' },
  ringbuf_reserve: { args: [MAP, ALLOC_SIZE, ANY], ret: 'ringbuf_mem_or_null', acquires: true },
  ringbuf_submit: { args: [SAMPLE, ANY], ret: 'void' },
  ringbuf_discard: { args: [SAMPLE, ANY], ret: 'void' },
  ringbuf_query: { args: [MAP, ANY], ret: 'integer' },
  user_ringbuf_drain: { args: [MAP, FUNC, STACK_OR_NULL, ANY], ret: 'integer' },
  dynptr_from_mem: {
    args: [UNINIT_MEM, SIZE_OR_ZERO, ANY, { kind: 'dynptr', dynptr: 'local', access: 'uninit' }],
    ret: 'integer',
  },
  ringbuf_reserve_dynptr: {
    args: [MAP, ANY, ANY, { kind: 'dynptr', dynptr: 'ringbuf', access: 'uninit' }],
    ret: 'integer',
  },
  ringbuf_submit_dynptr: { args: [SAMPLE_DYNPTR, ANY], ret: 'void' },
  ringbuf_discard_dynptr: { args: [SAMPLE_DYNPTR, ANY], ret: 'void' },
  dynptr_read: { args: [UNINIT_MEM, SIZE_OR_ZERO, READ_DYNPTR, ANY, ANY], ret: 'integer' },
  dynptr_write: { args: [READ_DYNPTR, ANY, READ_MEM, SIZE_OR_ZERO, ANY], ret: 'integer' },
  dynptr_data: { args: [READ_DYNPTR, ANY, ALLOC_SIZE], ret: 'dynptr_mem_or_null' },
} as const satisfies Prototypes;
