import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, Failed, NO_ENTRY, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import { printOne } from './entry.ts';

/** `map pop MAP`, and `dequeue`. */
export async function popMap(call: Call): Promise<void> {
  const { out } = call;
  if (call.words.left < 2) throw new Usage();
  const world = await call.world();
  const { kernel } = world;
  const fd = takeMap(call, world);
  const info = infoOf(kernel, fd, 'map');
  const key = new Uint8Array(info.key_size);
  const value = attemptOrErrno('pop failed', () =>
    kernel.bpf.map_lookup_and_delete_elem({ map_fd: fd, ...(key.length > 0 && { key }) }),
  );
  if (value === undefined) {
    if (out.json) out.done();
    else out.print('Error: empty map\n');
    throw new Failed(NO_ENTRY);
  }
  printOne(call, kernel, { info, key, value });
}
