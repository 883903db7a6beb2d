/**
 * Object files: parsed into a spec without touching a kernel, and loaded from it into any {@link Kernel}.
 *
 * ```ts
 * const spec = parseObject(bytes, 'syn_counter.o');
 * spec.variables.get('threshold')?.set(100);
 * using object = loadObject(kernel, spec);
 * kernel.bpf.prog_test_run({ prog_fd: object.program('count_syns').fd, data_in: packet });
 * ```
 */

export type { MapOptions } from './create-maps.ts';
export { type LinkedProgram, linkProgram } from './link.ts';
export { type LoadOptions, loadObject, type ProgramOptions } from './load.ts';
export { type LoadedMap, LoadedObject, type LoadedProgram } from './object.ts';
export { parseObject } from './parse.ts';
export { parseSectionName, SECTIONS, type SectionDef, type SectionName } from './sections.ts';
export type {
  CoreRecord,
  ExternSpec,
  FunctionIndex,
  FunctionSpec,
  KconfigShape,
  LineRecord,
  MapOrigin,
  MapSpec,
  ObjectSpec,
  ProgramSpec,
  Ref,
  SlotSpec,
  StructOpsSpec,
} from './spec.ts';
export { Variable, type VariableValue } from './variable.ts';
