import { InputError } from '../base/error.ts';
import type { StructLayout } from '../base/layout.ts';
import { ATTACH_FLAGS, attachTypeId, type Bpf, type LinkCreateAttr } from '../sys/index.ts';
import { LINK_TAIL } from './attr.ts';
import type { Caller } from './call.ts';
import type { Scratch } from './scratch.ts';

type LinkCommands = Pick<
  Bpf,
  | 'prog_attach'
  | 'prog_detach'
  | 'raw_tracepoint_open'
  | 'link_create'
  | 'link_update'
  | 'link_detach'
  | 'iter_create'
>;

/** What connects a program with where it runs. */
export function linkCommands(caller: Caller): LinkCommands {
  const { scratch } = caller;
  return {
    prog_attach(attr) {
      caller.call('prog_attach', attr, {
        target: attr.target_fd ?? attr.target_ifindex ?? 0,
        attach_bpf_fd: attr.attach_bpf_fd,
        attach_type: attachTypeId(attr.attach_type),
        replace_bpf_fd: attr.replace_bpf_fd ?? 0,
        ...among(attr),
      });
    },

    prog_detach(attr) {
      caller.call('prog_detach', attr, {
        target: attr.target_fd ?? attr.target_ifindex ?? 0,
        attach_bpf_fd: attr.attach_bpf_fd ?? 0,
        attach_type: attachTypeId(attr.attach_type),
        ...among(attr),
      });
    },

    raw_tracepoint_open(attr) {
      scratch.reset();
      return caller.open('raw_tracepoint_open', attr, {
        name: attr.name === undefined ? 0n : scratch.putString(attr.name),
        prog_fd: attr.prog_fd,
        cookie: attr.cookie ?? 0n,
      });
    },

    link_create(attr) {
      scratch.reset();
      return caller.open('link_create', attr, {
        prog_fd: attr.prog_fd ?? attr.map_fd ?? 0,
        target: attr.target_fd ?? attr.target_ifindex ?? 0,
        attach_type: attachTypeId(attr.attach_type),
        flags: linkFlags(attr),
        tail: tail(attr, scratch),
      });
    },

    link_update(attr) {
      caller.call('link_update', attr, {
        link_fd: attr.link_fd,
        new_prog_fd: attr.new_prog_fd ?? attr.new_map_fd ?? 0,
        flags: attr.flags ?? 0,
        old_prog_fd: attr.old_prog_fd ?? attr.old_map_fd ?? 0,
      });
    },

    link_detach(attr) {
      caller.call('link_detach', attr, { link_fd: attr.link_fd });
    },

    iter_create(attr) {
      return caller.open('iter_create', attr, { link_fd: attr.link_fd, flags: attr.flags ?? 0 });
    },
  };
}

interface Place {
  readonly relative_fd?: number;
  readonly relative_id?: number;
  readonly expected_revision?: bigint;
}

/** Where among the others: an id instead of an fd is told by a flag. */
function among(attr: Place & { readonly attach_flags?: number }): {
  attach_flags: number;
  relative: number;
  expected_revision: bigint;
} {
  return {
    attach_flags: (attr.attach_flags ?? 0) | byId(attr),
    relative: attr.relative_fd ?? attr.relative_id ?? 0,
    expected_revision: attr.expected_revision ?? 0n,
  };
}

const byId = (place: Place | undefined): number =>
  place?.relative_fd === undefined && place?.relative_id !== undefined ? ATTACH_FLAGS.BPF_F_ID : 0;

const linkFlags = (attr: LinkCreateAttr): number => (attr.flags ?? 0) | byId(attr.anchor);

/** The last member of the attribute. At most one of its forms can be given. */
function tail(attr: LinkCreateAttr, scratch: Scratch): Uint8Array {
  const forms: Uint8Array[] = [];
  if (attr.target_btf_id !== undefined) {
    forms.push(encode(LINK_TAIL.target, { target_btf_id: attr.target_btf_id }));
  }
  if (attr.iter_info !== undefined) {
    const iter_info = scratch.put(attr.iter_info);
    forms.push(encode(LINK_TAIL.iter, { iter_info, iter_info_len: attr.iter_info.length }));
  }
  if (attr.perf_event !== undefined) forms.push(encode(LINK_TAIL.perf_event, attr.perf_event));
  if (attr.tracing !== undefined) forms.push(encode(LINK_TAIL.tracing, attr.tracing));
  if (attr.netfilter !== undefined) {
    forms.push(encode(LINK_TAIL.netfilter, { ...attr.netfilter, flags: attr.netfilter.flags ?? 0 }));
  }
  if (attr.anchor !== undefined) {
    const { relative_fd, relative_id, expected_revision = 0n } = attr.anchor;
    forms.push(encode(LINK_TAIL.anchor, { relative: relative_fd ?? relative_id ?? 0, expected_revision }));
  }
  if (attr.kprobe_multi !== undefined) {
    const { flags = 0, syms, addrs, cookies } = attr.kprobe_multi;
    const cnt = syms?.length ?? addrs?.length ?? 0;
    sameLength('kprobe_multi', cnt, { addrs, cookies });
    forms.push(
      encode(LINK_TAIL.kprobe_multi, {
        flags,
        cnt,
        syms: putU64s(
          syms?.map((sym) => scratch.putString(sym)),
          scratch,
        ),
        addrs: putU64s(addrs, scratch),
        cookies: putU64s(cookies, scratch),
      }),
    );
  }
  if (attr.tracing_multi !== undefined) {
    const { ids, cookies } = attr.tracing_multi;
    sameLength('tracing_multi', ids.length, { cookies });
    forms.push(
      encode(LINK_TAIL.tracing_multi, {
        ids: scratch.put(new Uint8Array(Uint32Array.from(ids).buffer)),
        cookies: putU64s(cookies, scratch),
        cnt: ids.length,
      }),
    );
  }
  if (attr.uprobe_multi !== undefined) {
    const { path, offsets, ref_ctr_offsets, cookies, flags = 0, pid = 0 } = attr.uprobe_multi;
    sameLength('uprobe_multi', offsets.length, { ref_ctr_offsets, cookies });
    forms.push(
      encode(LINK_TAIL.uprobe_multi, {
        path: scratch.putString(path),
        offsets: putU64s(offsets, scratch),
        ref_ctr_offsets: putU64s(ref_ctr_offsets, scratch),
        cookies: putU64s(cookies, scratch),
        cnt: offsets.length,
        flags,
        pid,
      }),
    );
  }
  if (forms.length > 1) {
    throw new InputError(
      'linux-link-create',
      `attaching as ${attr.attach_type} link: options of more than one kind of link are given`,
      { errno: 'EINVAL' },
    );
  }
  return forms[0] ?? new Uint8Array(0);
}

function encode<M>(layout: StructLayout<M>, value: Parameters<StructLayout<M>['write']>[2]): Uint8Array {
  const out = new Uint8Array(layout.size);
  layout.write(new DataView(out.buffer), 0, value);
  return out;
}

function putU64s(values: readonly bigint[] | undefined, scratch: Scratch): bigint {
  return values === undefined ? 0n : scratch.put(new Uint8Array(BigUint64Array.from(values).buffer));
}

/** The kernel reads as many of each as there are targets: fewer given would be read past their end. */
function sameLength(
  what: string,
  count: number,
  lists: Readonly<Record<string, readonly bigint[] | undefined>>,
): void {
  for (const [name, list] of Object.entries(lists)) {
    if (list !== undefined && list.length !== count) {
      throw new InputError(
        'linux-link-create',
        `attaching as ${what} link: ${list.length} ${name} are given for ${count} targets`,
        { errno: 'EINVAL' },
      );
    }
  }
}
