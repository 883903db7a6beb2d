import { InputError } from '../base/error.ts';
import type { Fields, StructLayout } from '../base/layout.ts';
import {
  type Bpf,
  type BtfId,
  type BtfInfo,
  type Fd,
  type LinkId,
  type LinkInfo,
  type LinkType,
  linkTypeName,
  type MapId,
  type MapInfo,
  mapTypeName,
  type ProgId,
  type ProgInfo,
  progTypeName,
} from '../sys/index.ts';
import { type Caller, unknownType } from './call.ts';
import { BTF_INFO, LINK_INFO, MAP_INFO, PROG_INFO } from './info-layout.ts';
import { cstring } from './object.ts';
import { type Region, u32s } from './scratch.ts';

const U32 = 4;
const U64 = 8;

/** OBJ_GET_INFO_BY_FD: asked once for the sizes, and again for what has them. */
export function infoCommands(caller: Caller): Pick<Bpf, 'obj_get_info_by_fd'> {
  return {
    obj_get_info_by_fd(attr) {
      const fd = attr.bpf_fd;
      switch (caller.kind(fd)) {
        case 'prog':
          return progInfo(caller, fd);
        case 'map':
          return mapInfo(caller, fd);
        case 'btf':
          return btfInfo(caller, fd);
        case 'link':
          return linkInfo(caller, fd);
        case undefined:
          // The kernel says whether it is closed or something else.
          caller.call('obj_get_info_by_fd', attr, { bpf_fd: fd, info_len: 0 });
          throw new InputError(
            'linux-obj-get-info-by-fd',
            `reading about fd ${fd}: it is not a program, map, BTF or link`,
            { errno: 'EINVAL' },
          );
      }
    },
  };
}

/** One call. @returns the struct's members and the bytes behind them */
function ask<M>(
  caller: Caller,
  fd: Fd,
  layout: StructLayout<M>,
  given: Partial<Fields<M>>,
): { fields: Fields<M>; bytes: Uint8Array } {
  const info = caller.scratch.reserve(layout.size);
  info.bytes.fill(0);
  const view = new DataView(info.bytes.buffer, info.bytes.byteOffset, layout.size);
  layout.patch(view, 0, given);
  const attr = { bpf_fd: fd, info_len: layout.size, info: info.address };
  caller.call('obj_get_info_by_fd', { bpf_fd: fd }, attr);
  return { fields: layout.read(view, 0), bytes: info.bytes };
}

/** The kernel copies instructions for the answer, and can't where they take more than its allocator gives at once. */
function askProg(caller: Caller, fd: Fd, wanted: Parameters<(typeof PROG_INFO)['patch']>[2]) {
  try {
    return ask(caller, fd, PROG_INFO, wanted);
  } catch (error) {
    if (!(error instanceof InputError) || error.errno !== 'ENOMEM') throw error;
    return ask(caller, fd, PROG_INFO, { ...wanted, xlated_prog_len: 0, xlated_prog_insns: 0n });
  }
}

function progInfo(caller: Caller, fd: Fd): ProgInfo {
  const { scratch } = caller;
  scratch.reset();
  const sizes = ask(caller, fd, PROG_INFO, {}).fields;
  const xlated = scratch.reserve(sizes.xlated_prog_len);
  const mapIds = scratch.reserve(sizes.nr_map_ids * U32);
  const funcs = scratch.reserve(sizes.nr_func_info * sizes.func_info_rec_size);
  const lines = scratch.reserve(sizes.nr_line_info * sizes.line_info_rec_size);
  const jited = scratch.reserve(sizes.jited_prog_len);
  const ksyms = scratch.reserve(sizes.nr_jited_ksyms * U64);
  const lens = scratch.reserve(sizes.nr_jited_func_lens * U32);
  const wanted = {
    xlated_prog_len: sizes.xlated_prog_len,
    xlated_prog_insns: xlated.address,
    nr_map_ids: sizes.nr_map_ids,
    map_ids: mapIds.address,
    nr_func_info: sizes.nr_func_info,
    func_info_rec_size: sizes.func_info_rec_size,
    func_info: funcs.address,
    nr_line_info: sizes.nr_line_info,
    line_info_rec_size: sizes.line_info_rec_size,
    line_info: lines.address,
    jited_prog_len: sizes.jited_prog_len,
    jited_prog_insns: jited.address,
    nr_jited_ksyms: sizes.nr_jited_ksyms,
    jited_ksyms: ksyms.address,
    nr_jited_func_lens: sizes.nr_jited_func_lens,
    jited_func_lens: lens.address,
  };
  const { fields } = askProg(caller, fd, wanted);
  const type = progTypeName(fields.type);
  if (type === undefined) throw unknownType('program', fd, fields.type);
  return {
    kind: 'prog',
    type,
    id: fields.id as ProgId,
    tag: fields.tag,
    // A caller who may not see kernel addresses gets no instructions: the pointer comes back as zero.
    xlated_prog_insns: fields.xlated_prog_insns === 0n ? new Uint8Array(0) : xlated.bytes.slice(),
    jited_prog_len: fields.jited_prog_len,
    xlated_prog_len: fields.xlated_prog_len,
    load_time: fields.load_time,
    created_by_uid: fields.created_by_uid,
    map_ids: u32s(mapIds, sizes.nr_map_ids) as MapId[],
    name: fields.name,
    ifindex: fields.ifindex,
    gpl_compatible: (fields.gpl_compatible & 1) === 1,
    netns_dev: fields.netns_dev,
    netns_ino: fields.netns_ino,
    nr_func_info: fields.nr_func_info,
    nr_line_info: fields.nr_line_info,
    func_info: funcs.bytes.slice(),
    line_info: lines.bytes.slice(),
    btf_id: fields.btf_id as BtfId,
    run_time_ns: fields.run_time_ns,
    run_cnt: fields.run_cnt,
    recursion_misses: fields.recursion_misses,
    verified_insns: fields.verified_insns,
    attach_btf_obj_id: fields.attach_btf_obj_id as BtfId,
    attach_btf_id: fields.attach_btf_id,
    ...(fields.jited_prog_len > 0 &&
      fields.jited_prog_insns !== 0n && {
        jited: {
          ksyms: u64s(ksyms.bytes),
          func_lens: u32s(lens, sizes.nr_jited_func_lens),
          insns: jited.bytes.slice(),
        },
      }),
  };
}

function mapInfo(caller: Caller, fd: Fd): MapInfo {
  caller.scratch.reset();
  const { fields } = ask(caller, fd, MAP_INFO, {});
  const type = mapTypeName(fields.type);
  if (type === undefined) throw unknownType('map', fd, fields.type);
  return {
    kind: 'map',
    type,
    id: fields.id as MapId,
    key_size: fields.key_size,
    value_size: fields.value_size,
    max_entries: fields.max_entries,
    map_flags: fields.map_flags,
    name: fields.name,
    ifindex: fields.ifindex,
    btf_vmlinux_value_type_id: fields.btf_vmlinux_value_type_id,
    netns_dev: fields.netns_dev,
    netns_ino: fields.netns_ino,
    btf_id: fields.btf_id as BtfId,
    btf_key_type_id: fields.btf_key_type_id,
    btf_value_type_id: fields.btf_value_type_id,
    btf_vmlinux_id: fields.btf_vmlinux_id,
    map_extra: fields.map_extra,
  };
}

function btfInfo(caller: Caller, fd: Fd): BtfInfo {
  const { scratch } = caller;
  scratch.reset();
  const sizes = ask(caller, fd, BTF_INFO, {}).fields;
  const btf = scratch.reserve(sizes.btf_size);
  const name = scratch.reserve(sizes.name_len + 1);
  name.bytes.fill(0);
  const { fields } = ask(caller, fd, BTF_INFO, {
    btf: btf.address,
    btf_size: sizes.btf_size,
    name: name.address,
    name_len: name.bytes.length,
  });
  return {
    kind: 'btf',
    btf: btf.bytes.slice(),
    id: fields.id as BtfId,
    name: cstring(name.bytes),
    kernel_btf: fields.kernel_btf !== 0,
  };
}

/** Where a link's tail has the pointer to a text, and the length of its room. */
const LINK_TEXT: { readonly [T in LinkType]?: { readonly pointer: number; readonly length: number } } = {
  raw_tracepoint: { pointer: 0, length: 8 },
  iter: { pointer: 0, length: 8 },
  uprobe_multi: { pointer: 0, length: 32 },
  perf_event: { pointer: 8, length: 16 },
};
/** Where a link's tail has the pointers to lists of 64-bit numbers, and how many there are. */
const LINK_LISTS: {
  readonly [T in LinkType]?: {
    readonly count: number;
    readonly pointers: Readonly<Partial<Record<keyof NonNullable<LinkInfo['lists']>, number>>>;
  };
} = {
  kprobe_multi: { count: 8, pointers: { addrs: 0, cookies: 24 } },
  uprobe_multi: { count: 36, pointers: { offsets: 8, ref_ctr_offsets: 16, cookies: 24 } },
};
const TEXT_BYTES = 4096;
const PERF_EVENT_KIND_WITHOUT_TEXT = 6;

function linkInfo(caller: Caller, fd: Fd): LinkInfo {
  const { scratch } = caller;
  scratch.reset();
  let { fields } = ask(caller, fd, LINK_INFO, {});
  const type = linkTypeName(fields.type);
  if (type === undefined) throw unknownType('link', fd, fields.type);
  const tail = new Uint8Array(LINK_INFO.members.tail.size);
  const view = new DataView(tail.buffer);
  const eventOnly = type === 'perf_event' && fields.tail[0] === PERF_EVENT_KIND_WITHOUT_TEXT;
  const place = eventOnly ? undefined : LINK_TEXT[type];
  const pointers: number[] = [];
  let text: Region | undefined;
  if (place !== undefined) {
    text = scratch.reserve(TEXT_BYTES);
    text.bytes[0] = 0;
    view.setBigUint64(place.pointer, text.address, true);
    view.setUint32(place.length, TEXT_BYTES, true);
    pointers.push(place.pointer);
  }
  const known = LINK_LISTS[type];
  const regions: [keyof NonNullable<LinkInfo['lists']>, Region][] = [];
  if (known !== undefined) {
    const count = new DataView(fields.tail.buffer, fields.tail.byteOffset).getUint32(known.count, true);
    view.setUint32(known.count, count, true);
    for (const [name, pointer] of Object.entries(known.pointers) as [(typeof regions)[0][0], number][]) {
      const region = scratch.reserve(count * 8);
      region.bytes.fill(0);
      view.setBigUint64(pointer, region.address, true);
      pointers.push(pointer);
      regions.push([name, region]);
    }
  }
  if (pointers.length > 0) {
    ({ fields } = ask(caller, fd, LINK_INFO, { tail }));
    // An address of this process says nothing to the reader.
    const seen = new DataView(fields.tail.buffer, fields.tail.byteOffset);
    for (const pointer of pointers) seen.setBigUint64(pointer, 0n, true);
  }
  return {
    kind: 'link',
    type,
    id: fields.id as LinkId,
    prog_id: fields.prog_id as ProgId,
    ...(text === undefined ? {} : { text: cstring(text.bytes) }),
    raw: fields.tail,
    ...(regions.length > 0 && {
      lists: Object.fromEntries(regions.map(([name, { bytes }]) => [name, u64s(bytes)])),
    }),
  };
}

function u64s(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 8 }, (_, i) => view.getBigUint64(i * 8, true));
}
