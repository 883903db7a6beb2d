import { InputError } from '../../base/error.ts';
import { type Btf, type BtfTypeId, dumpC, rawText, rawType } from '../../btf/index.ts';
import type { Call } from '../grammar/call.ts';
import type { JsonWriter } from '../grammar/json-writer.ts';
import { exitWith, needOrUsage } from '../grammar/refusal.ts';
import { infoOf, takeMap, takeProgram } from '../grammar/selectors.ts';
import { isPrefix, parseNumber } from '../grammar/words.ts';
import { kfuncsOf, orderedForC } from './c-order.ts';
import { fileBtf, kernelBtf } from './source.ts';

/** Most types that may be named. */
const MAX_ROOTS = 16;
/** Exit codes that are negated errnos: EINVAL, E2BIG and the kernel's ENOTSUPP. */
const EXIT = { invalid: 234, many: 249, unsupported: 161 } as const;

/** What is to be dumped. */
interface Source {
  /** Finds the types; after the options are known to be right. */
  readonly btf: () => Btf | Promise<Btf>;
  /** The types that alone are wanted. */
  readonly roots?: readonly number[];
}

interface Options {
  readonly format: 'raw' | 'c';
  readonly roots: readonly number[];
  /** C in the order of names, not in that of the BTF. */
  readonly sorted: boolean;
}

/** `btf dump BTF_SRC [format FORMAT] [root_id ROOT_ID]`. */
export async function dumpBtf(call: Call): Promise<void> {
  const { out } = call;
  needOrUsage(call, 2);
  const source = await takeSource(call);
  const { format, roots, sorted } = await takeOptions(call, source.roots);
  const btf = await source.btf();
  const wanted = roots as readonly BtfTypeId[];
  for (const id of wanted) {
    if (id >= btf.endId) await fail(EXIT.invalid, `invalid root ID: ${id}`);
  }
  if (format === 'c') {
    if (out.json) await fail(EXIT.unsupported, 'JSON output for C-syntax dump is not supported');
    out.print(asC(btf, wanted, sorted));
    return;
  }
  const ids = wanted.length > 0 ? wanted : [...btf.ids()];
  if (out.json) {
    out.json.startObject().name('types').startArray();
    for (const id of ids) writeRecord(out.json, rawType(btf, id));
    out.json.endArray().endObject();
  } else for (const id of ids) out.print(`${rawText(btf, id)}\n`);
}

function asC(btf: Btf, wanted: readonly BtfTypeId[], sorted: boolean): string {
  if (wanted.length > 0) return dumpC(btf, { ids: wanted, kfuncs: 'words' });
  const all = sorted
    ? orderedForC(btf)
    : Array.from({ length: btf.endId - 1 }, (_, i) => (i + 1) as BtfTypeId);
  return dumpC(btf, { ids: all, kfuncs: kfuncsOf(btf) });
}

function fail(exitCode: number, message: string): Promise<void> {
  return exitWith(exitCode, async () => {
    throw new InputError('cli-btf', message);
  });
}

async function takeSource(call: Call): Promise<Source> {
  const { words } = call;
  const word = words.take();
  if (isPrefix(word, 'map')) {
    words.need(2);
    const world = await call.world();
    const info = infoOf(world.kernel, takeMap(call, world), 'map');
    const key = info.btf_key_type_id;
    const value = info.btf_value_type_id;
    const btf = () => kernelBtf(call, world, info.btf_id);
    if (words.accept('key')) return { btf, roots: [key] };
    if (words.accept('value')) return { btf, roots: [value] };
    if (words.accept('all')) return { btf };
    words.accept('kv');
    return { btf, roots: [key, value] };
  }
  if (isPrefix(word, 'prog')) {
    words.need(2);
    const world = await call.world();
    const info = infoOf(world.kernel, takeProgram(call, world), 'prog');
    return { btf: () => kernelBtf(call, world, info.btf_id) };
  }
  if (isPrefix(word, 'id')) {
    const text = words.take();
    const id = parseNumber(text);
    if (id === undefined) throw new InputError('cli-btf', `can't parse ${text} as ID`);
    return { btf: async () => kernelBtf(call, await call.world(), id) };
  }
  if (isPrefix(word, 'file')) {
    const btf = fileBtf(call, words.take());
    return { btf: () => btf };
  }
  throw new InputError('cli-btf', `unrecognized BTF source specifier: '${word}'`);
}

async function takeOptions(call: Call, filtered: readonly number[] | undefined): Promise<Options> {
  const { words } = call;
  const roots = [...(filtered ?? [])];
  let format: Options['format'] = 'raw';
  let sorted = true;
  while (words.left > 0) {
    if (words.accept('format')) {
      const word = words.peek();
      if (word === undefined) await fail(EXIT.invalid, "expecting value for 'format' option");
      if (word !== 'c' && word !== 'raw') {
        await fail(EXIT.invalid, `unrecognized format specifier: '${word}', possible values: raw, c`);
      } else format = word;
      words.skip();
    } else if (words.accept('root_id')) {
      if (filtered) await fail(EXIT.invalid, 'cannot use root_id with other type filtering');
      if (roots.length === MAX_ROOTS) await fail(EXIT.many, `only ${MAX_ROOTS} root_id are supported`);
      const word = words.take();
      const id = parseNumber(word);
      if (id === undefined) throw new InputError('cli-btf', `can't parse ${word} as root ID`);
      if (roots.includes(id)) await fail(EXIT.invalid, `duplicate root_id ${id} supplied`);
      roots.push(id);
    } else if (words.accept('unsorted')) sorted = false;
    else {
      await fail(EXIT.invalid, `unrecognized option: '${words.peek()}'`);
    }
  }
  return { format, roots, sorted };
}

type Json = string | number | bigint | undefined | readonly object[];

/** A record with its lists; numbers beyond 2^53 keep their digits. */
function writeRecord(json: JsonWriter, record: object): void {
  json.startObject();
  for (const [name, value] of Object.entries(record) as [string, Json][]) {
    if (Array.isArray(value)) {
      json.name(name).startArray();
      for (const part of value as readonly object[]) writeRecord(json, part);
      json.endArray();
    } else json.field(name, value as string | number | bigint);
  }
  json.endObject();
}
