import type { Fd, Kernel, MapInfo } from '../../sys/index.ts';
import { hexJson } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import { errnoExit, errnoOf, Failed, strerror, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMaps } from '../grammar/selectors.ts';
import { isOfMaps, isOfPrograms } from './element.ts';
import { absentText, printEntry, typedWriter, typesOf } from './entry.ts';
import { mapHeaderJson, mapHeaderText } from './show.ts';

/** `map dump MAP`. */
export async function dumpMaps(call: Call): Promise<void> {
  const { words, out } = call;
  if (words.left !== 2) throw new Usage();
  const world = await call.world();
  const { kernel } = world;
  const fds = takeMaps(call, world);
  const several = fds.length > 1;
  // Without -j, values are shown by type if all maps have types.
  const allTyped = fds.every((fd) => infoOf(kernel, fd, 'map').btf_id !== 0);
  const typed = out.json === undefined && allTyped ? typedWriter(call) : undefined;
  const json = out.json ?? typed;
  if (several) json?.startArray();
  try {
    for (const [i, fd] of fds.entries()) {
      dump(call, kernel, fd, json, several);
      if (!json && i < fds.length - 1) out.print('\n');
    }
  } finally {
    if (several) json?.endArray();
    if (typed) out.print('\n');
  }
}

function dump(call: Call, kernel: Kernel, fd: Fd, json: JsonWriter | undefined, header: boolean): void {
  const { out } = call;
  const info = infoOf(kernel, fd, 'map');
  const types = json ? typesOf(kernel, info) : undefined;
  if (json) {
    if (header) {
      json.startObject();
      mapHeaderJson(json, info);
      json.name('elements');
    }
    json.startArray();
  } else if (header) out.print(mapHeaderText(info));
  if (info.type === 'reuseport_sockarray' && info.value_size !== 8) {
    out.info(`Warning: cannot read values from ${info.type} map with value_size != 8`);
  }
  let count = 0;
  let failure: unknown;
  let key: Uint8Array | undefined;
  for (;;) {
    try {
      key = kernel.bpf.map_get_next_key({ map_fd: fd, ...(key && { key }) });
    } catch (error) {
      failure = error;
      break;
    }
    if (key === undefined) break;
    if (one(call, kernel, fd, info, key, types, json)) count++;
  }
  if (json) {
    json.endArray();
    if (header) json.endObject();
  } else out.print(`Found ${count} element${count === 1 ? '' : 's'}\n`);
  if (failure === undefined) return;
  // As bpftool, a map that can't be walked is a failure without an error; the kernel's sentence says why.
  if (errnoOf(failure) === undefined) throw failure;
  out.info((failure as Error).message);
  throw new Failed(errnoExit(failure));
}

/** @returns whether the element could be read */
function one(
  call: Call,
  kernel: Kernel,
  fd: Fd,
  info: MapInfo,
  key: Uint8Array,
  types: ReturnType<typeof typesOf>,
  json: JsonWriter | undefined,
): boolean {
  let value: Uint8Array | undefined;
  let why = 'No such file or directory';
  let errno = 'ENOENT';
  try {
    value = kernel.bpf.map_lookup_elem({ map_fd: fd, key });
  } catch (error) {
    const found = errnoOf(error);
    if (found === undefined) throw error;
    errno = found;
    why = strerror(error);
  }
  if (value !== undefined) {
    printEntry(call, { info, key, value }, types, call.out.json ? undefined : json);
    return true;
  }
  if (errno === 'ENOENT' && (isOfMaps(info) || isOfPrograms(info))) return false;
  const { out } = call;
  if (out.json) {
    out.json.startObject().name('key');
    hexJson(out.json, key);
    out.json.name('value').startObject().field('error', why).endObject().endObject();
  } else {
    const unreadable = errno === 'ENOSPC' && info.type === 'reuseport_sockarray';
    out.print(
      absentText({ info, key }, errno === 'ENOENT' ? '<no entry>' : unreadable ? '<cannot read>' : why),
    );
  }
  return false;
}
