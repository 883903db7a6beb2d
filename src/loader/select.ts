/** Which of an object's programs and maps are loaded. */
import { InputError } from '../base/error.ts';
import { type LinkedProgram, linkProgram } from './link.ts';
import type { ObjectSpec, ProgramSpec } from './spec.ts';

/** A program on its way into the kernel. */
export interface Prepared {
  readonly spec: ProgramSpec;
  readonly linked: LinkedProgram;
}

/** The programs to load: the named ones and those that prog arrays hold with them, or all that load by themselves. */
export function selectPrograms(
  spec: ObjectSpec,
  names: readonly string[] | undefined,
  autoload: Readonly<Record<string, boolean>> = {},
): ProgramSpec[] {
  const { programs, maps, file } = spec;
  for (const name of Object.keys(autoload)) if (!programs.has(name)) throw noProgram(file, name, programs);
  if (!names) {
    return [...programs.values()].filter((p) =>
      Object.hasOwn(autoload, p.name) ? autoload[p.name] : p.autoload,
    );
  }
  const chosen = new Map<string, ProgramSpec>();
  const queue = [...names];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (chosen.has(name)) continue;
    const program = programs.get(name);
    if (!program) throw noProgram(file, name, programs);
    chosen.set(name, program);
    const used = linkProgram(spec, program).refs.flatMap((ref) => (ref.kind === 'map' ? [ref.map] : []));
    for (const map of used.map((m) => maps.get(m)!)) {
      queue.push(...map.slots.filter((s) => s.kind === 'prog').map((s) => s.name));
      if (map.type !== 'prog_array' || map.id === 0) continue;
      queue.push(...[...programs.values()].filter((p) => p.tail?.id === map.id).map((p) => p.name));
    }
  }
  return [...programs.values()].filter((p) => chosen.has(p.name));
}

function noProgram(file: string, name: string, programs: ObjectSpec['programs']): InputError {
  const known = [...programs.keys()].join(', ') || 'none';
  return new InputError('loader-name', `${file}: there is no program ${name}; there are: ${known}`);
}

/** The maps that programs refer to, with the maps that those hold. */
export function usedMaps(spec: ObjectSpec, programs: readonly Prepared[]): Set<string> {
  const used = new Set<string>();
  const queue = programs.flatMap(({ spec: program, linked }) => [
    ...linked.refs.flatMap((ref) => {
      if (ref.kind === 'map' || ref.kind === 'data') return [ref.map];
      return ref.kind === 'extern' && spec.externs.get(ref.extern)?.kind === 'kconfig' ? ['.kconfig'] : [];
    }),
    ...[...spec.maps.values()]
      .filter((map) => map.structOps?.funcs.some((f) => f.program === program.name))
      .map((map) => map.name),
  ]);
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    for (const slot of spec.maps.get(name)?.slots ?? []) if (slot.kind === 'map') queue.push(slot.name);
  }
  return used;
}
