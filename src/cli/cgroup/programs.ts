/** The programs of a cgroup, as `cgroup show` and `cgroup tree` list them. */
import { InputError } from '../../base/error.ts';
import type { BtfTypeId } from '../../btf/index.ts';
import { vmlinuxBtf } from '../../loader/index.ts';
import {
  ATTACH_FLAGS,
  type AttachType,
  type Fd,
  type ProgQueryResult,
  QUERY_FLAGS,
} from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { errnoOf, strerror } from '../grammar/refusal.ts';
import { fullName, infoOf } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';

/** The attach types that are asked for, in bpftool's order. */
const TYPES = [
  'cgroup_inet_ingress',
  'cgroup_inet_egress',
  'cgroup_inet_sock_create',
  'cgroup_inet_sock_release',
  'cgroup_inet4_bind',
  'cgroup_inet6_bind',
  'cgroup_inet4_post_bind',
  'cgroup_inet6_post_bind',
  'cgroup_inet4_connect',
  'cgroup_inet6_connect',
  'cgroup_unix_connect',
  'cgroup_inet4_getpeername',
  'cgroup_inet6_getpeername',
  'cgroup_unix_getpeername',
  'cgroup_inet4_getsockname',
  'cgroup_inet6_getsockname',
  'cgroup_unix_getsockname',
  'cgroup_udp4_sendmsg',
  'cgroup_udp6_sendmsg',
  'cgroup_unix_sendmsg',
  'cgroup_udp4_recvmsg',
  'cgroup_udp6_recvmsg',
  'cgroup_unix_recvmsg',
  'cgroup_sock_ops',
  'cgroup_device',
  'cgroup_sysctl',
  'cgroup_getsockopt',
  'cgroup_setsockopt',
  'lsm_cgroup',
] as const satisfies readonly AttachType[];

const COLUMN = 15;

export class CgroupPrograms {
  readonly #call: Call;
  readonly #world: World;
  readonly #effective: boolean;
  #typesId: number | undefined;

  /** @param effective those that its processes run, its parents' too */
  constructor(call: Call, world: World, effective: boolean) {
    this.#call = call;
    this.#world = world;
    this.#effective = effective;
  }

  /** The line that the columns stand under. */
  get heading(): string {
    const columns = ['AttachType', ...(this.#effective ? [] : ['AttachFlags']), 'Name'];
    return `${'ID'.padEnd(8)} ${columns.map((column) => column.padEnd(COLUMN)).join(' ')}\n`;
  }

  /**
   * Those of one cgroup, by attach type; types that the kernel does not know are passed over.
   * @param path for messages
   */
  of(cgroup: Fd, path: string): (readonly [type: AttachType, found: ProgQueryResult])[] {
    const { bpf } = this.#world.kernel;
    const all: (readonly [AttachType, ProgQueryResult])[] = [];
    for (const type of TYPES) {
      try {
        const query_flags = this.#effective ? QUERY_FLAGS.BPF_F_QUERY_EFFECTIVE : 0;
        const found = bpf.prog_query({ target_fd: cgroup, attach_type: type, query_flags });
        if (found.prog_ids.length > 0) all.push([type, found]);
      } catch (error) {
        if (errnoOf(error) === 'EINVAL') continue;
        throw new InputError(
          'cli-cgroup',
          `can't query bpf programs attached to ${path}: ${strerror(error)}`,
          { cause: error },
        );
      }
    }
    return all;
  }

  /** @param indent for programs below the top of a tree */
  show(type: AttachType, found: ProgQueryResult, indent: boolean): void {
    for (const [i, id] of found.prog_ids.entries()) {
      const flags = found.prog_attach_flags[i] || found.attach_flags;
      this.#showProgram(type, id, flagText(flags), indent);
    }
  }

  #showProgram(type: AttachType, id: ProgQueryResult['prog_ids'][number], flags: string, indent: boolean) {
    const { kernel } = this.#world;
    let fd: Fd;
    try {
      fd = kernel.bpf.prog_get_fd_by_id({ prog_id: id });
    } catch {
      // It ended meanwhile.
      return;
    }
    const info = infoOf(kernel, fd, 'prog');
    const name = fullName(kernel, info);
    kernel.closeFd(fd);
    const target = this.#targetName(info);
    const { out } = this.#call;
    const { json } = out;
    if (json) {
      json.startObject().field('id', info.id).field('attach_type', type);
      if (!this.#effective) json.field('attach_flags', flags);
      json.field('name', name);
      if (target !== undefined) json.field('attach_btf_name', target);
      json.field('attach_btf_obj_id', info.attach_btf_obj_id).field('attach_btf_id', info.attach_btf_id);
      json.endObject();
      return;
    }
    const columns = [type, ...(this.#effective ? [] : [flags]), name];
    if (target !== undefined) columns.push(target);
    const numbers =
      target === undefined && info.attach_btf_id !== 0
        ? ` attach_btf_obj_id=${info.attach_btf_obj_id} attach_btf_id=${info.attach_btf_id}`
        : '';
    const start = `${indent ? '    ' : ''}${String(info.id).padEnd(8)}`;
    out.print(`${start} ${columns.map((column) => column.padEnd(COLUMN)).join(' ')}${numbers}\n`);
  }

  /** The kernel function that the program was loaded for. For none, bpftool has an empty name where the kernel has types. */
  #targetName(info: { readonly attach_btf_obj_id: number; readonly attach_btf_id: number }) {
    const { kernel } = this.#world;
    const types = vmlinuxBtf(kernel);
    if (types === undefined) return undefined;
    if (info.attach_btf_id === 0) return '';
    this.#typesId ??= kernel.bpf.btf_get_next_id({ start_id: 0 });
    if (this.#typesId !== info.attach_btf_obj_id || info.attach_btf_id >= types.endId) return undefined;
    const type = types.type(info.attach_btf_id as BtfTypeId);
    return 'name' in type ? type.name : undefined;
  }
}

function flagText(flags: number): string {
  switch (flags) {
    case 0:
      return '';
    case ATTACH_FLAGS.BPF_F_ALLOW_MULTI:
      return 'multi';
    case ATTACH_FLAGS.BPF_F_ALLOW_OVERRIDE:
      return 'override';
    default:
      return `unknown(${flags.toString(16)})`;
  }
}

/** Reads `effective`, the only word that may follow. */
export function takeEffective({ words }: Call): boolean {
  let effective = false;
  while (words.left > 0) {
    const word = words.peek();
    if (!words.accept('effective')) {
      throw new InputError('cli-cgroup', `expected no more arguments, 'effective', got: '${word}'?`);
    }
    if (effective) throw new InputError('cli-cgroup', `duplicated argument: ${word}`);
    effective = true;
  }
  return effective;
}
