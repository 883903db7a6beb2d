import { type LinkDetails, type LinkInfo, linkDetails } from '../../sys/index.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import type { World } from '../world/world.ts';
import { eventConfigName, eventTypeName } from './event-names.ts';
import { deviceOf, iterScope, MULTI_RETURN, netfilterFields, probedFunctions, progTypeOf } from './names.ts';

type Of<T extends LinkDetails['type']> = Extract<LinkDetails, { type: T }>;
type Field = readonly [name: string, value: string | number | bigint | boolean];

function attachType({ attach_type }: { readonly attach_type: string | undefined }): Field {
  return ['attach_type', attach_type ?? 'unknown'];
}

function device(world: World, index: number): Field[] {
  return [
    ['devname', deviceOf(world, index)],
    ['ifindex', index],
  ];
}

/** Writes the members of a link, in bpftool's order, into an object that was begun. */
export function writeLink(json: JsonWriter, world: World, info: LinkInfo): void {
  json.field('id', info.id).field('type', info.type).field('prog_id', info.prog_id);
  const details = linkDetails(info);
  for (const [name, value] of fields(world, info, details)) json.field(name, value);
  if (details.type === 'kprobe_multi') writeKernelFunctions(json, world, details);
  if (details.type === 'uprobe_multi') writeUserFunctions(json, details);
}

function fields(world: World, info: LinkInfo, details: LinkDetails): readonly Field[] {
  switch (details.type) {
    case 'raw_tracepoint':
      return [
        ['tp_name', details.name],
        ['cookie', details.cookie],
      ];
    case 'tracing':
      return [
        ['prog_type', progTypeOf(world, info)],
        attachType(details),
        ['target_obj_id', details.target_obj_id],
        ['target_btf_id', details.target_btf_id],
        ['cookie', details.cookie],
      ];
    case 'cgroup':
      return [['cgroup_id', details.cgroup_id], attachType(details)];
    case 'iter':
      return [['target_name', details.target], ...iterScope(details)];
    case 'netns':
      return [['netns_ino', details.netns_ino], attachType(details)];
    case 'netfilter':
      return netfilterFields(details);
    case 'xdp':
      return device(world, details.ifindex);
    case 'tcx':
    case 'netkit':
      return [...device(world, details.ifindex), attachType(details)];
    case 'sockmap':
      return [['map_id', details.map_id], attachType(details)];
    case 'struct_ops':
      return [['map_id', details.map_id]];
    case 'kprobe_multi':
      return [
        ['retprobe', (details.flags & MULTI_RETURN) !== 0],
        ['func_cnt', details.count],
        ['missed', details.missed],
      ];
    case 'uprobe_multi':
      return [
        ['retprobe', (details.flags & MULTI_RETURN) !== 0],
        ['path', details.path],
        ['func_cnt', details.count],
        ['pid', details.pid | 0],
      ];
    case 'perf_event':
      return perfEvent(details);
    case 'tracing_multi':
      return [];
  }
}

function perfEvent(details: Of<'perf_event'>): readonly Field[] {
  const { on, name, offset, cookie } = details;
  switch (on) {
    case 'uprobe':
    case 'uretprobe':
      return [
        ['retprobe', on === 'uretprobe'],
        ['file', name],
        ['offset', offset],
        ['cookie', cookie],
        ['ref_ctr_offset', details.ref_ctr_offset],
      ];
    case 'kprobe':
    case 'kretprobe':
      return [
        ['retprobe', on === 'kretprobe'],
        ['addr', details.address],
        ['func', name],
        ['offset', offset],
        ['missed', details.missed],
        ['cookie', cookie],
      ];
    case 'tracepoint':
      return [
        ['tracepoint', name],
        ['cookie', cookie],
      ];
    case 'event': {
      const { event_type: type, event_config: config } = details;
      return [
        ['event_type', eventTypeName(type) ?? type],
        ['event_config', eventConfigName(type, config) ?? config],
        ['cookie', cookie],
      ];
    }
    case 'unspecified':
      return [];
  }
}

function writeKernelFunctions(json: JsonWriter, world: World, details: Of<'kprobe_multi'>): void {
  json.name('funcs').startArray();
  for (const { address, cookie, name } of probedFunctions(world, details)) {
    json.startObject().field('addr', address).field('func', name).name('module').value(null);
    json.field('cookie', cookie).endObject();
  }
  json.endArray();
}

function writeUserFunctions(json: JsonWriter, details: Of<'uprobe_multi'>): void {
  json.name('funcs').startArray();
  for (const [i, offset] of details.offsets.entries()) {
    json.startObject().field('offset', offset);
    json.field('ref_ctr_offset', details.ref_ctr_offsets[i] ?? 0n);
    json.field('cookie', details.cookies[i] ?? 0n).endObject();
  }
  json.endArray();
}
