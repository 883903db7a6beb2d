import type { ObjectFact } from '../grammar/object.ts';

/** `cgroup`. */
export const cgroupObject: ObjectFact = {
  name: 'cgroup',
  about: 'show, attach and detach the programs of cgroups',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showCgroup)],
    ['list', () => import('./show.ts').then((module) => module.showCgroup)],
    ['tree', () => import('./tree.ts').then((module) => module.showTree)],
    ['attach', () => import('./attach.ts').then((module) => module.attachToCgroup)],
    ['detach', () => import('./attach.ts').then((module) => module.detachFromCgroup)],
  ],
  usage: `Usage: skep cgroup { show | list } CGROUP [**effective**]
       skep cgroup tree [CGROUP_ROOT] [**effective**]
       skep cgroup attach CGROUP ATTACH_TYPE PROG [ATTACH_FLAGS]
       skep cgroup detach CGROUP ATTACH_TYPE PROG
       skep cgroup help

       ATTACH_TYPE := { cgroup_inet_ingress | cgroup_inet_egress |
                        cgroup_inet_sock_create | cgroup_sock_ops |
                        cgroup_device | cgroup_inet4_bind |
                        cgroup_inet6_bind | cgroup_inet4_post_bind |
                        cgroup_inet6_post_bind | cgroup_inet4_connect |
                        cgroup_inet6_connect | cgroup_unix_connect |
                        cgroup_inet4_getpeername | cgroup_inet6_getpeername |
                        cgroup_unix_getpeername | cgroup_inet4_getsockname |
                        cgroup_inet6_getsockname | cgroup_unix_getsockname |
                        cgroup_udp4_sendmsg | cgroup_udp6_sendmsg |
                        cgroup_unix_sendmsg | cgroup_udp4_recvmsg |
                        cgroup_udp6_recvmsg | cgroup_unix_recvmsg |
                        cgroup_sysctl | cgroup_getsockopt |
                        cgroup_setsockopt | cgroup_inet_sock_release }
       ATTACH_FLAGS := { multi | override }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-f|--bpffs} }
`,
};
