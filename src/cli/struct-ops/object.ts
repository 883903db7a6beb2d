import type { ObjectFact } from '../grammar/object.ts';

/** `struct_ops`. */
export const structOpsObject: ObjectFact = {
  name: 'struct_ops',
  about: 'show tables of functions, and give them to the kernel',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showStructOps)],
    ['list', () => import('./show.ts').then((module) => module.showStructOps)],
    ['register', () => import('./register.ts').then((module) => module.registerStructOps)],
    ['unregister', () => import('./register.ts').then((module) => module.unregisterStructOps)],
    ['dump', () => import('./dump.ts').then((module) => module.dumpStructOps)],
  ],
  usage: `Usage: skep struct_ops { show | list } [STRUCT_OPS_MAP]
       skep struct_ops dump [STRUCT_OPS_MAP]
       skep struct_ops register OBJ [LINK_DIR]
       skep struct_ops unregister STRUCT_OPS_MAP
       skep struct_ops help

       STRUCT_OPS_MAP := [ id STRUCT_OPS_MAP_ID | name STRUCT_OPS_MAP_NAME ]
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
