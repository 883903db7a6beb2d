import type {
  BtfId,
  BtfInfo,
  Fd,
  LinkId,
  LinkInfo,
  MapId,
  MapInfo,
  ObjInfo,
  ProgId,
  ProgInfo,
} from '../../sys/kernel.ts';
import { BpfMap } from '../maps/index.ts';
import { BtfObject } from '../objects/btf-object.ts';
import { Link } from '../objects/link.ts';
import { Program } from '../objects/program.ts';
import { type Call, fail } from './failure.ts';
import type { KernelState } from './state.ts';

export function objGetInfoByFd(state: KernelState, fd: Fd): ObjInfo {
  const call: Call = { command: 'obj_get_info_by_fd', doing: `reading about file descriptor ${fd}` };
  const file = state.fds.get(fd);
  // Linux says EBADFD here, not EBADF.
  if (!file) throw fail(call, 'EBADFD', 'it is not open');
  const { object } = file;
  if (object instanceof Program) return progInfo(state, object);
  if (object instanceof BpfMap) return mapInfo(object);
  if (object instanceof BtfObject) return btfInfo(object);
  if (object instanceof Link) return linkInfo(object);
  throw fail(call, 'EINVAL', `a ${object.kind} has no such information`);
}

function linkInfo(link: Link): LinkInfo {
  return {
    kind: 'link',
    type: link.type,
    id: link.id as LinkId,
    prog_id: link.program.id as ProgId,
    ...(link.text !== undefined && { text: link.text }),
    raw: link.tail(),
  };
}

function mapInfo(map: BpfMap): MapInfo {
  const { shape, types } = map;
  return {
    kind: 'map',
    type: shape.type,
    id: map.id as MapId,
    key_size: shape.keySize,
    value_size: shape.valueSize,
    max_entries: shape.maxEntries,
    map_flags: shape.flags,
    name: shape.name,
    ifindex: 0,
    btf_vmlinux_value_type_id: 0,
    netns_dev: 0n,
    netns_ino: 0n,
    btf_id: (types?.btf.id ?? 0) as BtfId,
    btf_key_type_id: types?.key ?? 0,
    btf_value_type_id: types?.value ?? 0,
    btf_vmlinux_id: 0,
    map_extra: shape.extra,
  };
}

function btfInfo(object: BtfObject): BtfInfo {
  return {
    kind: 'btf',
    btf: object.bytes.slice(),
    id: object.id as BtfId,
    name: object.isKernel ? 'vmlinux' : '',
    kernel_btf: object.isKernel,
  };
}

function progInfo(state: KernelState, program: Program): ProgInfo {
  const { facts, verified, stats } = program;
  const insns = shownInsns(program);
  return {
    kind: 'prog',
    type: facts.type,
    id: program.id as ProgId,
    tag: facts.tag.slice(),
    xlated_prog_insns: insns,
    jited_prog_len: state.jitedLength(program),
    xlated_prog_len: insns.length,
    load_time: facts.loadTime,
    created_by_uid: state.uid,
    map_ids: program.usedMaps.map((map) => map.id as MapId),
    name: facts.name,
    ifindex: facts.ifindex,
    gpl_compatible: facts.gplCompatible,
    netns_dev: 0n,
    netns_ino: 0n,
    nr_func_info: count(facts.funcInfo, verified.input.funcInfo?.recSize),
    nr_line_info: count(facts.lineInfo, verified.input.lineInfo?.recSize),
    func_info: facts.funcInfo.slice(),
    line_info: facts.lineInfo.slice(),
    btf_id: (program.btf?.id ?? 0) as BtfId,
    run_time_ns: stats.nanoseconds,
    run_cnt: stats.runs,
    recursion_misses: stats.recursionMisses,
    verified_insns: verified.processed,
    attach_btf_obj_id: 0 as BtfId,
    attach_btf_id: facts.attachBtfId,
  };
}

function count(records: Uint8Array, recSize: number | undefined): number {
  return recSize ? records.length / recSize : 0;
}

/** `BPF_PSEUDO_MAP_FD` and `BPF_PSEUDO_MAP_VALUE`, which the forms by index become. */
const MAP_FD = 1;
const MAP_VALUE = 2;

/** The instructions as Linux shows them: where a map's descriptor stood stands its id. */
function shownInsns(program: Program): Uint8Array<ArrayBuffer> {
  const { verified, maps } = program;
  const shown = Uint8Array.from(verified.input.insns);
  const view = new DataView(shown.buffer);
  for (const [slot, index] of verified.mapRefs) {
    const insn = verified.insns[slot];
    if (insn?.kind !== 'ldimm64') continue;
    const { imm } = insn;
    const value = imm.kind === 'map_value' || imm.kind === 'map_idx_value';
    const at = slot * 8;
    shown[at + 1] = (shown[at + 1]! & 0x0f) | ((value ? MAP_VALUE : MAP_FD) << 4);
    view.setUint32(at + 4, maps[index]!.id, true);
    view.setUint32(at + 12, value ? imm.off : 0, true);
  }
  return shown;
}
