import { InputError } from '../base/error.ts';
import { type Command, type CommandTypes, type Errno, errnoName, errnoText } from '../sys/index.ts';
import { missingCapability } from './capabilities.ts';

const quoted = (text: string | undefined): string => (text ? ` '${text}'` : '');
const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
const target = (attr: { target_fd?: number; target_ifindex?: number }): string =>
  attr.target_ifindex !== undefined
    ? `network device ${attr.target_ifindex}`
    : `target fd ${attr.target_fd ?? 'none'}`;

/** What a call was doing, to what: the beginning of its failure's sentence. */
const DOING: { readonly [C in Command]: (attr: CommandTypes[C]['attr']) => string } = {
  map_create: (a) =>
    `creating ${a.map_type} map${quoted(a.map_name)} (key_size ${a.key_size}, value_size ${a.value_size}, ` +
    `max_entries ${a.max_entries}, map_flags 0x${(a.map_flags ?? 0).toString(16)})`,
  map_lookup_elem: (a) => `looking up a key in map fd ${a.map_fd}`,
  map_update_elem: (a) => `updating a key of map fd ${a.map_fd}`,
  map_delete_elem: (a) => `deleting a key of map fd ${a.map_fd}`,
  map_get_next_key: (a) => `reading the next key of map fd ${a.map_fd}`,
  map_lookup_and_delete_elem: (a) => `taking a key out of map fd ${a.map_fd}`,
  map_freeze: (a) => `freezing map fd ${a.map_fd}`,
  map_lookup_batch: (a) => `looking up a batch of ${a.count} in map fd ${a.map_fd}`,
  map_lookup_and_delete_batch: (a) => `taking a batch of ${a.count} out of map fd ${a.map_fd}`,
  map_update_batch: (a) => `updating a batch of ${a.count} in map fd ${a.map_fd}`,
  map_delete_batch: (a) => `deleting a batch of ${a.count} from map fd ${a.map_fd}`,
  prog_load: (a) =>
    `loading ${a.prog_type} program${quoted(a.prog_name)} (${plural(a.insns.length / 8, 'instruction')})`,
  obj_pin: (a) => `pinning fd ${a.bpf_fd} as '${a.pathname}'`,
  obj_get: (a) => `opening the pinned object '${a.pathname}'`,
  prog_attach: (a) => `attaching program fd ${a.attach_bpf_fd} to ${target(a)} as ${a.attach_type}`,
  prog_detach: (a) => `detaching a ${a.attach_type} program from ${target(a)}`,
  prog_test_run: (a) => `running program fd ${a.prog_fd} on ${a.data_in?.length ?? 0} bytes`,
  prog_get_next_id: (a) => `looking for the program after id ${a.start_id}`,
  map_get_next_id: (a) => `looking for the map after id ${a.start_id}`,
  btf_get_next_id: (a) => `looking for the BTF after id ${a.start_id}`,
  link_get_next_id: (a) => `looking for the link after id ${a.start_id}`,
  prog_get_fd_by_id: (a) => `opening program id ${a.prog_id}`,
  map_get_fd_by_id: (a) => `opening map id ${a.map_id}`,
  btf_get_fd_by_id: (a) => `opening BTF id ${a.btf_id}`,
  link_get_fd_by_id: (a) => `opening link id ${a.link_id}`,
  obj_get_info_by_fd: (a) => `reading about fd ${a.bpf_fd}`,
  prog_query: (a) => `asking for the ${a.attach_type} programs of ${target(a)}`,
  raw_tracepoint_open: (a) => `attaching program fd ${a.prog_fd} to raw tracepoint${quoted(a.name)}`,
  btf_load: (a) => `loading ${a.btf.length} bytes of BTF`,
  task_fd_query: (a) => `asking what is attached to fd ${a.fd} of process ${a.pid}`,
  link_create: (a) =>
    `attaching ${a.prog_fd !== undefined ? `program fd ${a.prog_fd}` : `map fd ${a.map_fd ?? 'none'}`} ` +
    `to ${target(a)} as ${a.attach_type} link`,
  link_update: (a) => `replacing what link fd ${a.link_fd} runs`,
  link_detach: (a) => `detaching link fd ${a.link_fd}`,
  enable_stats: (a) => `switching on statistics ${a.type}`,
  iter_create: (a) => `opening an iterator of link fd ${a.link_fd}`,
  prog_bind_map: (a) => `binding map fd ${a.map_fd} to program fd ${a.prog_fd}`,
  token_create: (a) => `making a BPF token of bpffs fd ${a.bpffs_fd}`,
  prog_stream_read_by_fd: (a) => `reading stream ${a.stream_id} of program fd ${a.prog_fd}`,
  prog_assoc_struct_ops: (a) => `associating program fd ${a.prog_fd} with struct_ops map fd ${a.map_fd}`,
};

/** What to do about it, where a command gives an errno a meaning of its own. */
const ADVICE: { readonly [C in Command]?: { readonly [E in Errno]?: string } } = {
  map_create: {
    EINVAL: 'a size or flag does not fit the map type, or this kernel lacks the type',
    E2BIG: 'the map is larger than the kernel allows',
    ENOMEM: 'there is not enough memory for it; lower max_entries',
  },
  map_lookup_elem: { ENOTSUPP: "this map type's elements can't be read from user space" },
  map_update_elem: {
    EEXIST: 'the key is there already, and BPF_NOEXIST was asked for',
    ENOENT: 'the key is not there, and BPF_EXIST was asked for',
    E2BIG: 'the map is full, or the index is past its end',
    EPERM: 'the map is frozen or not writable through this fd',
  },
  map_delete_elem: { ENOENT: 'the key is not there' },
  map_lookup_batch: { ENOSPC: 'one hash bucket holds more than the batch; ask for more at once' },
  map_lookup_and_delete_batch: { ENOSPC: 'one hash bucket holds more than the batch; ask for more at once' },
  prog_load: {
    EINVAL: 'the program or an attribute is not valid; its log (log_level 1) tells more',
    EACCES: 'the verifier refused it; its log (log_level 1) tells more',
    E2BIG: 'the program is too large or too complex; its log (log_level 1) tells more',
    ENOSPC: 'the log did not fit; give a larger log_size',
  },
  obj_pin: {
    EEXIST: 'something of that name exists',
    EPERM:
      'the path must be in a bpf filesystem (mount -t bpf) that this user may write to, whose names have no dots',
  },
  obj_get: {
    EACCES: 'its permissions, or those of a folder above it, do not allow it',
    EPERM:
      'this user may not open BPF objects, or there is a dot in the name: no name in a bpf filesystem has dots',
  },
  prog_test_run: {
    ENOTSUPP: "programs of this type can't be test-run",
    EOPNOTSUPP: "programs of this type can't be test-run",
    ENOSPC: 'what comes out is larger than data_size_out or ctx_size_out',
    EINVAL: 'the data or context does not suit the program type (a packet has at least 14 bytes)',
  },
  prog_attach: { EBUSY: 'another program or link is in the way' },
  link_create: { EBUSY: 'another program or link is in the way' },
  obj_get_info_by_fd: { EBADFD: 'it is not open', EINVAL: 'it is not a BPF object' },
  link_detach: { EOPNOTSUPP: 'links of this type can only be closed' },
  prog_get_fd_by_id: { ENOENT: 'there is none' },
  map_get_fd_by_id: { ENOENT: 'there is none' },
  btf_get_fd_by_id: { ENOENT: 'there is none' },
  link_get_fd_by_id: { ENOENT: 'there is none' },
  prog_stream_read_by_fd: {
    EINVAL: 'this kernel has no program streams (since 6.17), or there is no such stream',
  },
  token_create: { EINVAL: 'the fd must be the root of a bpf filesystem mounted with delegation options' },
  prog_assoc_struct_ops: { EINVAL: 'this kernel lacks the command (since 7.0), or an fd does not fit' },
};

/** The verifier's own reason: the last line of its log that is not a count. */
function lastWords(log: string): string | undefined {
  const lines = log.trimEnd().split('\n');
  return lines.findLast(
    (line) => line !== '' && !/^(processed \d|verification time|stack depth|mark_precise)/.test(line),
  );
}

/** The exception for a failed call. @param log of the verifier, where there is one */
export function failure<C extends Command>(
  command: C,
  attr: CommandTypes[C]['attr'],
  number: number,
  log = '',
  addition = '',
): InputError {
  const errno = errnoName(number);
  const words = log === '' ? undefined : lastWords(log);
  const code = `linux-${command.replaceAll('_', '-')}`;
  const name = errno ?? String(number);
  let reason: string;
  if (words !== undefined) reason = `refused with "${words.trim()}" (${name})`;
  else {
    const text = errno === undefined ? `error ${number}` : errnoText(errno);
    const own = errno === undefined ? undefined : ADVICE[command]?.[errno];
    const advice = own ?? (errno === 'EPERM' ? missingCapability(command, attr) : GENERAL[name]);
    reason = `${text} (${name})${advice === undefined ? '' : `: ${advice}`}`;
  }
  return new InputError(code, `${DOING[command](attr)}${addition}: ${reason}`, {
    errno: name,
    ...(log === '' ? {} : { detail: log }),
  });
}

const GENERAL: Readonly<Record<string, string>> = {
  ENOSYS: 'this kernel has no bpf(2) (CONFIG_BPF_SYSCALL)',
  EINVAL: 'an argument is not valid, or this kernel lacks the feature',
  E2BIG: 'this kernel is older than an argument that was given',
  EBADF: 'a file descriptor is not open, or not of the kind that is needed',
  EOPNOTSUPP: 'this kernel or this object lacks it',
  ENOTSUPP: 'this kernel or this object lacks it',
};
