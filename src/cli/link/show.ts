import type { Call } from '../grammar/call.ts';
import { type Listed, list, pinnedJson, pinnedText } from '../grammar/listing.ts';
import { ownersText, writeOwners } from '../grammar/owners.ts';
import { everyLink, infoOf, takeLink } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';
import { linkTail } from './tail.ts';

/** `link show [LINK]`. */
export function showLinks(call: Call): Promise<void> {
  return list(call, { kind: 'link', select: (call, world) => [takeLink(call, world)], all: everyLink, show });
}

function show({ out }: Call, world: World, { info, pinned, owners }: Listed<'link'>): void {
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
  const { json } = out;
  if (json) {
    json.startObject().field('id', info.id).field('type', info.type).field('prog_id', info.prog_id);
    for (const { name, value } of tail) json.field(name, value);
    pinnedJson(json, pinned);
    writeOwners(json, owners);
    json.endObject();
    return;
  }
  const parts = [`${info.id}: ${info.type}`, `prog ${info.prog_id}`];
  let text = `${parts.join('  ')}  `;
  for (const field of tail) if (field.text !== undefined) text += `${field.text}  `;
  text += pinnedText(pinned) + ownersText(owners);
  out.print(`${text}\n`);
}
