import { InputError } from '../../base/error.ts';
import { type Fd, isMapType, type MapType, mapTypeNames } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { pinFd } from '../grammar/pins.ts';
import { attempt, Usage } from '../grammar/refusal.ts';
import { infoOf, takeMap } from '../grammar/selectors.ts';
import type { Words } from '../grammar/words.ts';
import { nearest } from '../options.ts';
import type { World } from '../world/world.ts';

/** Bytes of a name that the kernel keeps. */
const NAME_BYTES = 15;

const NUMBERS = {
  key: 'key size',
  value: 'value size',
  entries: 'max entries',
  flags: 'flags',
} as const;
type NumberWord = keyof typeof NUMBERS;

interface Wanted {
  type: MapType | 'unspec' | undefined;
  name: string | undefined;
  ifindex: number;
  inner: Fd | undefined;
  readonly numbers: Record<NumberWord, number>;
}

/** `map create FILE type TYPE key N value N entries N name NAME [flags F] [inner_map MAP] [offload_dev NAME]`. */
export async function createMap(call: Call): Promise<void> {
  const { words } = call;
  words.need(7);
  const path = words.take();
  const world = await call.world();
  const wanted: Wanted = {
    type: undefined,
    name: undefined,
    ifindex: 0,
    inner: undefined,
    numbers: { key: 0, value: 0, entries: 0, flags: 0 },
  };
  while (words.left > 0) takeOption(call, world, wanted);
  const { type, name, numbers, ifindex, inner } = wanted;
  if (name === undefined) throw new InputError('cli-map', 'map name not specified');
  if (type === undefined || type === 'unspec') {
    throw new InputError('cli-map', 'map create failed: Invalid argument', {
      errno: 'EINVAL',
      detail: 'the type of the map is missing: type TYPE (skep map help lists them)',
    });
  }
  const fd = attempt('map create failed', () =>
    world.kernel.bpf.map_create({
      map_type: type,
      map_name: name.slice(0, NAME_BYTES),
      key_size: numbers.key,
      value_size: numbers.value,
      max_entries: numbers.entries,
      map_flags: numbers.flags,
      ...(ifindex !== 0 && { map_ifindex: ifindex }),
      ...(inner !== undefined && { inner_map_fd: inner }),
    }),
  );
  pinFd(call, world, fd, path);
  call.out.done();
}

function takeOption(call: Call, world: World, wanted: Wanted): void {
  const { words } = call;
  words.need(2);
  if (words.accept('type')) {
    if (wanted.type !== undefined) throw new InputError('cli-map', 'map type already specified');
    wanted.type = takeType(words);
  } else if (words.accept('name')) {
    wanted.name = words.take();
    if (Buffer.byteLength(wanted.name) > NAME_BYTES) {
      call.out.info(`Warning: map name is longer than ${NAME_BYTES} characters, it will be truncated.`);
    }
  } else if (takeNumber(words, wanted.numbers)) return;
  else if (acceptDevice(call)) {
    if (wanted.ifindex !== 0) throw new InputError('cli-map', 'offload device already specified');
    wanted.ifindex = takeDevice(words, world);
  } else if (words.accept('inner_map')) {
    if (words.left < 2) throw new Usage();
    wanted.inner = takeMap(call, world);
    infoOf(world.kernel, wanted.inner, 'map');
  } else {
    const near = words.near(['type', 'name', ...Object.keys(NUMBERS), 'offload_dev', 'inner_map']);
    throw new InputError('cli-map', `unknown arg ${words.take()}`, near === '' ? {} : { detail: near });
  }
}

/** `offload_dev`, which `dev` once was. */
function acceptDevice({ words, out }: Call): boolean {
  if (words.accept('offload_dev')) return true;
  if (!words.accept('dev')) return false;
  out.info(`Warning: 'skep map create [...] dev <ifname>' syntax is deprecated.
Going further, please use 'offload_dev <ifname>' to request hardware offload for the map.`);
  return true;
}

function takeType(words: Words): MapType | 'unspec' {
  const word = words.take();
  if (word === 'unspec' || isMapType(word)) return word;
  const near = nearest(word, mapTypeNames);
  throw new InputError('cli-map', `unrecognized map type: ${word}`, {
    ...(near !== undefined && { detail: `did you mean '${near}'?` }),
  });
}

function takeNumber(words: Words, numbers: Record<NumberWord, number>): boolean {
  for (const [word, what] of Object.entries(NUMBERS) as [NumberWord, string][]) {
    if (!words.accept(word)) continue;
    if (numbers[word] !== 0) throw new InputError('cli-map', `${what} already specified`);
    numbers[word] = words.number(what);
    return true;
  }
  return false;
}

/** A network device by its name. */
export function takeDevice(words: Words, world: World): number {
  const name = words.take();
  const index = world.deviceIndex(name);
  if (index !== undefined) return index;
  throw new InputError('cli-device', `unrecognized netdevice '${name}': No such device`, { errno: 'ENODEV' });
}
