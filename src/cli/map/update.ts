import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import { takeElement } from './element.ts';

/** `map update MAP [key DATA] [value VALUE] [any|exist|noexist]`, and `push` and `enqueue`. */
export async function updateMap(call: Call): Promise<void> {
  if (call.words.left < 2) throw new Usage();
  const world = await call.world();
  const { kernel } = world;
  const fd = takeMap(call, world);
  const info = infoOf(kernel, fd, 'map');
  const { key, value, flags } = takeElement(call, world, info, { key: true, value: true, flags: true });
  attemptOrErrno('update failed', () =>
    kernel.bpf.map_update_elem({ map_fd: fd, ...(key && { key }), value: value ?? new Uint8Array(0), flags }),
  );
  call.out.done();
}
