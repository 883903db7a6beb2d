/** What BTF may say of a map's keys and values. @see kernel/bpf/syscall.c, map_check_btf */
import { type Btf, type BtfTypeId, resolveType, trySizeOf } from '../../btf/index.ts';
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { MapCreateAttr } from '../../sys/kernel.ts';
import { type MapShape, mapTypeFacts } from '../maps/index.ts';
import type { BtfObject } from '../objects/btf-object.ts';
import { type FieldRecord, valueFieldsOf } from '../objects/field-record.ts';
import { type Call, fail, openFile } from './failure.ts';
import type { KernelState } from './state.ts';

const F = MAP_CREATE_FLAGS;

/** The types of a map, and the special fields of its values. */
interface ValueTypes {
  readonly btf: BtfObject;
  readonly key: number;
  readonly value: number;
  readonly fields: FieldRecord;
}

export function valueTypes(
  state: KernelState,
  call: Call,
  shape: MapShape,
  attr: MapCreateAttr,
): ValueTypes | undefined {
  const key = attr.btf_key_type_id ?? 0;
  const value = attr.btf_value_type_id ?? 0;
  if (key === 0 && value === 0) return undefined;
  const { object } = openFile(state, call, 'btf', attr.btf_fd);
  if (object.isKernel) throw fail(call, 'EACCES', "the kernel's own BTF can't describe a map");
  const { btf } = object;
  const rule = mapTypeFacts(shape.type)?.btf ?? 'none';
  if (key !== 0) checkSize(call, btf, key, attr.key_size, 'key');
  else if (rule === 'any' || rule === 'lpm') {
    throw fail(call, 'EINVAL', `a ${shape.type} map with a type for its values needs one for its keys`);
  }
  checkSize(call, btf, value, attr.value_size, 'value');
  const fields = valueFieldsOf(btf, value as BtfTypeId);
  checkFields(state, call, shape, btf, fields);
  checkKinds(call, shape, btf, key, value);
  return { btf: object, key, value, fields };
}

function checkSize(call: Call, btf: Btf, id: number, size: number, what: string): void {
  const known = id < btf.length ? trySizeOf(btf, id as BtfTypeId) : undefined;
  if (known === size) return;
  const found = known === undefined ? 'has no size' : `has ${known} bytes`;
  throw fail(call, 'EINVAL', `the ${what}'s BTF type ${id} ${found}, but ${what}_size is ${size}`);
}

function checkFields(
  state: KernelState,
  call: Call,
  { type, flags }: MapShape,
  btf: Btf,
  fields: FieldRecord,
): void {
  if (fields.length === 0) return;
  if (!state.capabilities.bpf) throw fail(call, 'EPERM', 'special fields in values need CAP_BPF');
  if (flags & (F.BPF_F_RDONLY_PROG | F.BPF_F_WRONLY_PROG)) {
    throw fail(call, 'EACCES', 'programs must be able to read and write a value with special fields');
  }
  const allowed = mapTypeFacts(type)?.fields ?? [];
  const wrong = fields.find(({ kind }) => !allowed.includes(kind));
  if (wrong) {
    throw fail(
      call,
      'EOPNOTSUPP',
      `the values of a ${type} map can't have a ${wrong.kind} (offset ${wrong.offset})`,
    );
  }
  for (const { kind, target } of fields) {
    const type = target === undefined ? undefined : btf.type(target);
    if (kind !== 'uptr' || type?.kind !== 'struct') continue;
    if (state.kernelBtf?.find(type.name, 'struct') !== undefined) {
      throw fail(call, 'EINVAL', `a user pointer can't point to the kernel's struct ${type.name}`);
    }
  }
}

/** What map types demand of their keys' and values' types, beside the size. */
function checkKinds(call: Call, shape: MapShape, btf: Btf, key: number, value: number): void {
  const { type } = shape;
  const rule = mapTypeFacts(type)?.btf ?? 'none';
  const kind = (id: number) => resolveType(btf, id as BtfTypeId).kind;
  switch (rule) {
    case 'any':
      return;
    case 'none':
      throw fail(call, 'ENOTSUPP', `a ${type} map has no BTF types`);
    case 'keyless':
      if (key === 0) return;
      throw fail(call, 'EINVAL', `a ${type} map has no keys that could have a type`);
    case 'array': {
      const globals = key === 0 && type === 'array' && shape.maxEntries === 1;
      if (globals ? kind(value) === 'datasec' : key !== 0 && isInt(btf, key, 32)) return;
      const reason =
        'an array has int keys; one without a key type is a section of variables, in one element';
      throw fail(call, 'EINVAL', reason);
    }
    case 'lpm':
      if (kind(key) === 'struct') return;
      throw fail(call, 'EINVAL', "an lpm_trie's key is a struct: the prefix length and the data");
    case 'owner':
      if (isInt(btf, key, 32)) return;
      throw fail(call, 'EINVAL', `a ${type} map's key is a descriptor: an int of 32 bits`);
    case 'cgroup':
      if (shape.keySize === CGROUP_KEY ? isCgroupKey(btf, key) : isInt(btf, key, 64)) return;
      throw fail(call, 'EINVAL', `a ${type} map's key is a u64 or a struct bpf_cgroup_storage_key`);
    default:
      rule satisfies never;
  }
}

/** `sizeof(struct bpf_cgroup_storage_key)`. */
const CGROUP_KEY = 16;

function isInt(btf: Btf, id: number, bits: number): boolean {
  if (id === 0) return false;
  const type = resolveType(btf, id as BtfTypeId);
  return type.kind === 'int' && type.bits === bits && type.bitOffset === 0;
}

function isCgroupKey(btf: Btf, id: number): boolean {
  const type = btf.type(id as BtfTypeId);
  if (type.kind !== 'struct' || type.members.length !== 2) return false;
  const [inode, attach] = type.members;
  const fits = (member: typeof inode, offset: number, size: number) => {
    if (member?.bitOffset !== offset * 8) return false;
    const of = resolveType(btf, member.type);
    return of.kind === 'int' && of.size === size && of.bits === size * 8;
  };
  return fits(inode, 0, 8) && fits(attach, 8, 4);
}

/** The kernel's struct that a struct_ops map's value is. @throws InputError `ENOTSUPP` for any other, `EINVAL` for its size */
export function checkKernelType(state: KernelState, call: Call, { valueSize }: MapShape, id: number): void {
  const btf = state.kernelBtf;
  if (!btf) throw fail(call, 'EINVAL', 'this kernel was given no BTF of its own');
  const type = id < btf.length ? btf.type(id as BtfTypeId) : undefined;
  if (
    type?.kind !== 'struct' ||
    !type.name.startsWith('bpf_struct_ops_') ||
    type.name === 'bpf_struct_ops_common_value'
  ) {
    throw fail(call, 'ENOTSUPP', `type ${id} of the kernel is no struct of functions`);
  }
  if (type.size !== valueSize) {
    throw fail(call, 'EINVAL', `${type.name} has ${type.size} bytes, but value_size is ${valueSize}`);
  }
}
