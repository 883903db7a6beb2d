import { InputError } from '../base/error.ts';
import type { Fd, Kernel, MapInfo } from '../sys/index.ts';
import { Attachment, BpfLink, type Link, type LinkOwner } from './attach/link.ts';
import type { MapSpec } from './spec.ts';

/** What {@link LoadedMap} is made of. */
export interface MapParts {
  readonly kernel: Kernel;
  readonly spec: MapSpec;
  readonly fd: Fd;
  readonly maxEntries: number;
  /** Where it is pinned. */
  readonly pinned?: string | undefined;
  readonly owner?: LinkOwner | undefined;
  /** Of a table of functions without a link: what registers it. */
  readonly register?: (() => void) | undefined;
}

/** A map that is in the kernel. */
export class LoadedMap {
  readonly kernel: Kernel;
  readonly name: string;
  readonly fd: Fd;
  readonly spec: MapSpec;
  /** As created; the spec's unless the caller or the map type asked for another. */
  readonly maxEntries: number;
  readonly #owner: LinkOwner | undefined;
  readonly #register: (() => void) | undefined;
  #pinned: string | undefined;

  constructor(parts: MapParts) {
    this.kernel = parts.kernel;
    this.name = parts.spec.name;
    this.fd = parts.fd;
    this.spec = parts.spec;
    this.maxEntries = parts.maxEntries;
    this.#owner = parts.owner;
    this.#register = parts.register;
    this.#pinned = parts.pinned;
  }

  info(): MapInfo {
    const info = this.kernel.bpf.obj_get_info_by_fd({ bpf_fd: this.fd });
    if (info.kind !== 'map') {
      throw new InputError(
        'loader-map',
        `map ${this.name}: fd ${this.fd} is a ${info.kind} now: it was closed`,
      );
    }
    return info;
  }

  /** No more changes from user space. */
  freeze(): void {
    this.kernel.bpf.map_freeze({ map_fd: this.fd });
  }

  /** Where it is pinned, as far as is known here. */
  get pinned(): string | undefined {
    return this.#pinned;
  }

  /** Keeps it in a BPF file system. */
  pin(path: string): void {
    this.kernel.bpf.obj_pin({ pathname: path, bpf_fd: this.fd });
    this.#pinned = path;
  }

  unpin(): void {
    if (this.#pinned !== undefined) this.kernel.files.unlink(this.#pinned);
    this.#pinned = undefined;
  }

  /** Gives a table of functions (`.struct_ops`) to the kernel, to be called. */
  attachStructOps(): Link {
    const { kernel, fd, spec } = this;
    if (!spec.structOps) {
      throw new InputError(
        'loader-attach',
        `attaching map ${this.name}: it is a ${spec.type} map, not a struct_ops table`,
        {
          errno: 'EINVAL',
        },
      );
    }
    if (spec.structOps.link) {
      const link = kernel.bpf.link_create({ map_fd: fd, attach_type: 'struct_ops' });
      try {
        return new BpfLink(kernel, link, this.#owner);
      } catch (error) {
        kernel.closeFd(link);
        throw error;
      }
    }
    if (!this.#register) {
      throw new InputError(
        'loader-attach',
        `attaching map ${this.name}: a program that it names was not loaded`,
        {
          errno: 'EINVAL',
        },
      );
    }
    this.#register();
    const detach = () => kernel.bpf.map_delete_elem({ map_fd: fd, key: new Uint8Array(4) });
    return new Attachment('map_update', `map ${this.name}`, { detach }, this.#owner);
  }
}
