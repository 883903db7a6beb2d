import type { ObjectFact } from '../grammar/object.ts';

/** `map`. */
export const mapObject: ObjectFact = {
  name: 'map',
  about: 'show, make and change maps',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showMaps)],
    ['list', () => import('./show.ts').then((module) => module.showMaps)],
    ['dump', () => import('./dump.ts').then((module) => module.dumpMaps)],
    ['update', () => import('./update.ts').then((module) => module.updateMap)],
    ['lookup', () => import('./lookup.ts').then((module) => module.lookupMap)],
    ['getnext', () => import('./getnext.ts').then((module) => module.nextKey)],
    ['delete', () => import('./delete.ts').then((module) => module.deleteKey)],
    ['pin', () => import('./pin.ts').then((module) => module.pinMap)],

    ['event_pipe', () => import('./event-pipe.ts').then((module) => module.eventPipe)],
    ['create', () => import('./create.ts').then((module) => module.createMap)],
    ['peek', () => import('./lookup.ts').then((module) => module.lookupMap)],
    ['push', () => import('./update.ts').then((module) => module.updateMap)],
    ['enqueue', () => import('./update.ts').then((module) => module.updateMap)],
    ['pop', () => import('./pop.ts').then((module) => module.popMap)],
    ['dequeue', () => import('./pop.ts').then((module) => module.popMap)],
    ['freeze', () => import('./freeze.ts').then((module) => module.freezeMap)],
  ],
  usage: `Usage: skep map { show | list }   [MAP]
       skep map create     FILE type TYPE key KEY_SIZE value VALUE_SIZE \\
                                  entries MAX_ENTRIES name NAME [flags FLAGS] \\
                                  [inner_map MAP] [offload_dev NAME]
       skep map dump       MAP
       skep map update     MAP [key DATA] [value VALUE] [UPDATE_FLAGS]
       skep map lookup     MAP [key DATA]
       skep map getnext    MAP [key DATA]
       skep map delete     MAP  key DATA
       skep map pin        MAP  FILE
       skep map event_pipe MAP [cpu N index M]
       skep map peek       MAP
       skep map push       MAP value VALUE
       skep map pop        MAP
       skep map enqueue    MAP value VALUE
       skep map dequeue    MAP
       skep map freeze     MAP
       skep map help

       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       DATA := { [hex] BYTES }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       VALUE := { DATA | MAP | PROG }
       UPDATE_FLAGS := { any | exist | noexist }
       TYPE := { hash | array | prog_array | perf_event_array | percpu_hash |
                 percpu_array | stack_trace | cgroup_array | lru_hash |
                 lru_percpu_hash | lpm_trie | array_of_maps | hash_of_maps |
                 devmap | devmap_hash | sockmap | cpumap | xskmap | sockhash |
                 cgroup_storage | reuseport_sockarray | percpu_cgroup_storage |
                 queue | stack | sk_storage | struct_ops | ringbuf | inode_storage |
                 task_storage | bloom_filter | user_ringbuf | cgrp_storage | arena |
                 insn_array | rhash }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-f|--bpffs} | {-n|--nomount} }
`,
};
