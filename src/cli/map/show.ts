import { type MapInfo, progTypeName } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import { type Listed, list, pinnedJson, pinnedText } from '../grammar/listing.ts';
import { ownersText, writeOwners } from '../grammar/owners.ts';
import { everyMap, takeMaps } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';

/** What of a map only its file descriptor tells. */
interface Beside {
  readonly memlock: string | undefined;
  readonly frozen: boolean;
  readonly ownerType: string | undefined;
  readonly ownerJited: boolean | undefined;
  readonly device: string | undefined;
  readonly owners: Listed<'map'>['owners'];
}

/** `map show [MAP]`. */
export function showMaps(call: Call): Promise<void> {
  return list(call, { kind: 'map', select: takeMaps, all: everyMap, show });
}

function show({ out }: Call, world: World, { fd, info, pinned, owners }: Listed<'map'>): void {
  const fields = world.fdInfo(fd);
  const jited = fields.get('owner_jited');
  const ownerType = fields.get('owner_prog_type');
  const beside: Beside = {
    memlock: fields.get('memlock'),
    frozen: fields.get('frozen') === '1',
    ownerType: ownerType === undefined ? undefined : (progTypeName(Number(ownerType)) ?? ownerType),
    ownerJited: jited === undefined ? undefined : jited !== '0',
    device: info.ifindex === 0 ? undefined : world.deviceName(info.ifindex),
    owners,
  };
  if (out.json) showJson(out.json, info, beside, pinned);
  else out.print(showText(info, beside, pinned));
}

/** The members that a map's description begins with. */
export function mapHeaderJson(json: JsonWriter, info: MapInfo): void {
  json.field('id', info.id).field('type', info.type);
  if (info.name !== '') json.field('name', info.name);
  json.field('flags', info.map_flags);
}

/** The line that a map's description begins with. */
export function mapHeaderText(info: MapInfo, device?: string): string {
  const name = info.name === '' ? '' : `name ${info.name}  `;
  const offloaded =
    info.ifindex === 0
      ? ''
      : `  offloaded_to ${device ?? `ifindex ${info.ifindex} ns_dev ${info.netns_dev} ns_ino ${info.netns_ino}`}`;
  return `${info.id}: ${info.type}  ${name}flags 0x${info.map_flags.toString(16)}${offloaded}\n`;
}

function showJson(
  json: JsonWriter,
  info: MapInfo,
  beside: Beside,
  pinned: readonly string[] | undefined,
): void {
  json.startObject();
  mapHeaderJson(json, info);
  if (info.ifindex !== 0) {
    json.name('dev').startObject().field('ifindex', info.ifindex);
    json.field('ns_dev', info.netns_dev).field('ns_inode', info.netns_ino);
    if (beside.device !== undefined) json.field('ifname', beside.device);
    json.endObject();
  }
  json.field('bytes_key', info.key_size).field('bytes_value', info.value_size);
  json.field('max_entries', info.max_entries);
  if (beside.memlock !== undefined) json.field('bytes_memlock', Number(beside.memlock));
  if (info.type === 'prog_array') {
    if (beside.ownerType !== undefined) json.field('owner_prog_type', beside.ownerType);
    if (beside.ownerJited !== undefined) json.field('owner_jited', beside.ownerJited);
  }
  json.field('frozen', beside.frozen ? 1 : 0);
  if (info.btf_id !== 0) json.field('btf_id', info.btf_id);
  pinnedJson(json, pinned);
  writeOwners(json, beside.owners);
  json.endObject();
}

function showText(info: MapInfo, beside: Beside, pinned: readonly string[] | undefined): string {
  let text = mapHeaderText(info, beside.device);
  text += `\tkey ${info.key_size}B  value ${info.value_size}B  max_entries ${info.max_entries}`;
  if (beside.memlock !== undefined) text += `  memlock ${beside.memlock}B`;
  if (info.type === 'prog_array' && (beside.ownerType !== undefined || beside.ownerJited !== undefined)) {
    text += '\n\t';
    if (beside.ownerType !== undefined) text += `owner_prog_type ${beside.ownerType}  `;
    if (beside.ownerJited !== undefined) text += `owner${beside.ownerJited ? '' : ' not'} jited`;
  }
  text += pinnedText(pinned);
  if (info.btf_id !== 0 || beside.frozen) text += '\n\t';
  if (info.btf_id !== 0) text += `btf_id ${info.btf_id}`;
  if (beside.frozen) text += `${info.btf_id === 0 ? '' : '  '}frozen`;
  return `${text}${ownersText(beside.owners)}\n`;
}
