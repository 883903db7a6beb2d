import { linkDetails } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { type Listed, list, pinnedJson, pinnedText } from '../grammar/listing.ts';
import { ownersText, writeOwners } from '../grammar/owners.ts';
import { everyLink, takeLink } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';
import { writeLink } from './json.ts';
import { linkText } from './text.ts';

/** `link show [LINK]`. */
export function showLinks(call: Call): Promise<void> {
  return list(call, { kind: 'link', select: (call, world) => [takeLink(call, world)], all: everyLink, show });
}

function show({ out }: Call, world: World, { info, pinned, owners }: Listed<'link'>): void {
  const { json } = out;
  const details = linkDetails(info);
  const cookie = details?.type === 'perf_event' ? details.cookie : undefined;
  if (json) {
    json.startObject();
    writeLink(json, world, info);
    pinnedJson(json, pinned);
    writeOwners(json, owners, cookie);
    json.endObject();
    return;
  }
  out.print(`${linkText(world, info)}${pinnedText(pinned)}${ownersText(owners, cookie)}\n`);
}
