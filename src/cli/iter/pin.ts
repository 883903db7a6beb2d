import { InputError } from '../../base/error.ts';
import { type LoadedObject, loadObject, parseObject } from '../../loader/index.ts';
import type { Fd } from '../../sys/index.ts';
import { readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { pinFd } from '../grammar/pins.ts';
import { attemptAsOrErrno, needOrUsage, refusedAs } from '../grammar/refusal.ts';
import { takeMap } from '../grammar/selectors.ts';

/** `iter pin OBJ PATH [map MAP]`: the object's first program becomes a file that is read by `cat`. */
export async function pinIterator(call: Call): Promise<void> {
  const { words } = call;
  needOrUsage(call, 2);
  const file = words.take();
  const path = words.take();
  const world = await call.world();
  let map: Fd | undefined;
  if (words.accept('map')) {
    if (words.left < 2) throw new InputError('cli-iter', 'incorrect map spec');
    map = takeMap(call, world);
  }
  words.end();
  const bytes = attemptAsOrErrno(`can't open objfile ${file}`, () => readWhole(absolute(call, file)));
  let object: LoadedObject;
  try {
    object = loadObject(world.kernel, parseObject(bytes, file));
  } catch (error) {
    throw refusedAs(`can't load objfile ${file}`, error);
  }
  try {
    const [program] = object.programs.values();
    if (!program) throw new InputError('cli-iter', `can't find bpf program in objfile ${file}`);
    const link = attemptAsOrErrno(`attach_iter failed for program ${program.name}`, () =>
      program.attachIterator(map === undefined ? {} : { map }),
    );
    pinFd(call, world, link.fd, path);
  } finally {
    object.close();
  }
}
