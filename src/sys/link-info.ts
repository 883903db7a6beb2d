/**
 * What a link is attached to, read from the type's tail of `struct bpf_link_info`.
 * @see include/uapi/linux/bpf.h, struct bpf_link_info
 */
import { type AttachType, attachTypeName } from './attach-types.ts';
import type { LinkInfo } from './kernel.ts';

/** What a link of the kind perf_event hangs on. @see enum bpf_perf_event_type */
export const PERF_LINK_KINDS = [
  'unspecified',
  'uprobe',
  'uretprobe',
  'kprobe',
  'kretprobe',
  'tracepoint',
  'event',
] as const;
export type PerfLinkKind = (typeof PERF_LINK_KINDS)[number];

type At = { readonly attach_type: AttachType | undefined };

/** By link type; members that the running kernel is too old to tell are 0. */
export type LinkDetails =
  | { readonly type: 'raw_tracepoint'; readonly name: string; readonly cookie: bigint }
  | ({
      readonly type: 'tracing';
      /** The replaced program's id, or the BTF object's. */
      readonly target_obj_id: number;
      readonly target_btf_id: number;
      readonly cookie: bigint;
    } & At)
  | ({ readonly type: 'cgroup'; readonly cgroup_id: bigint } & At)
  | {
      readonly type: 'iter';
      readonly target: string;
      readonly map_id: number;
      readonly cgroup_id: bigint;
      readonly order: number;
      readonly tid: number;
      readonly pid: number;
    }
  | ({ readonly type: 'netns'; readonly netns_ino: number } & At)
  | { readonly type: 'xdp'; readonly ifindex: number }
  | {
      readonly type: 'perf_event';
      readonly on: PerfLinkKind;
      /** The file, function or tracepoint. */
      readonly name: string;
      readonly offset: number;
      readonly address: bigint;
      readonly missed: bigint;
      readonly cookie: bigint;
      readonly ref_ctr_offset: bigint;
      readonly event_type: number;
      readonly event_config: bigint;
    }
  | {
      readonly type: 'kprobe_multi';
      readonly count: number;
      readonly flags: number;
      readonly missed: bigint;
      readonly addresses: readonly bigint[];
      readonly cookies: readonly bigint[];
    }
  | { readonly type: 'struct_ops'; readonly map_id: number }
  | {
      readonly type: 'netfilter';
      readonly pf: number;
      readonly hooknum: number;
      readonly priority: number;
      readonly flags: number;
    }
  | ({ readonly type: 'tcx' | 'netkit'; readonly ifindex: number } & At)
  | {
      readonly type: 'uprobe_multi';
      readonly path: string;
      readonly count: number;
      readonly flags: number;
      readonly pid: number;
      readonly offsets: readonly bigint[];
      readonly ref_ctr_offsets: readonly bigint[];
      readonly cookies: readonly bigint[];
    }
  | ({ readonly type: 'sockmap'; readonly map_id: number } & At)
  | { readonly type: 'tracing_multi' };

/** Reads the tail. What an older kernel left out reads as 0. */
export function linkDetails(info: LinkInfo): LinkDetails {
  const tail = new Uint8Array(64);
  tail.set(info.raw.subarray(0, tail.length));
  const view = new DataView(tail.buffer);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => view.getBigUint64(at, true);
  const attach = (at: number): At => ({ attach_type: attachTypeName(u32(at)) });
  const { lists = {} } = info;
  const text = info.text ?? '';
  switch (info.type) {
    case 'raw_tracepoint':
      return { type: 'raw_tracepoint', name: text, cookie: u64(16) };
    case 'tracing':
      return { type: 'tracing', ...attach(0), target_obj_id: u32(4), target_btf_id: u32(8), cookie: u64(16) };
    case 'cgroup':
      return { type: 'cgroup', cgroup_id: u64(0), ...attach(8) };
    case 'iter': {
      const common = { type: 'iter', target: text, map_id: u32(12) } as const;
      const cgroup = text === 'cgroup';
      const task = text.startsWith('task');
      return {
        ...common,
        cgroup_id: cgroup ? u64(16) : 0n,
        order: cgroup ? u32(24) : 0,
        tid: task ? u32(16) : 0,
        pid: task ? u32(20) : 0,
      };
    }
    case 'netns':
      return { type: 'netns', netns_ino: u32(0), ...attach(4) };
    case 'xdp':
      return { type: 'xdp', ifindex: u32(0) };
    case 'perf_event':
      return perfDetails(view, text);
    case 'kprobe_multi':
      return {
        type: 'kprobe_multi',
        count: u32(8),
        flags: u32(12),
        missed: u64(16),
        addresses: lists.addrs ?? [],
        cookies: lists.cookies ?? [],
      };
    case 'struct_ops':
      return { type: 'struct_ops', map_id: u32(0) };
    case 'netfilter':
      return {
        type: 'netfilter',
        pf: u32(0),
        hooknum: u32(4),
        priority: view.getInt32(8, true),
        flags: u32(12),
      };
    case 'tcx':
    case 'netkit':
      return { type: info.type, ifindex: u32(0), ...attach(4) };
    case 'uprobe_multi':
      return {
        type: 'uprobe_multi',
        path: text,
        count: u32(36),
        flags: u32(40),
        pid: u32(44),
        offsets: lists.offsets ?? [],
        ref_ctr_offsets: lists.ref_ctr_offsets ?? [],
        cookies: lists.cookies ?? [],
      };
    case 'sockmap':
      return { type: 'sockmap', map_id: u32(0), ...attach(4) };
    case 'tracing_multi':
      return { type: 'tracing_multi' };
  }
}

function perfDetails(view: DataView, name: string): Extract<LinkDetails, { type: 'perf_event' }> {
  const on = PERF_LINK_KINDS[view.getUint32(0, true)] ?? 'unspecified';
  const nothing = {
    type: 'perf_event',
    on,
    name,
    offset: 0,
    address: 0n,
    missed: 0n,
    cookie: 0n,
    ref_ctr_offset: 0n,
    event_type: 0,
    event_config: 0n,
  } as const;
  const u64 = (at: number) => view.getBigUint64(at, true);
  switch (on) {
    case 'uprobe':
    case 'uretprobe':
      return { ...nothing, offset: view.getUint32(20, true), cookie: u64(24), ref_ctr_offset: u64(32) };
    case 'kprobe':
    case 'kretprobe':
      return {
        ...nothing,
        offset: view.getUint32(20, true),
        address: u64(24),
        missed: u64(32),
        cookie: u64(40),
      };
    case 'tracepoint':
      return { ...nothing, cookie: u64(24) };
    case 'event':
      return { ...nothing, event_config: u64(8), event_type: view.getUint32(16, true), cookie: u64(24) };
    case 'unspecified':
      return nothing;
  }
}
