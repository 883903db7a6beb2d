import type { ObjectFact } from '../grammar/object.ts';

/** `link`. */
export const linkObject: ObjectFact = {
  name: 'link',
  about: 'show, pin and detach links',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showLinks)],
    ['list', () => import('./show.ts').then((module) => module.showLinks)],
    ['help', () => import('../grammar/object.ts').then((module) => module.helpAction)],
    ['pin', () => import('./pin.ts').then((module) => module.pinLink)],
    ['detach', () => import('./detach.ts').then((module) => module.detachLink)],
  ],
  usage: `Usage: skep link { show | list }   [LINK]
       skep link pin        LINK  FILE
       skep link detach     LINK
       skep link help

       LINK := { id LINK_ID | pinned FILE }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-f|--bpffs} | {-n|--nomount} }
`,
};
