/** Elements of maps as bpftool prints them: bytes, and by their BTF. */
import { type Btf, type BtfTypeId, type JsonTree, parseBtf, valueTree } from '../../btf/index.ts';
import { vmlinuxBtf } from '../../loader/index.ts';
import type { Kernel, MapInfo } from '../../sys/index.ts';
import { hexJson, hexText } from '../grammar/bytes.ts';
import type { Call } from '../grammar/call.ts';
import { JsonWriter } from '../grammar/json-writer.ts';
import { attempt } from '../grammar/refusal.ts';
import { cpuStep, isPerCpu } from './element.ts';

/** The types of a map's keys and values. */
export interface MapTypes {
  readonly btf: Btf;
  /** 0 where it has none. */
  readonly key: BtfTypeId;
  readonly value: BtfTypeId;
}

/** The types that a map was made with, or those of the kernel's own struct that its values are. */
export function typesOf(kernel: Kernel, info: MapInfo): MapTypes | undefined {
  const key = info.btf_key_type_id as BtfTypeId;
  if (info.btf_vmlinux_value_type_id !== 0) {
    const btf = vmlinuxBtf(kernel);
    return btf && { btf, key, value: info.btf_vmlinux_value_type_id as BtfTypeId };
  }
  if (info.btf_value_type_id === 0) return undefined;
  const fd = attempt('failed to get btf', () => kernel.bpf.btf_get_fd_by_id({ btf_id: info.btf_id }));
  try {
    const found = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (found.kind !== 'btf') return undefined;
    const btf = parseBtf(found.btf, `BTF ${info.btf_id}`);
    return { btf, key, value: info.btf_value_type_id as BtfTypeId };
  } finally {
    kernel.closeFd(fd);
  }
}

/** A value by its type, set into JSON. */
export function writeTree(json: JsonWriter, tree: JsonTree): void {
  switch (tree.kind) {
    case 'raw':
      json.raw(tree.text);
      return;
    case 'array':
      json.startArray();
      for (const item of tree.items) writeTree(json, item);
      json.endArray();
      return;
    case 'object':
      json.startObject();
      for (const [name, value] of tree.fields) {
        json.name(name);
        writeTree(json, value);
      }
      json.endObject();
  }
}

/** An element of a map: a key, and its value or values. */
export interface Entry {
  readonly info: MapInfo;
  readonly key: Uint8Array;
  /** As the kernel gave it: for each CPU where the map is so. */
  readonly value: Uint8Array;
}

function cpuValues({ info, value }: Entry): Uint8Array[] {
  const step = cpuStep(info);
  const cpus = step === 0 ? 0 : Math.floor(value.length / step);
  return Array.from({ length: cpus }, (_, cpu) => value.subarray(cpu * step, cpu * step + info.value_size));
}

/** `{key, value}` by type. */
function writeTyped(json: JsonWriter, entry: Entry, types: MapTypes, strict: boolean): void {
  const value = (bytes: Uint8Array) =>
    writeTree(json, valueTree(types.btf, types.value, bytes, { json: strict }));
  json.startObject();
  if (types.key !== 0) {
    json.name('key');
    writeTree(json, valueTree(types.btf, types.key, entry.key, { json: strict }));
  }
  if (isPerCpu(entry.info)) {
    json.name('values').startArray();
    for (const [cpu, bytes] of cpuValues(entry).entries()) {
      json.startObject().field('cpu', cpu).name('value');
      value(bytes);
      json.endObject();
    }
    json.endArray();
  } else {
    json.name('value');
    value(entry.value);
  }
  json.endObject();
}

function writeJson(json: JsonWriter, entry: Entry, types: MapTypes | undefined): void {
  json.startObject().name('key');
  hexJson(json, entry.key);
  if (isPerCpu(entry.info)) {
    json.name('values').startArray();
    for (const [cpu, bytes] of cpuValues(entry).entries()) {
      json.startObject().field('cpu', cpu).name('value');
      hexJson(json, bytes);
      json.endObject();
    }
    json.endArray();
  } else {
    json.name('value');
    hexJson(json, entry.value.subarray(0, entry.info.value_size));
  }
  if (types) {
    json.name('formatted');
    writeTyped(json, entry, types, true);
  }
  json.endObject();
}

/** Whether a key and a value stand on one line, and whether on the lines below their names. */
function layout(key: number, value: number): { readonly one: boolean; readonly gap: string } {
  const broken = key > 16 || value > 16;
  return { one: key + value <= 24 && !broken, gap: broken ? '\n' : ' ' };
}

function entryText(entry: Entry): string {
  const { info, key, value } = entry;
  if (isPerCpu(info)) {
    let text = info.key_size > 0 ? `key:\n${hexText(key)}\n` : '';
    if (info.value_size === 0) return text;
    for (const [cpu, bytes] of cpuValues(entry).entries()) {
      text += `value (CPU ${String(cpu).padStart(2, '0')}):${info.value_size > 16 ? '\n' : ' '}${hexText(bytes)}\n`;
    }
    return text;
  }
  const { one, gap } = layout(info.key_size, info.value_size);
  let text = '';
  if (info.key_size > 0) text += `key:${gap}${hexText(key)}${one ? '  ' : '\n'}`;
  if (info.value_size > 0) text += `value:${gap}${hexText(value.subarray(0, info.value_size))}`;
  return `${text}\n`;
}

/** An element whose value can't be had. */
export function absentText({ info, key }: Omit<Entry, 'value'>, why: string): string {
  const { one, gap } = layout(info.key_size, why.length);
  return `key:${gap}${hexText(key)}${one ? '  ' : '\n'}value:${gap}${why}\n`;
}

/** A writer for BTF values amid text: always laid out over lines. */
export function typedWriter({ out }: Call): JsonWriter {
  return new JsonWriter((text) => out.print(text), true);
}

/**
 * Prints an element of a listing.
 * @param typed the writer of a listing by type, in text
 */
export function printEntry(
  { out }: Call,
  entry: Entry,
  types: MapTypes | undefined,
  typed: JsonWriter | undefined,
): void {
  if (out.json) writeJson(out.json, entry, types);
  else if (types && typed) writeTyped(typed, entry, types, false);
  else out.print(entryText(entry));
}

/** Prints one element alone. */
export function printOne(call: Call, kernel: Kernel, entry: Entry): void {
  const types = typesOf(kernel, entry.info);
  if (!types || call.out.json) printEntry(call, entry, types, undefined);
  else {
    printEntry(call, entry, types, typedWriter(call));
    call.out.print('\n');
  }
}
