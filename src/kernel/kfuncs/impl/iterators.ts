/** Open-coded iterators. Their state is in the program's stack, laid out as Linux's. @see kernel/bpf/bpf_iter.c; kernel/bpf/helpers.c */

import { probe_read } from '../../helpers/impl/probe.ts';
import { addr, err, s32, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { type Addr, at, NULL } from '../../memory/index.ts';
import { cgroupsOf, type Task } from '../../objects/task.ts';

/** Most rounds of a numbers iterator. @see include/linux/bpf.h, BPF_MAX_LOOPS */
const MAX_LOOPS = 8 * 1024 * 1024;

/** `struct bpf_iter_num_kern`: the current number and the one to stop at. */
export const bpf_iter_num_new: HelperImpl = ({ machine: { memory } }, iterator, from, to) => {
  const it = addr(iterator);
  const [start, end] = [s32(from), s32(to)];
  memory.writeU64(it, 0n);
  if (start > end) return err('EINVAL');
  if (end - start > MAX_LOOPS) return err('E2BIG');
  memory.view.setInt32(it, start - 1, true);
  memory.view.setInt32(it + 4, end, true);
  return 0;
};

export const bpf_iter_num_next: HelperImpl = ({ machine: { memory } }, iterator) => {
  const it = addr(iterator);
  // In 32 bits: the one before the least number is the largest.
  const next = (memory.view.getInt32(it, true) + 1) | 0;
  if (next >= memory.view.getInt32(it + 4, true)) {
    memory.writeU64(it, 0n);
    return 0n;
  }
  memory.view.setInt32(it, next, true);
  return iterator;
};

export const bpf_iter_num_destroy: HelperImpl = ({ machine: { memory } }, iterator) => {
  memory.writeU64(addr(iterator), 0n);
  return 0n;
};

/** `struct bpf_iter_bits_kern`: the bits, or where they are; how many; the current one. */
const BITS = { words: 0, count: 8, bit: 12 } as const;
const MAX_WORDS = 511;
const WORD_BITS = 64;

export const bpf_iter_bits_new: HelperImpl = (run, iterator, source, words) => {
  const { memory } = run.machine;
  const it = addr(iterator);
  memory.writeU64(it, 0n);
  memory.writeU32(it + BITS.count, 0);
  memory.view.setInt32(it + BITS.bit, -1, true);
  const count = u32(words);
  if (source === 0n || count === 0) return err('EINVAL');
  if (count > MAX_WORDS) return err('E2BIG');
  const place = count === 1 ? it : memory.tryAllocate(8 * count, BITS_COPY);
  if (place === NULL) return err('ENOMEM');
  const status = Number(probe_read(run, BigInt(place), BigInt(8 * count), source, 0n, 0n) as bigint);
  if (status !== 0) {
    if (count > 1) memory.free(place);
    return err('EFAULT');
  }
  if (count > 1) memory.writeU64(it, BigInt(place));
  memory.writeU32(it + BITS.count, count * WORD_BITS);
  return 0;
};
const BITS_COPY = { kind: 'kernel', owner: 'bits of an iterator', access: 'none' } as const;

const bitsPlace = ({ machine: { memory } }: HelperRun, it: Addr): Addr =>
  memory.readU32(it + BITS.count) === WORD_BITS ? it : (memory.readU32(it) as Addr);

export const bpf_iter_bits_next: HelperImpl = (run, iterator) => {
  const { memory } = run.machine;
  const it = addr(iterator);
  const count = memory.readU32(it + BITS.count);
  if (count === 0) return 0n;
  const bits = bitsPlace(run, it);
  let bit = memory.view.getInt32(it + BITS.bit, true) + 1;
  while (bit < count && (memory.u8[bits + (bit >> 3)]! & (1 << (bit & 7))) === 0) bit++;
  memory.view.setInt32(it + BITS.bit, bit, true);
  return bit < count ? iterator + BigInt(BITS.bit) : 0n;
};

export const bpf_iter_bits_destroy: HelperImpl = (run, iterator) => {
  const { memory } = run.machine;
  const it = addr(iterator);
  if (memory.readU32(it + BITS.count) > WORD_BITS) memory.free(memory.readU32(it) as Addr);
  memory.writeU32(it + BITS.count, 0);
  return 0n;
};

/** Iterators over objects: where the next one is in the list that was made when it began. */
const LIST_STATE = { list: 0, next: 8, count: 12 } as const;

function begin({ machine: { memory } }: HelperRun, iterator: bigint, objects: readonly Addr[]): number {
  const it = addr(iterator);
  memory.fill(it, 16, 0);
  if (objects.length === 0) return 0;
  const list = memory.tryAllocate(8 * objects.length, {
    kind: 'kernel',
    owner: 'list of an iterator',
    access: 'none',
  });
  if (list === NULL) return err('ENOMEM');
  for (const [i, object] of objects.entries()) memory.writeU64(list + 8 * i, BigInt(object));
  memory.writeU64(it, BigInt(list));
  memory.writeU32(it + LIST_STATE.count, objects.length);
  return 0;
}

const next: HelperImpl = ({ machine: { memory } }, iterator) => {
  const it = addr(iterator);
  const index = memory.readU32(it + LIST_STATE.next);
  if (index >= memory.readU32(it + LIST_STATE.count)) return 0n;
  memory.writeU32(it + LIST_STATE.next, index + 1);
  return memory.readU64(at(memory.readU32(it) as Addr, 8 * index));
};

const destroy: HelperImpl = ({ machine: { memory } }, iterator) => {
  const it = addr(iterator);
  memory.free(memory.readU32(it) as Addr);
  memory.fill(it, 16, 0);
  return 0n;
};

/** `BPF_TASK_ITER_*`: all processes, all threads, the threads of one process. */
const TASK_KINDS = { processes: 0, threads: 1, ofProcess: 2 } as const;

/** The tasks that are known, with the current one. */
function knownTasks({ kernel: { world, task } }: HelperRun): ReturnType<typeof world.tasks> {
  world.taskStruct(task);
  return world.tasks();
}

const isLeader = ({ pid, tgid }: Task): boolean => pid === tgid;

/** Tasks are those that the caller has described. */
export const bpf_iter_task_new: HelperImpl = (run, iterator, pointer, flags) => {
  const kind = u32(flags);
  const start = run.kernel.world.taskAt(pointer);
  const unknown = kind > TASK_KINDS.ofProcess || (kind === TASK_KINDS.ofProcess && pointer === 0n);
  if (unknown) {
    begin(run, iterator, []);
    return err('EINVAL');
  }
  const found = knownTasks(run).filter(({ task }) =>
    kind === TASK_KINDS.ofProcess ? task.tgid === start?.tgid : kind === TASK_KINDS.threads || isLeader(task),
  );
  return begin(
    run,
    iterator,
    found.map(({ addr: place }) => place),
  );
};
export const bpf_iter_task_next = next;
export const bpf_iter_task_destroy = destroy;

/** `BPF_CGROUP_ITER_*`: those below it in either order, those above it. */
const CSS_ORDERS = { descendantsPre: 2, descendantsPost: 3, ancestors: 4 } as const;

/** The cgroup whose state is at that address; the current task's are known. */
function cgroupOfState({ kernel: { world, task } }: HelperRun, state: bigint): bigint | undefined {
  const own = cgroupsOf(task);
  world.cgroup(own.at(-1)!, own);
  return world.cgroupIdAt(state - BigInt(world.offsetOf('cgroup', 'self') ?? 0));
}

/** Cgroups are those of tasks that the caller has described. */
export const bpf_iter_css_new: HelperImpl = (run, iterator, start, order) => {
  const { world } = run.kernel;
  const kind = u32(order);
  if (kind < CSS_ORDERS.descendantsPre || kind > CSS_ORDERS.ancestors) {
    begin(run, iterator, []);
    return err('EINVAL');
  }
  const id = cgroupOfState(run, start);
  let found: Addr[] = [];
  if (id !== undefined) found = kind === CSS_ORDERS.ancestors ? world.cgroupsUp(id) : world.cgroupsFrom(id);
  if (kind === CSS_ORDERS.descendantsPost) found = found.toReversed();
  const self = world.offsetOf('cgroup', 'self') ?? 0;
  return begin(
    run,
    iterator,
    found.map((one) => at(one, self)),
  );
};
export const bpf_iter_css_next = next;
export const bpf_iter_css_destroy = destroy;

/** `CSS_TASK_ITER_PROCS`, alone or with `CSS_TASK_ITER_THREADED`. */
const CSS_PROCESSES = 1;
const CSS_TASK_FLAGS: ReadonlySet<number> = new Set([0, 1, 3]);

export const bpf_iter_css_task_new: HelperImpl = (run, iterator, start, flags) => {
  const options = u32(flags);
  if (!CSS_TASK_FLAGS.has(options)) {
    begin(run, iterator, []);
    return err('EINVAL');
  }
  const id = cgroupOfState(run, start);
  const found = knownTasks(run).filter(
    ({ task }) => cgroupsOf(task).at(-1) === id && (!(options & CSS_PROCESSES) || isLeader(task)),
  );
  return begin(
    run,
    iterator,
    found.map(({ addr: place }) => place),
  );
};
export const bpf_iter_css_task_next = next;
export const bpf_iter_css_task_destroy = destroy;

/** Of what there is none. */
const nothing: HelperImpl = (run, iterator) => begin(run, iterator, []);
export const bpf_iter_task_vma_new: HelperImpl = (run, iterator) => {
  begin(run, iterator, []);
  return err('ENOENT');
};
export const bpf_iter_task_vma_next = next;
export const bpf_iter_task_vma_destroy = destroy;
export const bpf_iter_dmabuf_new = nothing;
export const bpf_iter_dmabuf_next = next;
export const bpf_iter_dmabuf_destroy = destroy;
export const bpf_iter_kmem_cache_new = nothing;
export const bpf_iter_kmem_cache_next = next;
export const bpf_iter_kmem_cache_destroy = destroy;
