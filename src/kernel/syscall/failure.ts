/** How a system call fails: with Linux's errno, and a sentence for a person. */
import { InputError } from '../../base/error.ts';
import type { Command } from '../../sys/commands.ts';
import { type Errno, errnoName } from '../../sys/errno.ts';
import type { BpfMap, Status } from '../maps/index.ts';
import type { BtfObject } from '../objects/btf-object.ts';
import type { OpenFile } from '../objects/fd-table.ts';
import type { ObjectKind } from '../objects/object.ts';
import type { Program } from '../objects/program.ts';
import type { KernelState } from './state.ts';

/** What a call was doing: the beginning of its sentence (`updating map fd 3`). */
export interface Call {
  readonly command: Command;
  readonly doing: string;
}

export function fail(call: Call, errno: Errno, reason: string, detail?: string): InputError {
  return new InputError(
    `kernel-${call.command.replaceAll('_', '-')}`,
    `${call.doing}: ${reason} (${errno})`,
    detail ? { errno, detail } : { errno },
  );
}

const NAMES = {
  map: 'map',
  prog: 'program',
  btf: 'BTF object',
  link: 'link',
  stats: 'statistics switch',
  perf_event: 'perf event',
  cgroup: 'control group',
  netns: 'network namespace',
} as const satisfies Record<ObjectKind, string>;

interface ObjectTypes {
  readonly map: BpfMap;
  readonly prog: Program;
  readonly btf: BtfObject;
}

/** The open file of an object of one kind. @throws InputError `EBADF` or `EINVAL` */
export function openFile<K extends keyof ObjectTypes>(
  state: KernelState,
  call: Call,
  kind: K,
  fd: number | undefined,
): OpenFile & { readonly object: ObjectTypes[K] } {
  const file = state.fds.get(fd ?? 0);
  if (!file) throw fail(call, 'EBADF', `file descriptor ${fd ?? 0} is not open`);
  if (file.object.kind !== kind) {
    const reason = `file descriptor ${fd} is a ${NAMES[file.object.kind]}, not a ${NAMES[kind]}`;
    throw fail(call, 'EINVAL', reason);
  }
  return file as OpenFile & { readonly object: ObjectTypes[K] };
}

/** Why a map operation failed, for a person. */
function explain(errno: Errno, map: BpfMap, access: string): string {
  const { type, maxEntries } = map.shape;
  const indexed = type === 'array' || type === 'percpu_array' || type.endsWith('_array');
  switch (errno) {
    case 'EEXIST':
      return indexed
        ? `every element of a ${type} is there from the start, and BPF_NOEXIST was asked for`
        : 'the key is there already, and BPF_NOEXIST was asked for';
    case 'ENOENT':
      return access === 'update'
        ? 'the key is not there, and BPF_EXIST was asked for'
        : 'the key is not there';
    case 'E2BIG':
      return indexed
        ? `the index is not below max_entries, ${maxEntries}`
        : `the map is full: it holds max_entries, ${maxEntries}`;
    case 'ENOSPC':
      return access === 'batch'
        ? 'one hash bucket holds more than the batch has room for; ask for more at once'
        : `the map is full: it holds max_entries, ${maxEntries}`;
    case 'ENOMEM':
      return "the kernel's address space is exhausted";
    case 'ENOTSUPP':
      return `maps of type ${type} have no such operation from user space`;
    case 'EBADF':
      return 'the value is not a file descriptor that is open';
    case 'EINVAL':
      return `the flags, the key or the value are none that a ${type} map takes in this operation`;
    default:
      return `the ${type} map refuses it`;
  }
}

/** The exception for a map's answer. */
export function mapFailure(call: Call, map: BpfMap, status: Status, access: string): InputError {
  const errno = errnoName(-status) ?? 'EINVAL';
  return fail(call, errno, explain(errno, map, access));
}

/** `BPF_OBJ_NAME_LEN`: 15 characters of `[A-Za-z0-9_.]`. @throws InputError `EINVAL` */
export function checkName(call: Call, name: string): void {
  if (name.length > 15) throw fail(call, 'EINVAL', `the name '${name}' is longer than 15 characters`);
  if (!/^[A-Za-z0-9_.]*$/.test(name)) {
    throw fail(call, 'EINVAL', `the name '${name}' has other characters than letters, digits, _ and .`);
  }
}
