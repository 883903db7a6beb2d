import type { ObjectFact } from '../grammar/object.ts';

/** `iter`. */
export const iterObject: ObjectFact = {
  name: 'iter',
  about: 'pin iterators, to be read as files',
  // The only object whose help is what it does alone.
  commands: [
    ['help', () => import('../grammar/object.ts').then((module) => module.helpAction)],
    ['pin', () => import('./pin.ts').then((module) => module.pinIterator)],
  ],
  usageIsText: true,
  usage: `Usage: skep iter pin OBJ PATH [map MAP]
       skep iter help

       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
