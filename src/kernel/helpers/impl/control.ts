/** Helpers that change where control goes. */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { executableOf } from '../../interpreter/executable.ts';
import { ProgArrayMap } from '../../maps/prog-array.ts';
import { err, s64, u32 } from './values.ts';

/** Most calls of one `bpf_loop`. @see include/linux/bpf.h, BPF_MAX_LOOPS */
const MAX_LOOPS = 8 * 1024 * 1024;

export const loop: HelperImpl = (_run, count, callback, context, flags) => {
  if (flags !== 0n) return err('EINVAL');
  const most = u32(count);
  // As Linux writes it into the program: with 32 bits.
  if (most > MAX_LOOPS) return BigInt.asUintN(32, BigInt(err('E2BIG')));
  let done = 0;
  return {
    callback,
    next: (result) => {
      if (result !== undefined) done += 1;
      const stop = result !== undefined && s64(result) !== 0n;
      return stop || done === most ? BigInt(done) : [BigInt(done), context];
    },
  };
};

/** Returns only when there is no program to go to. */
export const tail_call: HelperImpl = (run, _context, mapPointer, index) => {
  const map = run.map(mapPointer);
  if (!(map instanceof ProgArrayMap)) throw new Bug(`a tail call through a map of type ${map.shape.type}`);
  const program = u32(index) < map.shape.maxEntries ? map.program(u32(index)) : undefined;
  if (program) run.tailCall(executableOf(program));
  return err('ENOENT');
};
