/** Keys and values in a command line, and what a map's type says about them. */
import { InputError } from '../../base/error.ts';
import { type Fd, type Kernel, MAP_UPDATE_FLAGS, type MapInfo } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { takeMap, takeProgram } from '../grammar/selectors.ts';
import { isPrefix, type Words } from '../grammar/words.ts';
import type { World } from '../world/world.ts';

const PER_CPU: ReadonlySet<string> = new Set([
  'percpu_hash',
  'percpu_array',
  'lru_percpu_hash',
  'percpu_cgroup_storage',
]);

/** Whether a lookup gives a value for each CPU. */
export const isPerCpu = ({ type }: MapInfo): boolean => PER_CPU.has(type);
export const isOfMaps = ({ type }: MapInfo): boolean => type === 'array_of_maps' || type === 'hash_of_maps';
export const isOfPrograms = ({ type }: MapInfo): boolean => type === 'prog_array';

/** Bytes from one CPU's value to the next one's. */
export const cpuStep = ({ value_size }: MapInfo): number => (value_size + 7) & ~7;

/** What a command line says of an element. */
export interface Element {
  readonly key: Uint8Array | undefined;
  /** As the kernel takes it: for each CPU, or the descriptor of a map or program. */
  readonly value: Uint8Array | undefined;
  readonly flags: bigint;
  /** The map or program that the value stands for. */
  readonly valueFd: Fd | undefined;
}

const FLAGS = [
  ['any', MAP_UPDATE_FLAGS.BPF_ANY],
  ['noexist', MAP_UPDATE_FLAGS.BPF_NOEXIST],
  ['exist', MAP_UPDATE_FLAGS.BPF_EXIST],
] as const;

/**
 * Reads `key DATA value VALUE FLAG`, in any order, to the end of the words.
 * @param wants what the command takes; a map without keys wants none, unless `always`
 */
export function takeElement(
  call: Call,
  world: World,
  info: MapInfo,
  wants: { readonly key: boolean | 'always'; readonly value: boolean; readonly flags: boolean },
): Element {
  const { words } = call;
  let wantsKey = wants.key === 'always' || (wants.key && info.key_size > 0);
  let wantsValue = wants.value && info.value_size > 0;
  let wantsFlags = wants.flags;
  let key: Uint8Array | undefined;
  let value: Uint8Array | undefined;
  let valueFd: Fd | undefined;
  let flags = 0n;
  for (;;) {
    const word = words.peek();
    if (word === undefined) {
      if (!wantsKey && !wantsValue) return { key, value, flags, valueFd };
      throw problem(`did not find ${wantsKey ? 'key' : 'value'}`);
    }
    const flag = FLAGS.find(([name]) => isPrefix(word, name));
    if (isPrefix(word, 'key')) {
      if (!wantsKey) throw problem(info.key_size > 0 ? 'duplicate key' : 'unnecessary key');
      words.skip();
      key = takeBytes(words, 'key', info.key_size);
      wantsKey = false;
    } else if (isPrefix(word, 'value')) {
      if (!wantsValue) {
        throw problem(wants.value && info.value_size > 0 ? 'duplicate value' : 'unnecessary value');
      }
      words.skip();
      if (isOfMaps(info) || isOfPrograms(info)) {
        valueFd = takeObject(call, world, info);
        value = new Uint8Array(Uint32Array.of(valueFd).buffer);
      } else value = forEachCpu(world.kernel, info, takeBytes(words, 'value', info.value_size));
      wantsValue = false;
    } else if (flag !== undefined) {
      if (!wantsFlags) throw problem(`flags specified multiple times: ${word}`);
      words.skip();
      flags = BigInt(flag[1]);
      wantsFlags = false;
    } else {
      const near = words.near(['key', 'value', 'any', 'exist', 'noexist']);
      throw problem(`expected key or value, got: ${word}`, near);
    }
  }
}

function problem(message: string, hint = ''): InputError {
  return new InputError('cli-element', message, hint === '' ? {} : { detail: hint });
}

/** The map or program that a value stands for. */
function takeObject(call: Call, world: World, info: MapInfo): Fd {
  const { words, out } = call;
  const what = isOfMaps(info) ? 'map in map' : 'map of progs';
  if (info.value_size !== 4) throw problem(`value smaller than 4B for ${what}?`);
  if (words.left < 2) throw problem(`not enough value arguments for ${what}`);
  if (isOfMaps(info)) return takeMap(call, world);
  if (isPrefix(words.peek(), 'id')) {
    out.info(
      'Warning: updating program array via MAP_ID, make sure this map is kept open\n' +
        '         by some process or pinned otherwise update will be lost',
    );
  }
  return takeProgram(call, world);
}

/** So many bytes: numbers in C's notation, or hexadecimal ones after `hex`. */
function takeBytes(words: Words, name: string, count: number): Uint8Array {
  const hex = words.accept('hex');
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const word = words.peek();
    if (word === undefined) throw problem(`${name} expected ${count} bytes got ${i}`);
    const byte = parseByte(word, hex);
    if (byte === undefined) throw problem(`error parsing byte: ${word}`);
    bytes[i] = byte;
    words.skip();
  }
  return bytes;
}

/** As strtoul(3) reads it, cut to a byte. */
function parseByte(word: string, hex: boolean): number | undefined {
  const found = /^([+-]?)(?:0[xX]([0-9a-fA-F]+)|([0-9a-fA-F]+))$/.exec(word);
  if (!found) return undefined;
  const [, sign, prefixed, plain] = found;
  let value: bigint;
  if (prefixed !== undefined) value = BigInt(`0x${prefixed}`);
  else if (hex) value = BigInt(`0x${plain}`);
  else if (/^0[0-7]+$/.test(plain!)) value = BigInt(`0o${plain!.slice(1)}`);
  else if (/^(0|[1-9][0-9]*)$/.test(plain!)) value = BigInt(plain!);
  else return undefined;
  return Number(BigInt.asUintN(8, sign === '-' ? -value : value));
}

/** The value for every CPU, where the map wants that. */
function forEachCpu(kernel: Kernel, info: MapInfo, value: Uint8Array): Uint8Array {
  if (!isPerCpu(info)) return value;
  const step = cpuStep(info);
  const all = new Uint8Array(step * kernel.possibleCpus);
  for (let cpu = 0; cpu < kernel.possibleCpus; cpu++) all.set(value, cpu * step);
  return all;
}
