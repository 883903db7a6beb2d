/** Hooks as far as they are remembered: which programs are attached where, in which order. Nothing runs them yet. */
import { struct, u32, u64 } from '../../base/layout.ts';
import { attachTypeId } from '../../sys/attach-types.ts';
import type { Errno } from '../../sys/errno.ts';
import type { AttachType, LinkType } from '../../sys/tables.ts';
import { Link } from './link.ts';
import type { Program } from './program.ts';

/** A program at a hook, attached by a link or without. */
export interface Entry {
  readonly program: Program;
  readonly link: HookLink | undefined;
  /** `BPF_F_PREORDER`. */
  readonly flags: number;
}

/** Most programs at one hook. @see include/linux/bpf_mprog.h, BPF_MPROG_MAX; BPF_CGROUP_MAX_PROGS */
const MOST = 64;

export interface HookFailure {
  readonly errno: Errno;
  readonly reason: string;
}

/** Where among the others. */
export interface Position {
  readonly before: boolean;
  readonly after: boolean;
  /** Of the relative; `undefined` for all of them. */
  readonly relative: Program | Link | undefined;
}

/** One hook of one place. */
export class Hook {
  readonly attachType: AttachType;
  /** `BPF_F_ALLOW_OVERRIDE` and `BPF_F_ALLOW_MULTI` of control groups. */
  mode = 0;
  revision = 1n;
  #entries: readonly Entry[] = [];

  constructor(attachType: AttachType) {
    this.attachType = attachType;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Puts a program in. Holds it, and gives it up when it leaves. */
  insert(entry: Entry, { before, after, relative }: Position): HookFailure | undefined {
    if (this.#entries.length >= MOST)
      return { errno: 'E2BIG', reason: `the hook has ${MOST} programs already` };
    let at = before && relative === undefined ? 0 : this.#entries.length;
    if (relative !== undefined) {
      const found = this.#entries.findIndex(({ program, link }) => relative === program || relative === link);
      if (found < 0) return { errno: 'ENOENT', reason: 'what it should stand beside is not at this hook' };
      at = before && !after ? found : found + 1;
    }
    entry.program.hold();
    this.#entries = [...this.#entries.slice(0, at), entry, ...this.#entries.slice(at)];
    this.revision += 1n;
    return undefined;
  }

  /** Another program in an entry's place. */
  replace(old: Entry, entry: Entry): void {
    entry.program.hold();
    this.#entries = this.#entries.map((one) => (one === old ? entry : one));
    this.revision += 1n;
    old.program.release();
  }

  remove(entry: Entry): void {
    if (!this.#entries.includes(entry)) return;
    this.#entries = this.#entries.filter((one) => one !== entry);
    this.revision += 1n;
    if (this.#entries.length === 0) {
      this.mode = 0;
      // A device's hook is made anew by the next program.
      if (this.attachType.startsWith('tcx_')) this.revision = 1n;
    }
    entry.program.release();
  }

  /** The place is gone: what was attached to it is not any more. */
  clear(): void {
    for (const entry of this.#entries) {
      if (entry.link) entry.link.detach();
      else this.remove(entry);
    }
  }
}

const PAIR = struct({ first: u32, attach_type: u32 });
const CGROUP = struct({ cgroup_id: u64, attach_type: u32 });
const NETFILTER = struct({ pf: u32, hooknum: u32, priority: u32, flags: u32 });

/** What a link is attached to, as its information tells. */
export type HookPlace =
  | { readonly type: 'cgroup'; readonly cgroup_id: bigint }
  | { readonly type: 'tcx' | 'netkit'; readonly ifindex: number }
  | { readonly type: 'xdp'; readonly ifindex: number }
  | { readonly type: 'netns'; readonly ino: number }
  | { readonly type: 'sockmap'; readonly map_id: number }
  | {
      readonly type: 'netfilter';
      readonly pf: number;
      readonly hooknum: number;
      readonly priority: number;
      readonly flags: number;
    };

/** A link to a hook. */
export class HookLink extends Link {
  readonly type: LinkType;
  readonly place: HookPlace;
  readonly #hook: Hook;
  #entry: Entry | undefined;
  /** Held while it is detached, so that its information can still be told. */
  #program: Program;

  constructor(hook: Hook, place: HookPlace, program: Program) {
    super();
    this.type = place.type;
    this.place = place;
    this.#hook = hook;
    this.#program = program.hold();
  }

  get program(): Program {
    return this.#program;
  }

  /** Whether it is still attached. */
  get attached(): boolean {
    return this.#entry !== undefined;
  }

  attach(position: Position, flags: number): HookFailure | undefined {
    const entry: Entry = { program: this.#program, link: this, flags };
    const failed = this.#hook.insert(entry, position);
    if (failed === undefined) this.#entry = entry;
    return failed;
  }

  update(program: Program): void {
    const old = this.#entry;
    if (old === undefined) return;
    this.#entry = { ...old, program };
    this.#hook.replace(old, this.#entry);
    program.hold();
    this.#program.release();
    this.#program = program;
  }

  detach(): void {
    if (this.#entry !== undefined) this.#hook.remove(this.#entry);
    this.#entry = undefined;
  }

  override destroy(): void {
    this.detach();
    this.#program.release();
  }

  tail(): Uint8Array {
    const bytes = new Uint8Array(48);
    const view = new DataView(bytes.buffer);
    const { place } = this;
    // Where it is attached no more, Linux tells no place.
    const attach_type = attachTypeId(this.#hook.attachType);
    switch (place.type) {
      case 'cgroup':
        CGROUP.write(view, 0, { cgroup_id: this.attached ? place.cgroup_id : 0n, attach_type });
        break;
      case 'tcx':
      case 'netkit':
        PAIR.write(view, 0, { first: this.attached ? place.ifindex : 0, attach_type });
        break;
      case 'xdp':
        PAIR.patch(view, 0, { first: this.attached ? place.ifindex : 0 });
        break;
      case 'netns':
        PAIR.write(view, 0, { first: this.attached ? place.ino : 0, attach_type });
        break;
      case 'sockmap':
        PAIR.write(view, 0, { first: this.attached ? place.map_id : 0, attach_type });
        break;
      case 'netfilter':
        NETFILTER.write(view, 0, { ...place, priority: place.priority >>> 0 });
        break;
    }
    return bytes;
  }
}

/** All hooks of a kernel, by their place. */
export class Hooks {
  readonly #hooks = new Map<string, Hook>();

  /** @param place such as `device 3` */
  at(place: string, attachType: AttachType): Hook {
    const key = `${place} ${attachType}`;
    let hook = this.#hooks.get(key);
    if (hook === undefined) {
      hook = new Hook(attachType);
      this.#hooks.set(key, hook);
    }
    return hook;
  }

  /** Ends all attachments of a place. */
  clear(place: string): void {
    for (const [key, hook] of this.#hooks) {
      if (!key.startsWith(`${place} `)) continue;
      hook.clear();
      this.#hooks.delete(key);
    }
  }

  close(): void {
    for (const hook of this.#hooks.values()) hook.clear();
    this.#hooks.clear();
  }
}
