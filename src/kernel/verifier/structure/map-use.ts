/** Whether a program of a type may use a map at all. @see kernel/bpf/verifier.c, check_map_prog_compatibility */
import { PROG_LOAD_FLAGS } from '../../../sys/flags.ts';
import type { MapType, ProgType } from '../../../sys/tables.ts';
import type { MapFacts } from '../environment.ts';
import { hasField } from '../explore/record.ts';
import type { RejectCode, Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

/** Programs that may run anywhere, also where a lock is held. */
const TRACING: ReadonlySet<ProgType> = new Set<ProgType>([
  'kprobe',
  'tracepoint',
  'perf_event',
  'raw_tracepoint',
  'raw_tracepoint_writable',
]);

/** Maps whose elements stay while a program sleeps. */
const SLEEPABLE: ReadonlySet<MapType> = new Set<MapType>([
  'hash',
  'lru_hash',
  'array',
  'percpu_hash',
  'percpu_array',
  'lru_percpu_hash',
  'array_of_maps',
  'hash_of_maps',
  'ringbuf',
  'user_ringbuf',
  'inode_storage',
  'sk_storage',
  'task_storage',
  'cgrp_storage',
  'queue',
  'stack',
  'arena',
]);

/** @param used the maps that earlier instructions use */
export function checkMapUse(draft: Draft, map: MapFacts, used: readonly MapFacts[], insn: number): Verdict {
  const { input, environment } = draft;
  const refuse = (problem: string, reason: string, code: RejectCode = 'map-argument'): Verdict => ({
    code,
    insn,
    problem,
    reason,
  });
  const tracing = TRACING.has(input.type);
  if (tracing && (hasField(map, 'list_head') || hasField(map, 'rb_root'))) {
    return refuse(
      'tracing progs cannot use bpf_{list_head,rb_root} yet',
      'they could run while the lock of the list or tree is held',
    );
  }
  if (hasField(map, 'spin_lock') || hasField(map, 'res_spin_lock')) {
    const who = tracing ? 'tracing' : input.type === 'socket_filter' ? 'socket filter' : undefined;
    if (who !== undefined) {
      return refuse(
        `${who} progs cannot use bpf_spin_lock yet`,
        'they could run while the lock is held, and wait for it for ever',
      );
    }
  }
  if (tracing && hasField(map, 'timer')) {
    return refuse('tracing progs cannot use bpf_timer yet', 'they could run while a timer is being changed');
  }
  if (tracing && hasField(map, 'wq')) {
    return refuse('tracing progs cannot use bpf_wq yet', 'they could run while a queue is being changed');
  }
  if (map.type === 'struct_ops') {
    return refuse('bpf_struct_ops map cannot be used in prog', 'it is for user space, which attaches it');
  }
  if ((input.flags & PROG_LOAD_FLAGS.BPF_F_SLEEPABLE) !== 0 && !SLEEPABLE.has(map.type)) {
    return refuse(
      'Sleepable programs can only use array, hash, ringbuf and local storage maps',
      `elements of a map of type ${map.type} may go while the program sleeps`,
    );
  }
  if (map.type === 'cgroup_storage' || map.type === 'percpu_cgroup_storage') {
    if (!used.some((one) => one.type === map.type)) return undefined;
    return {
      ...refuse('only one cgroup storage of each type is allowed', 'the storage is found without naming it')!,
      errno: 'EBUSY',
    };
  }
  if (map.type !== 'arena') return undefined;
  if (used.some((one) => one.type === 'arena')) {
    return { ...refuse('Only one arena per program', 'a program has one arena')!, errno: 'EBUSY' };
  }
  if (!environment.capabilities.bpf || !environment.capabilities.perfmon) {
    return {
      ...refuse(
        'CAP_BPF and CAP_PERFMON are required to use arena',
        'the caller lacks a capability',
        'not-permitted',
      )!,
      errno: 'EPERM',
    };
  }
  if (map.userAddress !== 0n) return undefined;
  return refuse(
    "arena's user address must be set via map_extra or mmap()",
    'pointers into the arena are the same for the program and for user space',
  );
}
