import type { ObjectFact } from '../grammar/object.ts';

/** `gen`. */
export const genObject: ObjectFact = {
  name: 'gen',
  about: 'link objects, and write modules of them',
  commands: [
    ['object', () => import('./link-object.ts').then((module) => module.linkObject)],
    ['skeleton', () => import('./skeleton.ts').then((module) => module.generateSkeleton)],
    ['min_core_btf', () => import('./min-core-btf.ts').then((module) => module.generateMinCoreBtf)],
  ],
  usage: `Usage: skep gen object OUTPUT INPUT [INPUT...]
       skep gen skeleton FILE [name OBJECT_NAME]
       skep gen min_core_btf INPUT OUTPUT OBJECT [OBJECT...]
       skep gen help

       object links objects into one; skeleton writes a TypeScript module.
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
