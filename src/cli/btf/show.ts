import { InputError } from '../../base/error.ts';
import type { BtfId, BtfInfo, Kernel } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { ownersText, writeOwners } from '../grammar/owners.ts';
import { attempt, errnoOf } from '../grammar/refusal.ts';
import { everyMap, everyProgram } from '../grammar/selectors.ts';
import { isPrefix, parseNumber } from '../grammar/words.ts';
import type { Owners } from '../world/owners.ts';
import { btfInfo } from './source.ts';

/** `btf show [id BTF_ID]`. */
export async function showBtf(call: Call): Promise<void> {
  const { words, out } = call;
  const only = words.left === 2 ? takeId(call) : undefined;
  words.end();
  const world = await call.world();
  const { kernel } = world;
  const owners = world.owners('btf');
  if (only !== undefined) {
    attempt(`can't get BTF object by id (${only})`, () =>
      kernel.closeFd(kernel.bpf.btf_get_fd_by_id({ btf_id: only })),
    );
  }
  const programs = new Users();
  for (const { fd, info } of everyProgram(kernel)) {
    programs.add(info.btf_id, info.id);
    kernel.closeFd(fd);
  }
  const maps = new Users();
  for (const { fd, info } of everyMap(kernel)) {
    maps.add(info.btf_id, info.id);
    kernel.closeFd(fd);
  }
  if (only !== undefined) {
    show(call, openInfo(kernel, only)!, programs.of(only), maps.of(only), owners);
    return;
  }
  out.json?.startArray();
  try {
    for (const info of everyBtf(kernel)) {
      show(call, info, programs.of(info.id), maps.of(info.id), owners);
    }
  } finally {
    out.json?.endArray();
  }
}

function takeId({ words }: Call): BtfId {
  const word = words.take();
  if (!isPrefix(word, 'id')) throw new InputError('cli-btf', `expected 'id', got: '${word}'?`);
  const text = words.take();
  const id = parseNumber(text);
  if (id === undefined) throw new InputError('cli-btf', `can't parse ${text} as ID`);
  return id as BtfId;
}

function* everyBtf(kernel: Kernel): Iterable<BtfInfo> {
  let id: number = 0;
  for (;;) {
    const next = attempt("can't get next BTF object", () => kernel.bpf.btf_get_next_id({ start_id: id }));
    if (next === undefined) return;
    id = next;
    const info = openInfo(kernel, next);
    if (info !== undefined) yield info;
  }
}

/** `undefined` for a BTF that ended meanwhile. */
function openInfo(kernel: Kernel, id: BtfId): BtfInfo | undefined {
  try {
    const fd = kernel.bpf.btf_get_fd_by_id({ btf_id: id });
    const info = btfInfo(kernel, fd);
    kernel.closeFd(fd);
    return info;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    return attempt(`can't get BTF object by id (${id})`, () => {
      throw error;
    });
  }
}

function show(
  { out }: Call,
  info: BtfInfo,
  programs: readonly number[],
  maps: readonly number[],
  owners: Owners,
): void {
  const { json } = out;
  const { id, name, kernel_btf: ofKernel } = info;
  const size = info.btf.length;
  if (json) {
    json.startObject().field('id', id).field('size', size).name('prog_ids').startArray();
    for (const program of programs) json.value(program);
    json.endArray().name('map_ids').startArray();
    for (const map of maps) json.value(map);
    json.endArray().field('kernel', ofKernel);
    if (name !== '') json.field('name', name);
    writeOwners(json, owners.get(id));
    json.endObject();
    return;
  }
  const shown = ofKernel ? `[${name}]` : name === '' ? '<anon>' : name;
  let text = `${id}: name ${shown}  size ${size}B`;
  if (programs.length > 0) text += `  prog_ids ${programs.join(',')}`;
  if (maps.length > 0) text += `  map_ids ${maps.join(',')}`;
  out.print(`${text}${ownersText(owners.get(id))}\n`);
}

/**
 * Objects by the BTF that they use, listed in the order in which libbpf's hash map answers them, which is what bpftool
 * prints: the last added is the first, and each growth of the table turns around what is in it.
 */
class Users {
  readonly #ids = new Map<number, number[]>();
  #size = 0;
  #capacity = 0;

  add(btf: number, object: number): void {
    if (btf === 0) return;
    if (Math.floor(((this.#size + 1) * 4) / 3) > this.#capacity) {
      this.#capacity = Math.max(this.#capacity * 2, 4);
      for (const ids of this.#ids.values()) ids.reverse();
    }
    this.#size++;
    const ids = this.#ids.get(btf);
    if (ids) ids.unshift(object);
    else this.#ids.set(btf, [object]);
  }

  of(btf: number): readonly number[] {
    return this.#ids.get(btf) ?? [];
  }
}
