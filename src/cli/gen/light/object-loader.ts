/** An object as a loader program and its data: what libbpf does to load it, written down instead of done. */
import { InputError } from '../../../base/error.ts';
import { type Btf, CORE_RELO_KINDS } from '../../../btf/index.ts';
import { SLOT_SIZE, writeSlot } from '../../../isa/index.ts';
import { NAMING } from '../../../loader/attach-target.ts';
import { maxEntries } from '../../../loader/create-maps.ts';
import {
  type LinkedProgram,
  linkProgram,
  type MapSpec,
  type ObjectSpec,
  type ProgramSpec,
} from '../../../loader/index.ts';
import { kconfigValues } from '../../../loader/resolve-externs.ts';
import {
  attachTypeId,
  type Errno,
  type Kernel,
  MAP_CREATE_FLAGS,
  mapTypeId,
  PROG_LOAD_FLAGS,
  progTypeId,
} from '../../../sys/index.ts';
import type { CMap, CObject } from '../c-object.ts';
import type { LoaderImage } from './c-light.ts';
import { LoaderBuilder, type LoaderMap, type LoaderProgram } from './loader-program.ts';
import { BTF_KIND, type SymbolUse } from './symbols.ts';

/** `src_reg` of a wide load of a map, of a map's value, of a type's address; of a call of a kernel function. */
const PSEUDO = { mapIdx: 5, mapIdxValue: 6, btfId: 3, kfunc: 2 } as const;
/** Bytes of a record of a function, a line, a CO-RE relocation. */
const FUNCTION_SIZE = 8;
const LINE_SIZE = 16;
const RELOCATION_SIZE = 16;
/** Maps whose keys and values the kernel takes no types for. */
const UNTYPED: ReadonlySet<string> = new Set([
  'perf_event_array',
  'cgroup_array',
  'stack_trace',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'devmap_hash',
  'cpumap',
  'xskmap',
  'sockmap',
  'sockhash',
  'queue',
  'stack',
]);

/** Those whose size the caller may have to say. */
const RINGS: ReadonlySet<string> = new Set(['ringbuf', 'user_ringbuf']);

/**
 * @param kernel whose processors and configuration the object is made for
 * @throws InputError for what a loader program can't load
 */
export function buildLoader(object: CObject, spec: ObjectSpec, kernel: Kernel): LoaderImage {
  const { maps, edition } = object;
  const builder = new LoaderBuilder(spec.functions.length, maps.length, edition.newSections);
  const index = new MapPlaces(maps);
  if (object.btf) builder.types(object.btf.bytes);
  for (const map of maps) builder.map(loaderMap(map, spec, kernel, index));
  const strings = spec.btf && new StringPlaces(spec.btf);
  for (const program of spec.programs.values()) {
    if (program.autoload && program.section !== '.text') {
      builder.program(loaderProgram(program, object, spec, kernel, index, strings));
    }
  }
  const values = maps.map(({ spec: map }) => [map.name, initialValue(map, spec, kernel)] as const);
  return { ...builder.finish(), values: new Map(values) };
}

/** @param errno which libbpf answers */
function unloadable(why: string, errno: Errno = 'EINVAL'): InputError {
  return new InputError('cli-gen', 'failed to load object file', {
    errno,
    cause: new InputError('cli-gen', `a light skeleton can't be written: ${why}`),
  });
}

function loaderMap(
  { name, spec: map, data }: CMap,
  spec: ObjectSpec,
  kernel: Kernel,
  index: MapPlaces,
): LoaderMap {
  if (map.structOps) throw unloadable(`${name} is a table of functions, which needs the kernel's types`);
  if (map.type === 'arena' && data !== undefined) {
    throw unloadable(`arena ${name} holds variables, which a loader program can't put there`);
  }
  if (map.pin !== undefined) throw unloadable(`map ${name} is to be pinned, which a loader program can't`);
  if (map.type === 'prog_array' && map.slots.length > 0) {
    throw unloadable(
      `map ${name} starts with programs, which a loader program can't put there`,
      'EOPNOTSUPP',
    );
  }
  const values = initialValue(map, spec, kernel);
  return {
    attr: mapAttr(
      map,
      map.origin === 'data' && map.name.indexOf('.', 1) > 0 ? map.name : name,
      kernel,
      spec,
      data,
    ),
    ...(map.inner && { inner: mapAttr(map.inner, `${name}.inner`, kernel, spec, undefined) }),
    holdsMaps: map.type === 'array_of_maps' || map.type === 'hash_of_maps',
    ...(values && { data: values }),
    frozen: map.frozen,
    slots: map.slots.map((slot) => ({ index: slot.index, map: index.of(slot.name) })),
  };
}

/** The bytes of a map of global data. */
function initialValue(map: MapSpec, spec: ObjectSpec, kernel: Kernel): Uint8Array | undefined {
  if (map.origin === 'kconfig') return kconfigValues(kernel, spec);
  return map.origin === 'data' ? map.data : undefined;
}

function mapAttr(
  map: MapSpec,
  name: string,
  kernel: Kernel,
  { btf }: ObjectSpec,
  data: string | undefined,
): LoaderMap['attr'] {
  const { BPF_F_MMAPABLE } = MAP_CREATE_FLAGS;
  const internal = map.origin === 'data' || map.origin === 'kconfig';
  const seen = data === undefined ? 0 : BPF_F_MMAPABLE;
  const typed = btf !== undefined && !UNTYPED.has(map.type);
  return {
    map_type: mapTypeId(map.type),
    key_size: map.keySize,
    value_size: map.valueSize,
    max_entries: map.maxEntries === 0 && RINGS.has(map.type) ? 0 : maxEntries(kernel, map, undefined),
    map_flags: internal ? (map.flags & ~BPF_F_MMAPABLE) | seen : map.flags,
    inner_map_fd: 0,
    numa_node: map.numaNode ?? 0,
    map_name: cut(name),
    map_ifindex: 0,
    btf_fd: 0,
    btf_key_type_id: typed ? map.keyType : 0,
    btf_value_type_id: typed ? map.valueType : 0,
    btf_vmlinux_value_type_id: 0,
    map_extra: map.extra,
  };
}

/** A name of at most 15 bytes. */
function cut(name: string): Uint8Array {
  return new TextEncoder().encode(name).subarray(0, 15);
}

function loaderProgram(
  program: ProgramSpec,
  { edition }: CObject,
  spec: ObjectSpec,
  kernel: Kernel,
  index: MapPlaces,
  strings: StringPlaces | undefined,
): LoaderProgram {
  const { name, type } = program;
  const attach = edition.newSections && isUsdt(program) ? 'trace_uprobe_multi' : program.attach;
  if (type === undefined) throw unloadable(`section ${program.section} of ${name} says no program type`);
  if (type === 'ext') throw unloadable(`${name} replaces a function of a program that is not known yet`);
  if (program.attachBtf && !program.target) {
    throw unloadable(`section ${program.section} of ${name} does not say what it is attached to`);
  }
  if (type === 'struct_ops' && edition.newSections) {
    throw unloadable(`no table has ${name}, which is to be a function of one`);
  }
  const linked = linkProgram(spec, program);
  const symbols = refer(linked, spec, index, kernel);
  const described = linked.funcs.every(({ btfType }) => btfType !== undefined);
  const lined = linked.lines.length > 0;
  const naming = (attach && NAMING[attach]) ?? { prefix: '', kind: 'func' as const };
  const flags =
    (program.sleepable ? PROG_LOAD_FLAGS.BPF_F_SLEEPABLE : 0) |
    (program.frags ? PROG_LOAD_FLAGS.BPF_F_XDP_HAS_FRAGS : 0);
  return {
    attr: {
      prog_type: progTypeId(type),
      insn_cnt: linked.insns.length / SLOT_SIZE,
      insns: 0n,
      license: 0n,
      log_level: 0,
      log_size: 0,
      log_buf: 0n,
      kern_version: 0,
      prog_flags: flags,
      prog_name: cut(name),
      prog_ifindex: 0,
      expected_attach_type: attach === undefined ? 0 : attachTypeId(attach),
      prog_btf_fd: 0,
      func_info_rec_size: described ? FUNCTION_SIZE : 0,
      func_info: 0n,
      func_info_cnt: described ? linked.funcs.length : 0,
      line_info_rec_size: lined ? LINE_SIZE : 0,
      line_info: 0n,
      line_info_cnt: linked.lines.length,
      attach_btf_id: program.attachBtf ? 1 : 0,
      attach_btf_obj_fd: 0,
      core_relo_cnt: linked.coreRelos.length,
      fd_array: 0n,
      core_relos: 0n,
      core_relo_rec_size: RELOCATION_SIZE,
    },
    license: spec.license,
    insns: linked.insns,
    functions: described
      ? words(linked.funcs.map(({ insn, btfType }) => [insn, btfType!]))
      : new Uint8Array(),
    lines: words(
      linked.lines.map(({ insn, fileOffset, textOffset, line, column }) => [
        insn,
        fileOffset,
        textOffset,
        ((line << 10) | (column & 0x3ff)) >>> 0,
      ]),
    ),
    relocations: words(
      linked.coreRelos.map(({ insn, type: id, access, kind }) => [
        insn * SLOT_SIZE,
        id,
        strings?.of(access) ?? 0,
        CORE_RELO_KINDS.indexOf(kind),
      ]),
    ),
    ...(program.attachBtf && {
      target: {
        name: `${naming.prefix}${program.target}`,
        kind: BTF_KIND[naming.kind as 'func' | 'typedef'],
      },
    }),
    symbols,
  };
}

/** Where many places can be probed at once, its program is loaded for that. */
function isUsdt({ section }: ProgramSpec): boolean {
  return /^usdt(\.s)?(\/|$)/.test(section);
}

/** Puts maps by their index into the instructions. @returns what only the kernel knows */
function refer(linked: LinkedProgram, spec: ObjectSpec, index: MapPlaces, kernel: Kernel): SymbolUse[] {
  const { insns } = linked;
  const symbols: SymbolUse[] = [];
  const wide = (insn: number, src: number, low: number, high?: number) => {
    writeSlot(insns, insn, { src, imm: low });
    if (high !== undefined) writeSlot(insns, insn + 1, { imm: high });
  };
  for (const ref of linked.refs) {
    const { insn } = ref;
    if (ref.kind === 'map') wide(insn, PSEUDO.mapIdx, index.of(ref.map));
    else if (ref.kind === 'data') wide(insn, PSEUDO.mapIdxValue, index.of(ref.map), ref.off);
    else if (ref.kind === 'extern' || ref.kind === 'kfunc') {
      const entry = spec.externs.get(ref.extern)!;
      const { name, weak } = entry;
      if (entry.kind === 'kconfig') {
        wide(insn, PSEUDO.mapIdxValue, index.of('.kconfig'), entry.offset);
      } else if (ref.kind === 'kfunc') {
        writeSlot(insns, insn, { src: PSEUDO.kfunc, off: 0, imm: 0 });
        symbols.push({ name, insn, weak, kind: 'call' });
      } else if (entry.type === undefined) {
        // Looked up anew where it is loaded.
        const address = kernel.ksym(name);
        if (address === undefined && !weak) throw unloadable(`the kernel has no symbol ${name}`, 'ESRCH');
        wide(insn, 0, Number((address ?? 0n) & 0xffff_ffffn), Number((address ?? 0n) >> 32n));
        symbols.push({ name, insn, weak, kind: 'address' });
      } else {
        wide(insn, PSEUDO.btfId, 0, 0);
        symbols.push({ name, insn, weak, kind: entry.kind === 'kfunc' ? 'function' : 'variable' });
      }
    }
  }
  return symbols;
}

/** Maps by their index among those that are made. */
class MapPlaces {
  readonly #places: ReadonlyMap<string, number>;

  constructor(maps: readonly CMap[]) {
    this.#places = new Map(maps.map(({ spec }, i) => [spec.name, i]));
  }

  of(name: string): number {
    const place = this.#places.get(name);
    if (place === undefined)
      throw unloadable(`map ${name}, which is used, is not one that this libbpf knows`);
    return place;
  }
}

/** Records of 32-bit words. */
function words(rows: readonly (readonly number[])[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(rows.flat()).buffer);
}

/** Where the strings of a BTF are. */
class StringPlaces {
  readonly #places = new Map<string, number>();

  constructor(btf: Btf) {
    const { bytes } = btf.strings;
    const decoder = new TextDecoder();
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(0, at);
      const stop = end < 0 ? bytes.length : end;
      const text = decoder.decode(bytes.subarray(at, stop));
      if (!this.#places.has(text)) this.#places.set(text, at);
      at = stop + 1;
    }
  }

  of(text: string): number {
    return this.#places.get(text) ?? 0;
  }
}
