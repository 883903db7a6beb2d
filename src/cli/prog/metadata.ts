/** Metadata of programs: variables in .rodata whose names begin with `bpf_metadata_`. */
import { type Btf, type BtfTypeId, parseBtf, valueTree } from '../../btf/index.ts';
import type { Kernel, ProgInfo } from '../../sys/index.ts';
import { JsonWriter } from '../grammar/json-writer.ts';
import type { Output } from '../grammar/output.ts';
import { writeTree } from '../map/entry.ts';

const PREFIX = 'bpf_metadata_';

interface Item {
  readonly name: string;
  readonly btf: Btf;
  readonly type: BtfTypeId;
  readonly bytes: Uint8Array;
}

/** The metadata of a program, or `undefined` where it has none or it can't be read. */
export function metadataOf(kernel: Kernel, info: ProgInfo): readonly Item[] | undefined {
  for (const id of info.map_ids) {
    const items = attemptQuietly(() => inMap(kernel, id));
    if (items !== undefined) return items.length > 0 ? items : undefined;
  }
  return undefined;
}

/** @returns `undefined` when the map is not one of read-only data */
function inMap(kernel: Kernel, id: ProgInfo['map_ids'][number]): Item[] | undefined {
  const { bpf } = kernel;
  const fd = bpf.map_get_fd_by_id({ map_id: id });
  try {
    const map = bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (map.kind !== 'map' || map.type !== 'array' || map.key_size !== 4 || map.max_entries !== 1)
      return undefined;
    if (map.btf_value_type_id === 0 || !map.name.includes('.rodata')) return undefined;
    const value = bpf.map_lookup_elem({ map_fd: fd, key: new Uint8Array(4) });
    if (value === undefined) return undefined;
    const btfFd = bpf.btf_get_fd_by_id({ btf_id: map.btf_id });
    const found = bpf.obj_get_info_by_fd({ bpf_fd: btfFd });
    kernel.closeFd(btfFd);
    if (found.kind !== 'btf') return undefined;
    const btf = parseBtf(found.btf, `BTF ${map.btf_id}`);
    const section = btf.type(map.btf_value_type_id as BtfTypeId);
    if (section.kind !== 'datasec') return undefined;
    return section.vars.flatMap(({ type, offset }): Item[] => {
      const variable = btf.type(type);
      if (variable.kind !== 'var' || !variable.name.startsWith(PREFIX)) return [];
      return [
        { name: variable.name.slice(PREFIX.length), btf, type: variable.type, bytes: value.subarray(offset) },
      ];
    });
  } finally {
    kernel.closeFd(fd);
  }
}

function attemptQuietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Set into the program's JSON, or below its text. */
export function writeMetadata(out: Output, items: readonly Item[]): void {
  const { json } = out;
  if (json) {
    json.name('metadata').startObject();
    for (const { name, btf, type, bytes } of items) {
      json.name(name);
      writeTree(json, valueTree(btf, type, bytes, { json: true }));
    }
    json.endObject();
    return;
  }
  out.print('\tmetadata:');
  for (const { name, btf, type, bytes } of items) {
    out.print(`\n\t\t${name} = `);
    writeTree(new JsonWriter((text) => out.print(text), false), valueTree(btf, type, bytes));
  }
  out.print('\n');
}
