import type { ObjectFact } from '../grammar/object.ts';

/** `prog`. */
export const progObject: ObjectFact = {
  name: 'prog',
  about: 'load, show, dump, attach and run programs',
  commands: [
    ['show', () => import('./show.ts').then((module) => module.showPrograms)],
    ['list', () => import('./show.ts').then((module) => module.showPrograms)],
    ['help', () => import('../grammar/object.ts').then((module) => module.helpAction)],
    ['dump', () => import('./dump.ts').then((module) => module.dumpPrograms)],
    ['pin', () => import('./pin.ts').then((module) => module.pinProgram)],
    ['load', () => import('./load.ts').then((module) => module.loadFirst)],
    ['loadall', () => import('./load.ts').then((module) => module.loadAll)],
    ['attach', () => import('./attach.ts').then((module) => module.attachProgram)],
    ['detach', () => import('./attach.ts').then((module) => module.detachProgram)],
    ['tracelog', () => import('./tracelog.ts').then((module) => module.traceLog)],
    ['run', () => import('./run.ts').then((module) => module.runProgram)],
    ['profile', () => import('./profile.ts').then((module) => module.profileRuns)],
  ],
  usage: `Usage: skep prog { show | list } [PROG]
       skep prog dump xlated PROG [{ file FILE | [opcodes] [linum] [visual] }]
       skep prog dump jited  PROG [{ file FILE | [opcodes] [linum] }]
       skep prog pin   PROG FILE
       skep prog { load | loadall } OBJ  PATH \\
                         [type TYPE] [{ offload_dev | xdpmeta_dev } NAME] \\
                         [map { idx IDX | name NAME } MAP]\\
                         [pinmaps MAP_DIR]
                         [autoattach]
                         [kernel_btf BTF_FILE]
       skep prog attach PROG ATTACH_TYPE [MAP]
       skep prog detach PROG ATTACH_TYPE [MAP]
       skep prog run PROG \\
                         data_in FILE \\
                         [data_out FILE [data_size_out L]] \\
                         [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] \\
                         [repeat N]
       skep prog profile PROG [duration DURATION] [METRICs]
       skep prog tracelog
       skep prog tracelog { stdout | stderr } PROG
       skep prog help

       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       TYPE := { socket | kprobe | kretprobe | classifier | action |
                 tracepoint | raw_tracepoint | xdp | perf_event | cgroup/skb |
                 cgroup/sock | cgroup/dev | lwt_in | lwt_out | lwt_xmit |
                 lwt_seg6local | sockops | sk_skb | sk_msg | lirc_mode2 |
                 sk_reuseport | flow_dissector | cgroup/sysctl |
                 cgroup/bind4 | cgroup/bind6 | cgroup/post_bind4 |
                 cgroup/post_bind6 | cgroup/connect4 | cgroup/connect6 |
                 cgroup/connect_unix | cgroup/getpeername4 | cgroup/getpeername6 |
                 cgroup/getpeername_unix | cgroup/getsockname4 | cgroup/getsockname6 |
                 cgroup/getsockname_unix | cgroup/sendmsg4 | cgroup/sendmsg6 |
                 cgroup/sendmsg_unix | cgroup/recvmsg4 | cgroup/recvmsg6 |
                 cgroup/recvmsg_unix | cgroup/getsockopt | cgroup/setsockopt |
                 cgroup/sock_release | struct_ops | fentry | fexit | fsession | freplace |
                 sk_lookup }
       ATTACH_TYPE := { sk_msg_verdict | sk_skb_verdict | sk_skb_stream_verdict |
                        sk_skb_stream_parser | flow_dissector }
       METRIC := { cycles | instructions | l1d_loads | llc_misses | itlb_misses | dtlb_misses }
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-f|--bpffs} | {-m|--mapcompat} | {-n|--nomount} |
                    {-L|--use-loader} | [ {-S|--sign } {-k} <private_key.pem> {-i} <certificate.x509> ] }
`,
};
