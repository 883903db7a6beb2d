/** Contexts of the cgroup programs that see no packet and no socket address. */
import { s32, struct, u32, u64 } from '../../../base/layout.ts';
import { context, narrow32, u32Exact, u64Exact } from '../context.ts';

/** @see include/uapi/linux/bpf.h, struct bpf_sysctl */
export const SYSCTL_LAYOUT = struct({ write: u32, file_pos: u32 });

export const SYSCTL_CONTEXT = context('bpf_sysctl', SYSCTL_LAYOUT, 'bpf_sysctl_kern', {
  write: { read: narrow32, reads: 'write' },
  file_pos: { read: narrow32, write: u32Exact, reads: '*ppos' },
});

/** @see include/uapi/linux/bpf.h, struct bpf_sockopt */
export const SOCKOPT_LAYOUT = struct({
  sk: u64,
  optval: u64,
  optval_end: u64,
  level: s32,
  optname: s32,
  optlen: s32,
  retval: s32,
});

export const SOCKOPT_CONTEXT = context('bpf_sockopt', SOCKOPT_LAYOUT, 'bpf_sockopt_kern', {
  sk: { read: u64Exact, value: 'sock', reads: 'sk' },
  optval: { read: u64Exact, value: 'packet', reads: 'optval' },
  optval_end: { read: u64Exact, value: 'packet_end', reads: 'optval_end' },
  level: { read: u32Exact, write: u32Exact, writeAttach: ['cgroup_setsockopt'], reads: 'level' },
  optname: { read: u32Exact, write: u32Exact, writeAttach: ['cgroup_setsockopt'], reads: 'optname' },
  optlen: { read: u32Exact, write: u32Exact, reads: 'optlen' },
  retval: {
    read: u32Exact,
    write: u32Exact,
    attach: ['cgroup_getsockopt'],
    reads: 'current->bpf_ctx->retval',
  },
});

/** @see include/uapi/linux/bpf.h, struct bpf_cgroup_dev_ctx */
export const CGROUP_DEV_LAYOUT = struct({ access_type: u32, major: u32, minor: u32 });

/** `access_type` is `access << 16 | device type`. */
export const CGROUP_DEV_CONTEXT = context('bpf_cgroup_dev_ctx', CGROUP_DEV_LAYOUT, undefined, {
  access_type: { read: narrow32 },
  major: { read: u32Exact },
  minor: { read: u32Exact },
});
