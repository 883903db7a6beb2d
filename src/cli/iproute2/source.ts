/** The program that a command line of iproute2 names: of an object's section, or pinned. */
import { basename } from 'node:path';
import { InputError } from '../../base/error.ts';
import { loadObject, type ObjectSpec, type ProgramSpec, parseObject } from '../../loader/index.ts';
import type { Fd, ProgType } from '../../sys/index.ts';
import { readWhole } from '../files.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { openPinned } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';

/** What iproute2 looks for where no section is named. */
const DEFAULT_SECTIONS: { readonly [T in ProgType]?: readonly string[] } = {
  sched_cls: ['classifier', 'tc'],
  sched_act: ['action'],
  xdp: ['prog', 'xdp'],
  lwt_in: ['lwt_in'],
  lwt_out: ['lwt_out'],
  lwt_xmit: ['lwt_xmit'],
  lwt_seg6local: ['lwt_seg6local'],
};

/** What the words say; the program is loaded when all of them were right. */
export interface Source {
  /** The descriptor is the caller's to close, with `done`. */
  readonly open: () => { readonly program: Fd; readonly done: () => void };
  /** What it is listed as. */
  readonly name: string;
}

const OBJECT = ['object-file', 'obj'];
const PINNED = ['object-pinned', 'pinned', 'pin', 'fd'];

/** Whether the next word begins a program's source. */
export function isSource(word: string | undefined): boolean {
  return word !== undefined && [...OBJECT, ...PINNED].includes(word);
}

/** Reads `obj FILE [sec NAME | program NAME] [type T]`, or `pinned FILE`. */
export function takeSource(call: Call, world: World, type: ProgType): Source {
  const { words } = call;
  const word = words.take();
  if (PINNED.includes(word)) {
    const path = words.take();
    const open = () => {
      const program = openPinned(call, world, path, 'prog');
      return { program, done: () => world.kernel.closeFd(program) };
    };
    return { open, name: `${basename(path)}:[*fsobj]` };
  }
  if (!OBJECT.includes(word)) {
    throw new InputError('cli-iproute2', `expected 'obj FILE' or 'pinned FILE', got: '${word}'?`);
  }
  const file = words.take();
  let section: string | undefined;
  let name: string | undefined;
  for (;;) {
    if (words.accept('section')) section = words.take();
    else if (words.accept('program')) name = words.take();
    else if (words.accept('verbose')) continue;
    else break;
  }
  const spec = parseObject(readWhole(absolute(call, file)), file);
  const program = find(spec, type, section, name);
  const open = () => {
    const object = loadObject(world.kernel, spec, { programs: [program.name], type });
    return { program: object.program(program.name).fd, done: () => object.close() };
  };
  return { open, name: `${basename(file)}:[${program.section}]` };
}

function find(
  spec: ObjectSpec,
  type: ProgType,
  section: string | undefined,
  name: string | undefined,
): ProgramSpec {
  const programs = [...spec.programs.values()];
  const wanted = section === undefined ? DEFAULT_SECTIONS[type] : [section];
  const found = programs.find(
    (program) =>
      (name === undefined || program.name === name) &&
      (name !== undefined && section === undefined ? true : wanted?.includes(program.section)),
  );
  // An object with a single program needs no section.
  if (section === undefined && name === undefined && !found && programs.length === 1) return programs[0]!;
  if (found) return found;
  const what = name === undefined ? `section ${section ?? wanted?.join(' or ')}` : `program ${name}`;
  const there = programs.map((program) => `${program.section} (${program.name})`).join(', ') || 'none';
  throw new InputError('cli-iproute2', `${spec.file} has no ${what}; its programs: ${there}`);
}
