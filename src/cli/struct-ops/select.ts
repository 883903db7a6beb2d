/** Maps of functions, as the commands of `struct_ops` select them. */
import { InputError } from '../../base/error.ts';
import type { BtfTypeId } from '../../btf/index.ts';
import { vmlinuxBtf } from '../../loader/index.ts';
import type { Fd, Kernel, MapId, MapInfo } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { attempt, Usage } from '../grammar/refusal.ts';
import { everyMap, infoOf } from '../grammar/selectors.ts';
import { isPrefix, parseNumber } from '../grammar/words.ts';

export interface FoundMap {
  readonly fd: Fd;
  readonly info: MapInfo;
}

/** What the command line names, or nothing for all. */
export interface Selection {
  readonly maps: readonly FoundMap[];
  /** The name that was asked for. */
  readonly name?: string;
}

/** Reads `[id ID | name NAME]`. @param needed one must be named */
export async function takeStructOps(call: Call, needed: boolean): Promise<Selection> {
  const { words } = call;
  if (words.left !== 2 && (needed || words.left !== 0)) throw new Usage();
  const { kernel } = await call.world();
  if (words.left === 0) return { maps: all(kernel) };
  const by = words.take();
  const term = words.take();
  if (isPrefix(by, 'id')) {
    const id = parseNumber(term);
    if (!id) throw new InputError('cli-struct-ops', `invalid id ${term}`);
    const fd = attempt(`can't get map by id (${id})`, () =>
      kernel.bpf.map_get_fd_by_id({ map_id: id as MapId }),
    );
    const info = infoOf(kernel, fd, 'map');
    if (info.type !== 'struct_ops') {
      throw new InputError('cli-struct-ops', `${info.name} id ${id} is not a struct_ops map`);
    }
    return { maps: [{ fd, info }] };
  }
  if (!isPrefix(by, 'name')) throw new Usage();
  return { maps: all(kernel).filter(({ info }) => info.name === term), name: term };
}

function all(kernel: Kernel): FoundMap[] {
  const found: FoundMap[] = [];
  for (const map of everyMap(kernel)) {
    if (map.info.type === 'struct_ops') found.push(map);
    else kernel.closeFd(map.fd);
  }
  return found;
}

/** `tcp_congestion_ops` of a table whose value is a `bpf_struct_ops_tcp_congestion_ops`. */
export function tableName(kernel: Kernel, { btf_vmlinux_value_type_id: id }: MapInfo): string {
  const type = id === 0 ? undefined : vmlinuxBtf(kernel)?.type(id as BtfTypeId);
  const name = type && 'name' in type ? type.name : '';
  return name.replace(/^bpf_struct_ops_/, '');
}
