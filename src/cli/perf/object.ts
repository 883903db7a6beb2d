import type { ObjectFact } from '../grammar/object.ts';

/** `perf`. */
export const perfObject: ObjectFact = {
  name: 'perf',
  about: 'show the programs of perf events',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showPerf)],
    ['list', () => import('./show.ts').then((module) => module.showPerf)],
  ],
  usageIsText: true,
  usage: `Usage: skep perf { show | list }
       skep perf help

       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
