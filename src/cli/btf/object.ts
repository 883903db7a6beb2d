import type { ObjectFact } from '../grammar/object.ts';

/** `btf`. */
export const btfObject: ObjectFact = {
  name: 'btf',
  about: 'show and print types (BTF)',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showBtf)],
    ['list', () => import('./show.ts').then((module) => module.showBtf)],
    ['help', () => import('../grammar/object.ts').then((module) => module.helpAction)],
    ['dump', () => import('./dump.ts').then((module) => module.dumpBtf)],
  ],
  usage: `Usage: skep btf { show | list } [id BTF_ID]
       skep btf dump BTF_SRC [format FORMAT] [root_id ROOT_ID]
       skep btf help

       BTF_SRC := { id BTF_ID | prog PROG | map MAP [{key | value | kv | all}] |
                    file FILE [file FILE]... }
       FORMAT  := { raw | c [unsorted] }
       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-B|--base-btf} }
`,
};
