import type { ObjectFact } from '../grammar/object.ts';

/** `fs`: skep's own. On Linux a shell does this; nothing else reaches the embedded kernel's names. */
export const fsObject: ObjectFact = {
  name: 'fs',
  about: "list, make and remove pins, folders and cgroups in the kernel's names",
  commands: [
    ['ls', () => import('./list.ts').then((module) => module.listFolder)],
    ['rm', () => import('./remove.ts').then((module) => module.removePins)],
    ['mkdir', () => import('./make.ts').then((module) => module.makeFolders)],
  ],
  usage: `Usage: skep fs ls [FOLDER]
       skep fs rm PATH...
       skep fs mkdir FOLDER...
       skep fs help

       PATH is a pin, an empty folder, or a folder of pins alone, with its pins;
       FOLDER is in a BPF file system or among the cgroups (default /sys/fs/bpf)
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }
`,
};
