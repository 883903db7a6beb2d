/** What a kernel can do, found out by asking it: nothing is believed of its version. */
import { InputError } from '../base/error.ts';
import {
  type AttachType,
  type Helper,
  helperId,
  type Kernel,
  type MapCreateAttr,
  type MapType,
  type ProgLoadAttr,
  type ProgType,
} from '../sys/index.ts';
import { kernelVersion } from './resolve-externs.ts';

const SLOT = 8;
const CALL = 0x85;
const EXIT = 0x95;

/** `r0 = value` */
const result = (value: number): number[] => [0xb7, 0, 0, 0, value, 0, 0, 0];
const exit = [EXIT, 0, 0, 0, 0, 0, 0, 0];
const NOTHING = Uint8Array.from([...result(0), ...exit]);

/** What a type is loaded with, where a load that says nothing more fails for want of it. */
const LOAD_AS: { readonly [T in ProgType]?: Partial<ProgLoadAttr> } = {
  cgroup_sock_addr: { expected_attach_type: 'cgroup_inet4_connect' },
  cgroup_sockopt: { expected_attach_type: 'cgroup_getsockopt' },
  sk_lookup: { expected_attach_type: 'sk_lookup' },
  netfilter: { expected_attach_type: 'netfilter' },
  syscall: { prog_flags: 1 << 4 },
};

/** Types that need a target: they are known by what the kernel says of one that can't be. */
const BY_REFUSAL: {
  readonly [T in ProgType]?: {
    readonly attach?: AttachType;
    readonly says?: string;
    readonly errno?: string;
  };
} = {
  tracing: { attach: 'trace_fentry', says: 'attach_btf_id 1 is not a function' },
  lsm: { attach: 'lsm_mac', says: 'attach_btf_id 1 is not a function' },
  ext: { says: 'Cannot replace kernel functions' },
  struct_ops: { errno: 'ENOTSUPP' },
};

function attrOf(kernel: Kernel, type: ProgType, insns: Uint8Array): ProgLoadAttr {
  return {
    prog_type: type,
    insns,
    license: 'GPL',
    kern_version: kernelVersion(kernel.release),
    ...LOAD_AS[type],
  };
}

/** @returns what the kernel refused it with, or `undefined` */
function refusal(kernel: Kernel, attr: ProgLoadAttr): InputError | undefined {
  try {
    kernel.closeFd(kernel.bpf.prog_load(attr).fd);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
}

/** Whether programs of the type can be loaded. */
export function hasProgType(kernel: Kernel, type: ProgType): boolean {
  const known = BY_REFUSAL[type];
  const attr = attrOf(
    kernel,
    type,
    type === 'sk_lookup' ? Uint8Array.from([...result(1), ...exit]) : NOTHING,
  );
  if (!known) {
    const refused = refusal(kernel, attr);
    // The verifier's refusal of the two instructions is knowledge of the type.
    return refused === undefined || !['EINVAL', 'EOPNOTSUPP', 'EPERM', 'E2BIG'].includes(refused.errno ?? '');
  }
  const refused = refusal(kernel, {
    ...attr,
    attach_btf_id: 1,
    log_level: 1,
    ...(known.attach && { expected_attach_type: known.attach }),
  });
  if (refused === undefined) return true;
  return known.says === undefined
    ? refused.errno === known.errno
    : (refused.detail ?? '').includes(known.says);
}

/** Sizes and flags with which a map of the type can be made. */
const MAP_AS: { readonly [T in MapType]?: Partial<MapCreateAttr> } = {
  stack_trace: { value_size: 8 },
  lpm_trie: { key_size: 8, value_size: 8, map_flags: 1 },
  cgroup_storage: { key_size: 16, value_size: 8, max_entries: 0 },
  percpu_cgroup_storage: { key_size: 16, value_size: 8, max_entries: 0 },
  queue: { key_size: 0 },
  stack: { key_size: 0 },
  bloom_filter: { key_size: 0 },
  ringbuf: { key_size: 0, value_size: 0, max_entries: 4096 },
  user_ringbuf: { key_size: 0, value_size: 0, max_entries: 4096 },
  arena: { key_size: 0, value_size: 0, max_entries: 1, map_flags: 1 << 10, map_extra: 0n },
  struct_ops: { btf_vmlinux_value_type_id: 1 },
  hash: { value_size: 4 },
  insn_array: { value_size: 16 },
};
const LOCAL_STORAGE: ReadonlySet<MapType> = new Set<MapType>([
  'sk_storage',
  'inode_storage',
  'task_storage',
  'cgrp_storage',
]);

/** BTF of an `int`, for storages that must have types. */
function intBtf(): Uint8Array {
  const strings = new TextEncoder().encode('\0int\0');
  const bytes = new Uint8Array(24 + 16 + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  view.setUint32(4, 24, true);
  view.setUint32(12, 16, true);
  view.setUint32(16, 16, true);
  view.setUint32(20, strings.length, true);
  view.setUint32(24, 1, true);
  view.setUint32(28, 1 << 24, true);
  view.setUint32(32, 4, true);
  view.setUint32(36, (1 << 24) | 32, true);
  bytes.set(strings, 40);
  return bytes;
}

/** Whether maps of the type can be made. */
export function hasMapType(kernel: Kernel, type: MapType): boolean {
  const { bpf } = kernel;
  const fds: ReturnType<typeof bpf.map_create>[] = [];
  try {
    const attr: MapCreateAttr = {
      map_type: type,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
      ...MAP_AS[type],
    };
    let more: Partial<MapCreateAttr> = {};
    if (LOCAL_STORAGE.has(type)) {
      const btf_fd = bpf.btf_load({ btf: intBtf() });
      fds.push(btf_fd);
      more = { btf_fd, btf_key_type_id: 1, btf_value_type_id: 1, map_flags: 1, max_entries: 0 };
    }
    if (type === 'array_of_maps' || type === 'hash_of_maps') {
      const inner_map_fd = bpf.map_create({ map_type: 'hash', key_size: 4, value_size: 4, max_entries: 1 });
      fds.push(inner_map_fd);
      more = { inner_map_fd };
    }
    fds.push(bpf.map_create({ ...attr, ...more }));
    return true;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    // Type 1 of the kernel is no table of functions, and being told so is knowing such maps.
    return type === 'struct_ops' && error.errno === 'ENOTSUPP';
  } finally {
    for (const fd of fds.reverse()) kernel.closeFd(fd);
  }
}

/** Whether programs of the type may call the helper. */
export function hasHelper(kernel: Kernel, type: ProgType, helper: Helper): boolean {
  const known = BY_REFUSAL[type];
  // These are looked at only with a target, which a probe has not.
  if (known) return false;
  const insns = new Uint8Array(2 * SLOT);
  insns[0] = CALL;
  new DataView(insns.buffer).setInt32(4, helperId(helper), true);
  insns.set(exit, SLOT);
  const refused = refusal(kernel, { ...attrOf(kernel, type, insns), log_level: 1 });
  if (refused === undefined) return true;
  const log = refused.detail ?? '';
  if (log === '') return false;
  return !/invalid func |unknown func |program of this type cannot use helper/.test(log);
}

/** What kernels grew beside types and helpers. */
export const FEATURES = {
  large_insn_limit: { about: 'programs of up to a million instructions', since: '5.2' },
  bounded_loops: { about: 'loops that end', since: '5.3' },
  isa_v2: { about: 'jumps on less and less-or-equal', since: '4.14' },
  isa_v3: { about: 'jumps on 32 bits', since: '5.1' },
  isa_v4: { about: 'signed division, sign extension, byte swap, long jump', since: '6.6' },
  global_data: { about: 'maps of global data', since: '5.2' },
  btf: { about: 'types of programs and maps', since: '4.18' },
  vmlinux_btf: { about: "the kernel's own types", since: '5.4' },
  attach_cookie: { about: 'cookies of attachments', since: '5.15' },
  perf_link: { about: 'links of perf events', since: '5.15' },
  kprobe_multi_link: { about: 'links of many kprobes', since: '5.18' },
  uprobe_multi_link: { about: 'links of many uprobes', since: '6.6' },
  ring_buffer: { about: 'ring buffers', since: '5.8' },
  bpf_token: { about: 'tokens', since: '6.9' },
} as const;
export type Feature = keyof typeof FEATURES;
export const featureNames = Object.keys(FEATURES) as readonly Feature[];

const insn = (code: number, registers: number, offset: number, imm: number): number[] => [
  code,
  registers,
  offset & 0xff,
  (offset >> 8) & 0xff,
  imm & 0xff,
  (imm >> 8) & 0xff,
  (imm >> 16) & 0xff,
  (imm >> 24) & 0xff,
];

/** Programs that only kernels with the feature accept. */
const PROGRAMS: { readonly [F in Feature]?: () => Uint8Array } = {
  large_insn_limit: () => {
    const insns = new Uint8Array(SLOT * 4098);
    for (let i = 0; i < 4097; i++) insns.set(result(0), i * SLOT);
    insns.set(exit, 4097 * SLOT);
    return insns;
  },
  bounded_loops: () =>
    Uint8Array.from([...result(10), ...insn(0x07, 0, 0, -1), ...insn(0x55, 0, -2, 0), ...exit]),
  isa_v2: () => Uint8Array.from([...result(0), ...insn(0xa5, 0, 1, 1), ...result(1), ...exit]),
  isa_v3: () => Uint8Array.from([...result(0), ...insn(0xa6, 0, 1, 1), ...result(1), ...exit]),
  isa_v4: () => Uint8Array.from([...result(0), ...insn(0x06, 0, 0, 0), ...exit]),
};

/** What a refusal of an attachment that can't be says of a kind of link that is known. */
function knowsLink(
  kernel: Kernel,
  attach: AttachType,
  prog_type: ProgType,
  link: object,
  known: readonly string[],
): boolean {
  let fd: ReturnType<Kernel['bpf']['prog_load']>['fd'];
  try {
    const expected = attach === 'perf_event' ? {} : { expected_attach_type: attach };
    ({ fd } = kernel.bpf.prog_load({ ...attrOf(kernel, prog_type, NOTHING), ...expected }));
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
  try {
    kernel.closeFd(kernel.bpf.link_create({ prog_fd: fd, attach_type: attach, ...link }));
    return true;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return known.includes(error.errno ?? '');
  } finally {
    kernel.closeFd(fd);
  }
}

/** Whether the kernel has a feature. */
export function hasFeature(kernel: Kernel, feature: Feature): boolean {
  const program = PROGRAMS[feature];
  if (program) return refusal(kernel, attrOf(kernel, 'socket_filter', program())) === undefined;
  switch (feature) {
    case 'global_data':
      return succeeds(() =>
        kernel.closeFd(
          kernel.bpf.map_create({
            map_type: 'array',
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            map_flags: 1 << 7,
          }),
        ),
      );
    case 'btf':
      return succeeds(() => kernel.closeFd(kernel.bpf.btf_load({ btf: intBtf() })));
    case 'vmlinux_btf':
      return kernel.vmlinuxBtf() !== undefined;
    case 'attach_cookie':
      return hasHelper(kernel, 'kprobe', 'get_attach_cookie');
    case 'ring_buffer':
      return hasMapType(kernel, 'ringbuf');
    case 'perf_link':
      return knowsLink(kernel, 'perf_event', 'tracepoint', { target_fd: -1 }, ['EBADF']);
    case 'kprobe_multi_link':
      return knowsLink(kernel, 'trace_kprobe_multi', 'kprobe', { kprobe_multi: { syms: ['skep_no_such'] } }, [
        'ESRCH',
        'ENOENT',
      ]);
    case 'uprobe_multi_link':
      return knowsLink(
        kernel,
        'trace_uprobe_multi',
        'kprobe',
        { uprobe_multi: { path: '/', offsets: [0n] } },
        ['EBADF'],
      );
    case 'bpf_token':
      return refusesToken(kernel);
    default:
      return false;
  }
}

function succeeds(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

/** A descriptor that is none is EBADF where the command is known, and EINVAL where it is not. */
function refusesToken(kernel: Kernel): boolean {
  try {
    kernel.bpf.token_create({ bpffs_fd: 0x7fff_ffff });
    return true;
  } catch (error) {
    if (error instanceof InputError) return error.errno === 'EBADF' && kernel.name === 'linux';
    throw error;
  }
}
