/**
 * Arguments of the kernel's iterators, by iterator and index: at the end of a walk there is none, and a map's keys and
 * values are buffers. The first argument always describes the walk.
 *
 * @see the `bpf_iter_reg` tables of the kernel, `ctx_arg_info`
 */
import {
  MEM_RDONLY,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TRUSTED,
  type RegType,
} from './reg-type.ts';

const OBJECT = PTR_TO_BTF_ID | PTR_MAYBE_NULL;
const TRUSTED = OBJECT | PTR_TRUSTED;
const BUFFER = PTR_TO_BUF | PTR_MAYBE_NULL;

export const ITER_ARGS: Readonly<Record<string, Readonly<Record<number, RegType>>>> = {
  task: { 1: TRUSTED },
  task_file: { 1: OBJECT, 3: OBJECT },
  task_vma: { 1: OBJECT, 2: OBJECT },
  bpf_map: { 1: TRUSTED },
  bpf_map_elem: { 2: BUFFER | MEM_RDONLY, 3: BUFFER },
  bpf_prog: { 1: OBJECT },
  bpf_link: { 1: OBJECT },
  bpf_sk_storage_map: { 2: OBJECT, 3: BUFFER },
  sockmap: { 2: BUFFER | MEM_RDONLY, 3: OBJECT },
  cgroup: { 1: TRUSTED },
  kmem_cache: { 1: TRUSTED },
  dmabuf: { 1: OBJECT },
  tcp: { 1: TRUSTED },
  udp: { 1: TRUSTED },
  unix: { 1: OBJECT },
  netlink: { 1: OBJECT },
  ipv6_route: { 1: OBJECT },
  ksym: { 1: OBJECT },
};
