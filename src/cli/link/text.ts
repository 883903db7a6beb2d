import { type LinkDetails, type LinkInfo, linkDetails } from '../../sys/index.ts';
import type { World } from '../world/world.ts';
import { eventConfigName, eventTypeName } from './event-names.ts';
import { deviceOf, iterScope, MULTI_RETURN, netfilterText, probedFunctions, progTypeOf } from './names.ts';

type Of<T extends LinkDetails['type']> = Extract<LinkDetails, { type: T }>;

const LINE = '\n\t';

/** A value that is shown only where there is one. */
const unlessZero = (name: string, value: number | bigint): string =>
  BigInt(value) === 0n ? '' : `${name} ${value}  `;

const attachType = ({ attach_type }: { readonly attach_type: string | undefined }): string =>
  `attach_type ${attach_type ?? 'unknown'}  `;

function device(world: World, index: number): string {
  const name = deviceOf(world, index);
  return `ifindex ${index === 0 || name === '(unknown)' ? name : `${name}(${index})`}  `;
}

/** A link in bpftool's text, without the line break at its end: what it is, and what it is attached to. */
export function linkText(world: World, info: LinkInfo): string {
  const details = linkDetails(info);
  const of = details.type === 'struct_ops' ? `map ${details.map_id}` : `prog ${info.prog_id}`;
  return `${info.id}: ${info.type}  ${of}  ${detailsText(world, info, details)}`;
}

function detailsText(world: World, info: LinkInfo, details: LinkDetails): string {
  switch (details.type) {
    case 'raw_tracepoint':
      return `${LINE}tp '${details.name}'  ${unlessZero('cookie', details.cookie)}`;
    case 'tracing':
      return tracing(progTypeOf(world, info), details);
    case 'cgroup':
      return `${LINE}cgroup_id ${details.cgroup_id}  ${attachType(details)}`;
    case 'iter':
      return iter(details);
    case 'netns':
      return `${LINE}netns_ino ${details.netns_ino}  ${attachType(details)}`;
    case 'xdp':
      return LINE + device(world, details.ifindex);
    case 'tcx':
    case 'netkit':
      return LINE + device(world, details.ifindex) + attachType(details);
    case 'sockmap':
      return `${LINE}map_id ${details.map_id}  ${attachType(details)}`;
    case 'netfilter':
      return LINE + netfilterText(details);
    case 'kprobe_multi':
      return kprobeMulti(world, details);
    case 'uprobe_multi':
      return uprobeMulti(details);
    case 'perf_event':
      return perfEvent(details);
    case 'struct_ops':
    case 'tracing_multi':
      return '';
  }
}

function tracing(progType: string, details: Of<'tracing'>): string {
  const { target_obj_id: object, target_btf_id: target, cookie } = details;
  const at = object === 0 && target === 0 ? '' : `${LINE}target_obj_id ${object}  target_btf_id ${target}  `;
  const own = cookie === 0n ? '' : LINE + unlessZero('cookie', cookie);
  return `${LINE}prog_type ${progType}  ${attachType(details)}${at}${own}`;
}

function iter(details: Of<'iter'>): string {
  let text = `target_name ${details.target}  `;
  // As bpftool, one blank behind what limits tasks.
  for (const [name, value] of iterScope(details)) {
    text += `${name} ${value}${name === 'tid' || name === 'pid' ? ' ' : '  '}`;
  }
  return text;
}

function kprobeMulti(world: World, details: Of<'kprobe_multi'>): string {
  if (details.count === 0) return '';
  const kind = details.flags & MULTI_RETURN ? 'kretprobe.multi' : 'kprobe.multi';
  let text = `${LINE}${kind}  func_cnt ${details.count}  ${unlessZero('missed', details.missed)}`;
  text += `${LINE}${'addr'.padEnd(16)} ${'cookie'.padEnd(16)} func [module]`;
  for (const { address, cookie, name } of probedFunctions(world, details)) {
    text += `${LINE}${address.toString(16).padStart(16, '0')} ${cookie.toString(16).padEnd(16)} ${name}  `;
  }
  return text;
}

function uprobeMulti(details: Of<'uprobe_multi'>): string {
  if (details.count === 0) return '';
  const kind = details.flags & MULTI_RETURN ? 'uretprobe.multi' : 'uprobe.multi';
  const hex = (value: bigint | undefined) => `0x${(value ?? 0n).toString(16).padEnd(16)}`;
  let text = `${LINE}${kind}  path ${details.path}  func_cnt ${details.count}  ${unlessZero('pid', details.pid)}`;
  text += `${LINE}${'offset'.padEnd(16)}   ${'ref_ctr_offset'.padEnd(16)}   ${'cookies'.padEnd(16)}`;
  for (const [i, offset] of details.offsets.entries()) {
    text += `${LINE}${hex(offset)} ${hex(details.ref_ctr_offsets[i])} ${hex(details.cookies[i])}`;
  }
  return text;
}

function perfEvent(details: Of<'perf_event'>): string {
  const { on, name, offset, address, missed, cookie } = details;
  switch (on) {
    case 'uprobe':
    case 'uretprobe': {
      const counter =
        details.ref_ctr_offset === 0n ? '' : `ref_ctr_offset 0x${details.ref_ctr_offset.toString(16)}  `;
      return name === ''
        ? ''
        : `${LINE}${on} ${name}+${alternateHex(offset)}  ${unlessZero('cookie', cookie)}${counter}`;
    }
    case 'kprobe':
    case 'kretprobe': {
      if (name === '' && address === 0n) return '';
      const place = `${address === 0n ? '' : `${address.toString(16)} `}${name}`;
      const rest = [
        ['missed', missed],
        ['cookie', cookie],
      ] as const;
      const words = rest.map(([word, value]) => (value === 0n ? '' : `  ${word} ${value}`)).join('');
      return `${LINE}${on} ${place}${offset === 0 ? '' : `+${alternateHex(offset)}`}${words}  `;
    }
    case 'tracepoint':
      return name === '' ? '' : `${LINE}tracepoint ${name}  ${unlessZero('cookie', cookie)}`;
    case 'event': {
      const { event_type: type, event_config: config } = details;
      const kind = eventTypeName(type) ?? `${type} `;
      return `${LINE}event ${kind}:${eventConfigName(type, config) ?? config}  ${unlessZero('cookie', cookie)}`;
    }
    case 'unspecified':
      return '';
  }
}

/** As `%#x`: zero has no prefix. */
const alternateHex = (value: number): string => (value === 0 ? '0' : `0x${value.toString(16)}`);
