import type { ObjectFact } from '../grammar/object.ts';

/** `gen`. */
export const genObject: ObjectFact = {
  name: 'gen',
  about: 'write modules of objects',
  commands: [
    ['skeleton', () => import('./skeleton.ts').then((module) => module.generateSkeleton)],
    ['min_core_btf', () => import('./min-core-btf.ts').then((module) => module.generateMinCoreBtf)],
  ],
  usage: `Usage: skep gen skeleton FILE [name OBJECT_NAME]
       skep gen min_core_btf INPUT OUTPUT OBJECT [OBJECT...]
       skep gen help

       skeleton writes a TypeScript module.
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
