/** Pages of arenas. @see kernel/bpf/arena.c */
import { Bug } from '../../../base/error.ts';
import { u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { ArenaMap } from '../../maps/arena.ts';

function arena(run: HelperRun, pointer: bigint): ArenaMap {
  const map = run.map(pointer);
  if (!(map instanceof ArenaMap)) throw new Bug(`pages of a map of type ${map.shape.type}`);
  return map;
}

export const bpf_arena_alloc_pages: HelperImpl = (run, map, address, count, _node, flags) =>
  flags !== 0n ? 0n : arena(run, map).allocatePages(address, u32(count));

export const bpf_arena_free_pages: HelperImpl = (run, map, address, count) => {
  arena(run, map).freePages(address, u32(count));
  return 0n;
};

export const bpf_arena_reserve_pages: HelperImpl = (run, map, address, count) =>
  arena(run, map).reservePages(address, u32(count));
