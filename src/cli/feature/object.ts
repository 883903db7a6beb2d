import type { ObjectFact } from '../grammar/object.ts';

/** `feature`. */
export const featureObject: ObjectFact = {
  name: 'feature',
  about: 'find out what the kernel can do',
  commands: [
    ['probe', () => import('./probe.ts').then((module) => module.probeFeatures)],
    ['list_builtins', () => import('./list.ts').then((module) => module.listBuiltins)],
  ],
  usage: `Usage: skep feature probe [COMPONENT] [full] [unprivileged] [macros [prefix PREFIX]]
       skep feature list_builtins GROUP
       skep feature help

       COMPONENT := { kernel | dev NAME }
       GROUP := { prog_types | map_types | attach_types | link_types | helpers }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
