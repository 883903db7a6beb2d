/**
 * The prototypes of all helpers: what they take, what they give, what they do to the verifier's state. Which program
 * types may call them stands with the program types (`programs/`); what they do when called is another room's.
 *
 * @see include/uapi/linux/bpf.h, the comments before __BPF_FUNC_MAPPER
 */
import type { Helper, ProgType } from '../../sys/index.ts';
import {
  ANY,
  BTF_SOCK,
  BTF_SOCK_OR_NULL,
  btf,
  btfOrNull,
  CTX,
  MAP,
  type Prototype,
  VALUE_OR_NULL,
} from './prototypes-arg.ts';
import { MAP_PROTOTYPES } from './prototypes-map.ts';
import { PACKET_PROTOTYPES } from './prototypes-packet.ts';
import { SOCKET_PROTOTYPES } from './prototypes-socket.ts';
import { TRACING_PROTOTYPES } from './prototypes-tracing.ts';

export const PROTOTYPES: Readonly<Record<Helper, Prototype>> = {
  ...MAP_PROTOTYPES,
  ...PACKET_PROTOTYPES,
  ...SOCKET_PROTOTYPES,
  ...TRACING_PROTOTYPES,
};

/** Where a helper's prototype depends on the program type. */
const VARIANTS: readonly {
  readonly helper: Helper;
  readonly types: readonly ProgType[];
  readonly change: Partial<Prototype>;
}[] = [
  {
    helper: 'get_cgroup_classid',
    types: ['sched_cls', 'sched_act', 'lwt_in', 'lwt_out', 'lwt_xmit', 'lwt_seg6local'],
    change: { args: [CTX] },
  },
  {
    helper: 'get_socket_cookie',
    types: ['sk_reuseport', 'syscall', 'tracing', 'lsm'],
    change: { args: [BTF_SOCK_OR_NULL] },
  },
  {
    helper: 'xdp_get_buff_len',
    types: ['syscall', 'tracing', 'lsm'],
    change: { args: [btf('xdp_buff')] },
  },
  {
    helper: 'setsockopt',
    types: ['cgroup_sockopt', 'struct_ops', 'lsm', 'tracing'],
    change: { args: [BTF_SOCK, ...SOCKET_PROTOTYPES.setsockopt.args.slice(1)] },
  },
  {
    helper: 'getsockopt',
    types: ['cgroup_sockopt', 'struct_ops', 'lsm', 'tracing'],
    change: { args: [BTF_SOCK, ...SOCKET_PROTOTYPES.getsockopt.args.slice(1)] },
  },
  {
    helper: 'sk_storage_get',
    types: ['cgroup_sock'],
    change: { args: [MAP, CTX, VALUE_OR_NULL, ANY] },
  },
  {
    helper: 'sk_storage_get',
    types: ['syscall', 'tracing', 'lsm'],
    change: { args: [MAP, btfOrNull('sock_common'), VALUE_OR_NULL, ANY] },
  },
  {
    helper: 'sk_storage_delete',
    types: ['syscall', 'tracing', 'lsm'],
    change: { args: [MAP, btfOrNull('sock_common')] },
  },
  {
    helper: 'sk_assign',
    types: ['sk_lookup'],
    change: { args: [CTX, { kind: 'socket', nullable: true }, ANY] },
  },
];

const byType = new Map<Helper, Map<ProgType, Prototype>>();
for (const { helper, types, change } of VARIANTS) {
  const variants = byType.get(helper) ?? new Map<ProgType, Prototype>();
  for (const type of types) variants.set(type, { ...PROTOTYPES[helper], ...change });
  byType.set(helper, variants);
}

/** The prototype that a program of the type sees. */
export function prototype(helper: Helper, type: ProgType): Prototype {
  return byType.get(helper)?.get(type) ?? PROTOTYPES[helper];
}
