import type { LinkInfo } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { pinnedPaths } from '../grammar/pins.ts';
import { everyLink, infoOf, takeLink } from '../grammar/selectors.ts';
import { unexpected } from '../grammar/words.ts';
import type { World } from '../world/world.ts';
import { linkTail } from './tail.ts';

/** `link show [LINK]`. */
export async function showLinks(call: Call): Promise<void> {
  const { words, out, flags } = call;
  const world = await call.world();
  const { kernel } = world;
  const pinned = flags.bpffs ? pinnedPaths(world, 'link') : undefined;
  if (words.left === 2) {
    show(call, world, infoOf(kernel, takeLink(call, world), 'link'), pinned);
    return;
  }
  const extra = words.peek();
  if (extra !== undefined) throw unexpected(extra);
  out.json?.startArray();
  try {
    for (const { fd, info } of everyLink(kernel)) {
      show(call, world, info, pinned);
      kernel.closeFd(fd);
    }
  } finally {
    out.json?.endArray();
  }
}

function show(
  { out }: Call,
  world: World,
  info: LinkInfo,
  pinned: ReadonlyMap<number, string[]> | undefined,
): void {
  const { kernel } = world;
  const tail = linkTail(info, {
    deviceName: (index) => world.deviceName(index),
    progType: () => {
      const fd = kernel.bpf.prog_get_fd_by_id({ prog_id: info.prog_id });
      const found = infoOf(kernel, fd, 'prog').type;
      kernel.closeFd(fd);
      return found;
    },
  });
  // As bpftool: where nothing at all is pinned, nothing is said of pins.
  const paths = pinned === undefined || pinned.size === 0 ? undefined : (pinned.get(info.id) ?? []);
  const { json } = out;
  if (json) {
    json.startObject().field('id', info.id).field('type', info.type).field('prog_id', info.prog_id);
    for (const { name, value } of tail) json.field(name, value);
    if (paths) {
      json.name('pinned').startArray();
      for (const path of paths) json.value(path);
      json.endArray();
    }
    json.endObject();
    return;
  }
  const parts = [`${info.id}: ${info.type}`, `prog ${info.prog_id}`];
  let text = `${parts.join('  ')}  `;
  for (const field of tail) if (field.text !== undefined) text += `${field.text}  `;
  for (const path of paths ?? []) text += `\n\tpinned ${path}`;
  out.print(`${text}\n`);
}
