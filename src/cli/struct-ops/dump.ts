import { InputError } from '../../base/error.ts';
import {
  type Btf,
  type BtfFuncProto,
  type BtfTypeId,
  type BtfValueInput,
  declareC,
  encodeValue,
  type JsonTree,
  resolveType,
  valueTree,
} from '../../btf/index.ts';
import { vmlinuxBtf } from '../../loader/index.ts';
import { type Kernel, type MapInfo, mapTypeId, type ProgId } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { JsonWriter } from '../grammar/json-writer.ts';
import { Failed, refusedAs } from '../grammar/refusal.ts';
import { fullName, infoOf } from '../grammar/selectors.ts';
import { writeTree } from '../map/entry.ts';
import { takeStructOps } from './select.ts';

/** `struct_ops dump [id ID | name NAME]`: JSON in any case. */
export async function dumpStructOps(call: Call): Promise<void> {
  const { out } = call;
  const { maps, name } = await takeStructOps(call, false);
  const { kernel } = await call.world();
  const json = out.json ?? new JsonWriter((text) => out.print(text), true);
  json.startArray();
  for (const { fd, info } of maps) {
    const btf = vmlinuxBtf(kernel);
    if (btf === undefined) {
      throw new InputError('cli-struct-ops', 'the kernel has no types by which tables could be read');
    }
    const value = (() => {
      try {
        return kernel.bpf.map_lookup_elem({ map_fd: fd, key: new Uint8Array(4) });
      } catch (error) {
        throw refusedAs(`can't lookup struct_ops map ${info.name} id ${info.id}`, error);
      }
    })();
    json.startObject().name('bpf_map_info');
    writeTree(json, infoTree(btf, info));
    json.endObject();
    const id = info.btf_vmlinux_value_type_id as BtfTypeId;
    const table = btf.type(id);
    json.startObject().name('name' in table ? table.name : '');
    const bytes = value ?? new Uint8Array(info.value_size);
    const tree = valueTree(btf, id, bytes, { json: out.json !== undefined });
    writeTree(json, withFunctions(kernel, btf, id, bytes, tree));
    json.endObject();
  }
  json.endArray();
  if (!out.json) out.print('\n');
  if (name !== undefined && maps.length === 0) throw new Failed();
}

/** The tree with each pointer to a function as its signature and the program that is called. */
function withFunctions(kernel: Kernel, btf: Btf, id: BtfTypeId, bytes: Uint8Array, tree: JsonTree): JsonTree {
  const type = resolveType(btf, id);
  if (type.kind !== 'struct' || tree.kind !== 'object') return tree;
  const members = new Map(type.members.map((member) => [member.name, member]));
  const fields = tree.fields.map(([name, value]): readonly [string, JsonTree] => {
    const member = members.get(name);
    if (!member) return [name, value];
    const at = bytes.subarray(member.bitOffset / 8);
    const target = resolveType(btf, member.type);
    if (target.kind === 'struct') return [name, withFunctions(kernel, btf, member.type, at, value)];
    const func = target.kind === 'ptr' ? resolveType(btf, target.type) : undefined;
    if (func?.kind !== 'func_proto') return [name, value];
    const program = new DataView(at.buffer, at.byteOffset).getUint32(0, true);
    const text = `${signature(btf, func)} ${programText(kernel, program)}`;
    return [name, { kind: 'raw', text: JSON.stringify(text) }];
  });
  return { kind: 'object', fields };
}

/** `void (struct sock *, u32)`. */
function signature(btf: Btf, { returns, params }: BtfFuncProto): string {
  const types = params.map(({ type }) => declareC(btf, type));
  return `${returns === 0 ? 'void' : declareC(btf, returns)} (${types.join(', ')})`;
}

function programText(kernel: Kernel, id: number): string {
  if (id === 0) return '0';
  try {
    const fd = kernel.bpf.prog_get_fd_by_id({ prog_id: id as ProgId });
    const name = fullName(kernel, infoOf(kernel, fd, 'prog'));
    kernel.closeFd(fd);
    return `${name}/prog_id:${id}`;
  } catch {
    return `prog_id:${id}`;
  }
}

/** `struct bpf_map_info` as the kernel lays it out. */
function infoTree(btf: Btf, info: MapInfo): ReturnType<typeof valueTree> {
  const id = btf.find('bpf_map_info', 'struct');
  const struct = id === undefined ? undefined : btf.type(id);
  if (id === undefined || struct?.kind !== 'struct') {
    throw new InputError('cli-struct-ops', "the kernel's types have no struct bpf_map_info");
  }
  const known: Readonly<Record<string, unknown>> = { ...info, type: mapTypeId(info.type) };
  const members = struct.members
    .map(({ name }) => [name, known[name]] as const)
    .filter(([, value]) => ['number', 'bigint', 'string'].includes(typeof value));
  return valueTree(btf, id, encodeValue(btf, id, Object.fromEntries(members) as BtfValueInput));
}
