/** Iterators: programs that a reader runs on each of the kernel's tasks, maps, sockets. */
import { concatBytes } from '../../base/bytes.ts';
import { struct, u32, u64 } from '../../base/layout.ts';
import type { Fd, LinkCreateAttr } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import { BpfLink } from './link.ts';
import { needType, type PathRef, withPath } from './place.ts';

/** How a walk over control groups goes. @see enum bpf_cgroup_iter_order */
export const CGROUP_ORDERS = {
  self: 1,
  descendants: 2,
  descendants_post: 3,
  ancestors: 4,
  children: 5,
} as const;

/** What is walked over, for iterators that can be told. */
export interface IteratorOptions {
  /** Of `bpf_map_elem`, `bpf_sk_storage_map`. */
  readonly map?: Fd | { readonly fd: Fd };
  /** Of `cgroup`. */
  readonly cgroup?: { readonly path: PathRef; readonly order?: keyof typeof CGROUP_ORDERS };
  /** Of `task`, `task_file`, `task_vma`: one thread, all threads of a process. */
  readonly task?: { readonly tid: number } | { readonly pid: number };
}

/** The forms of `union bpf_iter_link_info`. */
const MAP = struct({ map_fd: u32 });
const CGROUP = struct({ order: u32, cgroup_fd: u32, cgroup_id: u64 });
const TASK = struct({ tid: u32, pid: u32, pid_fd: u32 });
const INFO_SIZE = 16;
const CHUNK = 64 * 1024;

/** A link that is read: each reading walks anew. */
export class IteratorLink extends BpfLink {
  /** Opens the walk as a file; the caller closes it. */
  open(): Fd {
    return this.kernel.bpf.iter_create({ link_fd: this.fd });
  }

  /** All that the program writes in one walk. */
  read(): Uint8Array {
    const fd = this.open();
    try {
      const parts: Uint8Array[] = [];
      for (;;) {
        const part = this.kernel.files.read(fd, CHUNK);
        if (part.length === 0) break;
        parts.push(part);
      }
      return concatBytes(parts);
    } finally {
      this.kernel.closeFd(fd);
    }
  }

  text(): string {
    return new TextDecoder().decode(this.read());
  }
}

export function attachIterator(program: LoadedProgram, options: IteratorOptions = {}): IteratorLink {
  needType(program, ['tracing'], 'iterators');
  const { kernel, owner } = program;
  const create = (iter_info?: Uint8Array) => {
    const attr: LinkCreateAttr = {
      prog_fd: program.fd,
      attach_type: 'trace_iter',
      ...(iter_info && { iter_info }),
    };
    const fd = kernel.bpf.link_create(attr);
    try {
      return new IteratorLink(kernel, fd, owner);
    } catch (error) {
      kernel.closeFd(fd);
      throw error;
    }
  };
  const info = new Uint8Array(INFO_SIZE);
  const view = new DataView(info.buffer);
  const { map, cgroup, task } = options;
  if (map !== undefined) {
    MAP.patch(view, 0, { map_fd: typeof map === 'number' ? map : map.fd });
    return create(info);
  }
  if (cgroup !== undefined) {
    return withPath(kernel, cgroup.path, (cgroup_fd) => {
      CGROUP.patch(view, 0, { order: CGROUP_ORDERS[cgroup.order ?? 'descendants'], cgroup_fd });
      return create(info);
    });
  }
  if (task !== undefined) {
    TASK.patch(view, 0, 'tid' in task ? { tid: task.tid } : { pid: task.pid });
    return create(info);
  }
  return create();
}
