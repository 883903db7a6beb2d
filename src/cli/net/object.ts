import type { ObjectFact } from '../grammar/object.ts';

/** `net`. */
export const netObject: ObjectFact = {
  name: 'net',
  about: 'show, attach and detach the programs of network devices',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showNet)],
    ['list', () => import('./show.ts').then((module) => module.showNet)],
    ['attach', () => import('./attach.ts').then((module) => module.attachToDevice)],
    ['detach', () => import('./attach.ts').then((module) => module.detachFromDevice)],
  ],
  usage: `Usage: skep net { show | list } [dev <devname>]
       skep net attach ATTACH_TYPE PROG dev <devname> [ overwrite | prepend ]
       skep net detach ATTACH_TYPE dev <devname>
       skep net help

       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       ATTACH_TYPE := { xdp | xdpgeneric | xdpdrv | xdpoffload | tcx_ingress
                        | tcx_egress }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }

Note: Only xdp, tcx, tc, netkit, flow_dissector and netfilter attachments
      are currently supported.
      For progs attached to cgroups, use "skep cgroup"
      to dump program attachments. For program types
      sk_{filter,skb,msg,reuseport} and lwt/seg6, please
      consult iproute2, or use "skep tc" and "skep ip".
`,
};
