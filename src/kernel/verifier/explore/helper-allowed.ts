/** Helpers that only some programs of a type may call, by what they are attached to. */
import type { Helper } from '../../../sys/helper-ids.ts';
import type { Draft } from '../structure/draft.ts';
import { LSM_PREFIX, SLEEPABLE_LSM_HOOKS } from '../structure/hooks.ts';

/** Functions in which a path may be looked at. @see kernel/trace/bpf_trace.c, btf_allowlist_d_path */
const PATH_FUNCTIONS: ReadonlySet<string> = new Set([
  'security_file_permission',
  'security_inode_getattr',
  'security_file_open',
  'security_path_truncate',
  'vfs_truncate',
  'vfs_fallocate',
  'dentry_open',
  'vfs_getattr',
  'filp_close',
]);

/** What a helper asks of the program, beside its type. */
const ALLOWED: Partial<Readonly<Record<Helper, (draft: Draft) => boolean>>> = {
  d_path: (draft) => {
    const { type, expectedAttachType } = draft.input;
    if (type === 'tracing' && expectedAttachType === 'trace_iter') return true;
    return type === 'lsm' ? atSleepableHook(draft) : PATH_FUNCTIONS.has(target(draft));
  },
  ima_inode_hash: atSleepableHook,
  ima_file_hash: atSleepableHook,
  sk_storage_get: mayTraceSockets,
  sk_storage_delete: mayTraceSockets,
};

export function isAllowed(draft: Draft, helper: Helper): boolean {
  return ALLOWED[helper]?.(draft) ?? true;
}

/** Name of the kernel's function that the program is attached to. */
function target({ input, environment: { kernelBtf } }: Draft): string {
  const { attachTarget } = input;
  if (attachTarget === undefined || attachTarget.prog !== undefined) return '';
  const btf = attachTarget.btf ?? kernelBtf;
  if (btf === undefined || attachTarget.btfId >= btf.endId) return '';
  const type = btf.type(attachTarget.btfId as Parameters<typeof btf.type>[0]);
  return 'name' in type ? String(type.name) : '';
}

function atSleepableHook(draft: Draft): boolean {
  const name = target(draft);
  return name.startsWith(LSM_PREFIX) && SLEEPABLE_LSM_HOOKS.has(name.slice(LSM_PREFIX.length));
}

/** A program that traces the storage of sockets must not use it. @see net/core/bpf_sk_storage.c */
function mayTraceSockets(draft: Draft): boolean {
  const { type, expectedAttachType, attachTarget } = draft.input;
  if (type !== 'tracing' && type !== 'syscall') return true;
  if (attachTarget?.prog !== undefined) return false;
  switch (expectedAttachType) {
    case 'trace_iter':
    case 'trace_raw_tp':
      return true;
    case 'trace_fentry':
    case 'trace_fexit':
      return !target(draft).startsWith('bpf_sk_storage');
    default:
      return false;
  }
}
