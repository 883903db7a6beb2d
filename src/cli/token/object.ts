import type { ObjectFact } from '../grammar/object.ts';

/** `token`. */
export const tokenObject: ObjectFact = {
  name: 'token',
  about: 'show what BPF file systems delegate',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showTokens)],
    ['list', () => import('./show.ts').then((module) => module.showTokens)],
  ],
  usage: `Usage: skep token { show | list }
       skep token help

       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
