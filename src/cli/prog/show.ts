import type { Kernel, ProgInfo } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import { type Listed, list, pinnedJson, pinnedText } from '../grammar/listing.ts';
import { ownersText, writeOwners } from '../grammar/owners.ts';
import { everyProgram, fullName, hexTag, takePrograms } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';
import { metadataOf, writeMetadata } from './metadata.ts';

/** `prog show [PROG]`. */
export function showPrograms(call: Call): Promise<void> {
  return list(call, { kind: 'prog', select: takePrograms, all: everyProgram, show });
}

/** The members that a program's description begins with. */
export function programHeaderJson(json: JsonWriter, kernel: Kernel, info: ProgInfo): void {
  json.field('id', info.id).field('type', info.type);
  if (info.name !== '') json.field('name', fullName(kernel, info));
  json.field('tag', hexTag(info.tag)).field('gpl_compatible', info.gpl_compatible);
  if (info.run_time_ns > 0n) json.field('run_time_ns', info.run_time_ns).field('run_cnt', info.run_cnt);
  if (info.recursion_misses > 0n) json.field('recursion_misses', info.recursion_misses);
}

/** The line that a program's description begins with. */
export function programHeaderText(kernel: Kernel, info: ProgInfo, device?: string): string {
  let text = `${info.id}: ${info.type}  `;
  if (info.name !== '') text += `name ${fullName(kernel, info)}  `;
  text += `tag ${hexTag(info.tag)}`;
  if (info.ifindex !== 0) {
    const where = `ifindex ${info.ifindex} ns_dev ${info.netns_dev} ns_ino ${info.netns_ino}`;
    text += `  offloaded_to ${device ?? where}`;
  }
  if (info.gpl_compatible) text += '  gpl';
  if (info.run_time_ns > 0n) text += ` run_time_ns ${info.run_time_ns} run_cnt ${info.run_cnt}`;
  if (info.recursion_misses > 0n) text += ` recursion_misses ${info.recursion_misses}`;
  return `${text}\n`;
}

function show({ out }: Call, world: World, { fd, info, pinned, owners }: Listed<'prog'>): void {
  const facts: Facts = {
    info,
    memlock: world.fdInfo(fd).get('memlock'),
    loadedAt: Number((world.bootedAt() + info.load_time) / 1_000_000_000n),
    device: info.ifindex === 0 ? undefined : world.deviceName(info.ifindex),
    pinned,
    owners,
  };
  const metadata = metadataOf(world.kernel, info);
  if (out.json) {
    showJson(out.json, world.kernel, facts);
    if (metadata) writeMetadata(out, metadata);
    out.json.endObject();
  } else {
    out.print(showText(world.kernel, facts));
    if (metadata) writeMetadata(out, metadata);
  }
}

interface Facts {
  readonly info: ProgInfo;
  readonly memlock: string | undefined;
  /** Unix time, in seconds. */
  readonly loadedAt: number;
  readonly device: string | undefined;
  readonly pinned: readonly string[] | undefined;
  readonly owners: Listed<'prog'>['owners'];
}

function showJson(json: JsonWriter, kernel: Kernel, facts: Facts): void {
  const { info, memlock, loadedAt, device, pinned, owners } = facts;
  json.startObject();
  programHeaderJson(json, kernel, info);
  if (info.ifindex !== 0) {
    json.name('dev').startObject().field('ifindex', info.ifindex);
    json.field('ns_dev', info.netns_dev).field('ns_inode', info.netns_ino);
    if (device !== undefined) json.field('ifname', device);
    json.endObject();
  }
  if (info.load_time > 0n) json.field('loaded_at', loadedAt).field('uid', info.created_by_uid);
  json.field('orphaned', false).field('bytes_xlated', info.xlated_prog_len);
  json.field('jited', info.jited_prog_len > 0);
  if (info.jited_prog_len > 0) json.field('bytes_jited', info.jited_prog_len);
  if (memlock !== undefined) json.field('bytes_memlock', Number(memlock));
  if (info.map_ids.length > 0) {
    json.name('map_ids').startArray();
    for (const id of info.map_ids) json.value(id);
    json.endArray();
  }
  if (info.btf_id !== 0) json.field('btf_id', info.btf_id);
  pinnedJson(json, pinned);
  writeOwners(json, owners);
}

function showText(kernel: Kernel, { info, memlock, loadedAt, device, pinned, owners }: Facts): string {
  let text = programHeaderText(kernel, info, device);
  if (info.load_time > 0n) text += `\tloaded_at ${localTime(loadedAt)}  uid ${info.created_by_uid}\n`;
  text += `\txlated ${info.xlated_prog_len}B`;
  text += info.jited_prog_len > 0 ? `  jited ${info.jited_prog_len}B` : '  not jited';
  if (memlock !== undefined) text += `  memlock ${memlock}B`;
  if (info.map_ids.length > 0) text += `  map_ids ${info.map_ids.join(',')}`;
  text += pinnedText(pinned);
  if (info.btf_id !== 0) text += `\n\tbtf_id ${info.btf_id}`;
  return `${text}${ownersText(owners)}\n`;
}

/** `2026-07-03T21:04:05+0200`. */
function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${zone}`;
}
