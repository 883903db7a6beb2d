/** What connects a program with where it runs, and can be taken off again. */
import { InputError } from '../../base/error.ts';
import {
  type Fd,
  type Kernel,
  type LinkDetails,
  type LinkId,
  type LinkType,
  linkDetails,
} from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';

/** How an attachment that is no link of bpf(2) was made. */
export type AttachmentKind = 'netlink' | 'prog_attach' | 'ioctl' | 'setsockopt' | 'map_update';

/** An attachment. Closing it takes the program off, unless it was pinned. */
export interface Link extends Disposable {
  /** The kernel's link type, or how it was made where it is no link of bpf(2); `group` for several at once. */
  readonly kind: LinkType | AttachmentKind | 'group';
  /** Of a link of bpf(2). */
  readonly fd: Fd | undefined;
  /** What it is attached to. `undefined` for what is no link of bpf(2), or several. */
  info(): LinkDetails | undefined;
  /** Runs another program in this one's place, without a moment in which none runs. @throws InputError where that can't be */
  update(program: LoadedProgram): void;
  /** Takes the program off now, whoever else holds the link. */
  detach(): void;
  /** Keeps it in a BPF file system: it stays attached after this process. */
  pin(path: string): void;
  unpin(): void;
  close(): void;
}

/** Who closes links that their maker forgot: the object that their program is of. */
export interface LinkOwner {
  add(link: Link): void;
  remove(link: Link): void;
}

/** A link of bpf(2). */
export class BpfLink implements Link {
  readonly kernel: Kernel;
  readonly fd: Fd;
  readonly kind: LinkType;
  readonly id: LinkId;
  readonly #owner: LinkOwner | undefined;
  /** Closed with it: the event of a perf link. */
  readonly #with: readonly Fd[];
  #pinned: string | undefined;
  #open = true;

  constructor(kernel: Kernel, fd: Fd, owner?: LinkOwner, others: readonly Fd[] = []) {
    this.kernel = kernel;
    this.fd = fd;
    this.#owner = owner;
    this.#with = others;
    const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (info.kind !== 'link') {
      throw new InputError('loader-link', `opening a link: fd ${fd} is a ${info.kind}, not a link`, {
        errno: 'EINVAL',
      });
    }
    this.kind = info.type;
    this.id = info.id;
    owner?.add(this);
  }

  info(): LinkDetails {
    const info = this.kernel.bpf.obj_get_info_by_fd({ bpf_fd: this.fd });
    if (info.kind !== 'link') throw new InputError('loader-link', `fd ${this.fd} is no link any more`);
    return linkDetails(info);
  }

  /** @param expected fails unless this is the program that runs now */
  update(program: LoadedProgram, expected?: LoadedProgram): void {
    const BPF_F_REPLACE = 1 << 2;
    this.kernel.bpf.link_update({
      link_fd: this.fd,
      new_prog_fd: program.fd,
      ...(expected && { old_prog_fd: expected.fd, flags: BPF_F_REPLACE }),
    });
  }

  detach(): void {
    this.kernel.bpf.link_detach({ link_fd: this.fd });
  }

  pin(path: string): void {
    this.kernel.bpf.obj_pin({ pathname: path, bpf_fd: this.fd });
    this.#pinned = path;
  }

  unpin(): void {
    if (this.#pinned !== undefined) this.kernel.files.unlink(this.#pinned);
    this.#pinned = undefined;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#owner?.remove(this);
    this.kernel.closeFd(this.fd);
    for (const fd of this.#with) this.kernel.closeFd(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens a pinned link. */
export function openLink(kernel: Kernel, path: string): BpfLink {
  const fd = kernel.bpf.obj_get({ pathname: path });
  try {
    return new BpfLink(kernel, fd);
  } catch (error) {
    kernel.closeFd(fd);
    throw error;
  }
}

/** What an {@link Attachment} does. */
export interface AttachmentActions {
  readonly detach: () => void;
  readonly update?: (program: LoadedProgram) => void;
}

/**
 * An attachment that is no link of bpf(2): nothing holds it in the kernel but where it is attached. Closing takes it off;
 * {@link keep} lets it stay.
 */
export class Attachment implements Link {
  readonly kind: AttachmentKind;
  readonly fd = undefined;
  readonly #what: string;
  readonly #actions: AttachmentActions;
  readonly #owner: LinkOwner | undefined;
  #attached = true;

  /** @param what names it in messages */
  constructor(kind: AttachmentKind, what: string, actions: AttachmentActions, owner?: LinkOwner) {
    this.kind = kind;
    this.#what = what;
    this.#actions = actions;
    this.#owner = owner;
    owner?.add(this);
  }

  info(): undefined {
    return undefined;
  }

  update(program: LoadedProgram): void {
    if (!this.#actions.update) throw this.#unable('its program be replaced');
    this.#actions.update(program);
  }

  detach(): void {
    if (!this.#attached) return;
    this.#actions.detach();
    this.#attached = false;
    this.#owner?.remove(this);
  }

  /** Leaves the program attached when this is closed. */
  keep(): void {
    this.#attached = false;
    this.#owner?.remove(this);
  }

  pin(_path: string): void {
    throw this.#unable('it be pinned: it stays attached by itself after keep()');
  }

  unpin(): void {}

  close(): void {
    this.detach();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #unable(what: string): InputError {
    return new InputError(
      'loader-link',
      `${this.#what}: it is attached by ${this.kind}, not by a link of bpf(2), nor can ${what}`,
    );
  }
}

/** Several attachments as one: of a program at every CPU, of every place that a pattern names. */
export class LinkGroup implements Link {
  readonly kind = 'group';
  readonly fd = undefined;
  readonly links: readonly Link[];

  constructor(links: readonly Link[]) {
    this.links = links;
  }

  info(): undefined {
    return undefined;
  }

  update(program: LoadedProgram): void {
    for (const link of this.links) link.update(program);
  }

  detach(): void {
    for (const link of this.links) link.detach();
  }

  pin(path: string): void {
    for (const [i, link] of this.links.entries()) link.pin(`${path}_${i}`);
  }

  unpin(): void {
    for (const link of this.links) link.unpin();
  }

  close(): void {
    for (const link of this.links) link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Makes several links, or none: what was made before a failure is closed. */
export function all(makers: Iterable<() => Link>): Link {
  const links: Link[] = [];
  try {
    for (const make of makers) links.push(make());
  } catch (error) {
    for (const link of links.reverse()) link.close();
    throw error;
  }
  const [only] = links;
  return links.length === 1 && only ? only : new LinkGroup(links);
}
