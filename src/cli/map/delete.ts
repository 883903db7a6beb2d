import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import { takeElement } from './element.ts';

/** `map delete MAP key DATA`. */
export async function deleteKey(call: Call): Promise<void> {
  if (call.words.left < 2) throw new Usage();
  const world = await call.world();
  const { kernel } = world;
  const fd = takeMap(call, world);
  const info = infoOf(kernel, fd, 'map');
  const { key } = takeElement(call, world, info, { key: 'always', value: false, flags: false });
  attemptOrErrno('delete failed', () => kernel.bpf.map_delete_elem({ map_fd: fd, ...(key && { key }) }));
  call.out.done();
}
