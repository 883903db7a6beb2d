import { InputError } from '../../base/error.ts';
import { hexJson, hexText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import { takeElement } from './element.ts';

/** `map getnext MAP [key DATA]`. */
export async function nextKey(call: Call): Promise<void> {
  const { words, out } = call;
  if (words.left < 2) throw new Usage();
  const world = await call.world();
  const { kernel } = world;
  const fd = takeMap(call, world);
  const info = infoOf(kernel, fd, 'map');
  const key =
    words.left > 0
      ? takeElement(call, world, info, { key: 'always', value: false, flags: false }).key
      : undefined;
  const next = attemptOrErrno("can't get next key", () =>
    kernel.bpf.map_get_next_key({ map_fd: fd, ...(key && { key }) }),
  );
  if (next === undefined) {
    const error = new InputError('cli-refused', 'there is no next key', { errno: 'ENOENT' });
    attemptOrErrno("can't get next key", () => {
      throw error;
    });
    return;
  }
  const { json } = out;
  if (json) {
    json.startObject().name('key');
    if (key) hexJson(json, key);
    else json.value(null);
    json.name('next_key');
    hexJson(json, next);
    json.endObject();
  } else {
    out.print(key ? `key:\n${hexText(key)}\n` : 'key: None\n');
    out.print(`next key:\n${hexText(next)}\n`);
  }
}
