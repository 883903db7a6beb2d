import { hexText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, Failed, NO_ENTRY, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import { takeElement } from './element.ts';
import { printOne } from './entry.ts';

/** `map lookup MAP [key DATA]`, and `peek`. */
export async function lookupMap(call: Call): Promise<void> {
  const { out } = call;
  if (call.words.left < 2) throw new Usage();
  const world = await call.world();
  const { kernel } = world;
  const fd = takeMap(call, world);
  const info = infoOf(kernel, fd, 'map');
  const { key } = takeElement(call, world, info, { key: true, value: false, flags: false });
  const value = attemptOrErrno('lookup failed', () =>
    kernel.bpf.map_lookup_elem({ map_fd: fd, ...(key && { key }) }),
  );
  if (value === undefined) {
    if (out.json) out.done();
    else out.print(`key:\n${hexText(key ?? new Uint8Array(0))}\n\nNot found\n`);
    throw new Failed(NO_ENTRY);
  }
  printOne(call, kernel, { info, key: key ?? new Uint8Array(0), value });
}
