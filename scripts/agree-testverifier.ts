/** Loads a case of Linux's test_verifier: its maps are made as that suite makes them. */
import { InputError } from '../src/base/error.ts';
import { parseBtf } from '../src/btf/index.ts';
import {
  attachTypeName,
  type Fd,
  type Kernel,
  MAP_CREATE_FLAGS,
  type MapCreateAttr,
  type ProgLoadAttr,
  type ProgType,
  progTypeName,
} from '../src/sys/index.ts';
import type { Fixup, MapTypes, TestVerifierCase } from './corpora-testverifier.ts';

const F = MAP_CREATE_FLAGS;
const TEST_VAL = 48;
/** The suite's BTF ids of its maps' values. */
const VALUE = { int: 1, spinLock: 3, timer: 5, kptrs: 14 } as const;

type Plain = Pick<MapCreateAttr, 'map_type' | 'key_size' | 'value_size' | 'max_entries' | 'map_flags'>;
const plain = (
  map_type: MapCreateAttr['map_type'],
  key_size: number,
  value_size: number,
  max_entries: number,
  map_flags = 0,
): Plain => ({
  map_type,
  key_size,
  value_size,
  max_entries,
  map_flags,
});

/** What each fixup stands for, maps with BTF, programs or other maps in them aside. */
const MAPS = {
  map_hash_8b: plain('hash', 8, 8, 1, F.BPF_F_NO_PREALLOC),
  map_hash_48b: plain('hash', 8, TEST_VAL, 1, F.BPF_F_NO_PREALLOC),
  map_hash_16b: plain('hash', 8, 16, 1, F.BPF_F_NO_PREALLOC),
  map_array_48b: plain('array', 4, TEST_VAL, 1),
  map_sockmap: plain('sockmap', 4, 4, 1),
  map_sockhash: plain('sockhash', 4, 4, 1),
  map_xskmap: plain('xskmap', 4, 4, 1),
  map_stacktrace: plain('stack_trace', 4, 8, 1),
  cgroup_storage: plain('cgroup_storage', 16, 64, 0),
  percpu_cgroup_storage: plain('percpu_cgroup_storage', 16, 64, 0),
  map_array_ro: plain('array', 4, TEST_VAL, 1, F.BPF_F_RDONLY_PROG),
  map_array_wo: plain('array', 4, TEST_VAL, 1, F.BPF_F_WRONLY_PROG),
  map_array_small: plain('array', 4, 1, 1),
  map_event_output: plain('perf_event_array', 4, 4, 1),
  map_reuseport_array: plain('reuseport_sockarray', 4, 8, 1),
  map_ringbuf: plain('ringbuf', 0, 0, 4096),
} as const satisfies Partial<Record<Fixup, Plain>>;

const TYPED = {
  map_spin_lock: { map: plain('array', 4, 8, 1), value: VALUE.spinLock },
  sk_storage_map: { map: plain('sk_storage', 4, 8, 0, F.BPF_F_NO_PREALLOC), value: VALUE.spinLock },
  map_timer: { map: plain('array', 4, 16, 1), value: VALUE.timer },
  map_kptr: { map: plain('array', 4, 24, 1), value: VALUE.kptrs },
} as const satisfies Partial<Record<Fixup, { map: Plain; value: number }>>;

/** Entries of a prog array, and the index of the program in it that calls on to another. */
const PROG_ARRAYS = {
  prog1: { entries: 4, first: 0, loop: 1, last: 2 },
  prog2: { entries: 8, first: 7, loop: 1, last: 2 },
} as const;

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

/** A header in front of raw types and strings. */
function wrapBtf(types: Uint8Array, strings: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(24 + types.length + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  for (const [i, value] of [24, 0, types.length, types.length, strings.length].entries())
    view.setUint32(4 + 4 * i, value, true);
  bytes.set(types, 24);
  bytes.set(strings, 24 + types.length);
  return bytes;
}

class Loading {
  readonly fds: Fd[] = [];
  readonly #kernel: Kernel;
  readonly #types: MapTypes;

  constructor(kernel: Kernel, types: MapTypes) {
    this.#kernel = kernel;
    this.#types = types;
  }

  own(fd: Fd): Fd {
    this.fds.push(fd);
    return fd;
  }

  #plain(attr: MapCreateAttr): Fd {
    return this.own(this.#kernel.bpf.map_create(attr));
  }

  map(fixup: Fixup, type: ProgType): Fd {
    switch (fixup) {
      case 'map_spin_lock':
      case 'sk_storage_map':
      case 'map_timer':
      case 'map_kptr': {
        const { map, value } = TYPED[fixup];
        const btf = wrapBtf(bytesOf(this.#types.map_types), bytesOf(this.#types.map_strings));
        const btf_fd = this.own(this.#kernel.bpf.btf_load({ btf }));
        return this.#plain({ ...map, btf_fd, btf_key_type_id: VALUE.int, btf_value_type_id: value });
      }
      case 'map_in_map': {
        const inner_map_fd = this.#plain(plain('array', 4, 4, 1));
        return this.#plain({ ...plain('array_of_maps', 4, 4, 1), inner_map_fd });
      }
      case 'prog1':
      case 'prog2':
        return this.#progArray(fixup, type);
      default:
        return this.#filled(fixup);
    }
  }

  #filled(fixup: keyof typeof MAPS): Fd {
    const fd = this.#plain(MAPS[fixup]);
    if (fixup.startsWith('map_array')) {
      const value = new Uint8Array(MAPS[fixup].value_size);
      if (value.length === TEST_VAL) {
        value[0] = 7 * 4;
        value.set(word(0xabcdef12), 7 * 4);
      } else value[0] = 7 * 4;
      this.#kernel.bpf.map_update_elem({ map_fd: fd, key: word(0), value });
    }
    return fd;
  }

  #progArray(fixup: 'prog1' | 'prog2', type: ProgType): Fd {
    const { entries, first, loop, last } = PROG_ARRAYS[fixup];
    const array = this.#plain(plain('prog_array', 4, 4, entries));
    const simple = (result: number) => `b7000000${hex32(result)}9500000000000000`;
    const calls =
      `b7030000${hex32(loop)}18120000${hex32(array)}0000000000000000850000000c000000` +
      `b7000000${hex32(41)}9500000000000000`;
    for (const [index, text] of [
      [first, simple(42)],
      [loop, calls],
      [last, simple(24)],
    ] as const) {
      const { fd } = this.#kernel.bpf.prog_load({ prog_type: type, insns: bytesOf(text), license: 'GPL' });
      this.own(fd);
      this.#kernel.bpf.map_update_elem({ map_fd: array, key: word(index), value: word(fd) });
    }
    return array;
  }
}

const hex32 = (value: number): string => Buffer.from(word(value)).toString('hex');

/** A test_verifier case may name functions of the kernel's own BTF. */
function functionId(kernel: Kernel, name: string): number {
  const bytes = kernel.vmlinuxBtf();
  functions ??= bytes && parseBtf(bytes, 'vmlinux');
  return functions?.find(name, 'func') ?? 0;
}
let functions: ReturnType<typeof parseBtf> | undefined;

/** What stands before a name in the kernel's BTF, by attach type. */
const TARGET_PREFIX: Readonly<Record<string, string>> = {
  trace_raw_tp: 'btf_trace_',
  lsm_mac: 'bpf_lsm_',
  trace_iter: 'bpf_iter_',
};

/**
 * Loads a case and lets go of all that was made for it. @throws InputError as the kernel's refusals do
 *
 * @param ready is called when all that the case needs is there, before it is loaded itself
 */
export function loadCase(
  kernel: Kernel,
  data: TestVerifierCase,
  types: MapTypes,
  ready: () => void = () => undefined,
): void {
  const loading = new Loading(kernel, types);
  try {
    const insns = bytesOf(data.insns);
    const view = new DataView(insns.buffer);
    const type = progTypeName(data.prog_type || 1)!;
    for (const [fixup, places] of Object.entries(data.fixups) as [Fixup, readonly number[]][]) {
      const fd = loading.map(fixup, type);
      for (const insn of places) view.setInt32(insn * 8 + 4, fd, true);
    }
    for (const { name, insn } of data.kfuncs) {
      const id = functionId(kernel, name);
      if (id === 0) throw new InputError('agree-kfunc', `the kernel has no ${name}: it is the test module's`);
      view.setInt32(insn * 8 + 4, id, true);
    }
    const attach = attachTypeName(data.expected_attach_type);
    const attr: ProgLoadAttr = {
      prog_type: type,
      insns,
      license: 'GPL',
      ...(data.expected_attach_type !== 0 && attach && { expected_attach_type: attach }),
      ...(data.kfunc !== '' && {
        attach_btf_id: functionId(kernel, `${TARGET_PREFIX[attach ?? ''] ?? ''}${data.kfunc}`),
      }),
      ...btfOf(kernel, loading, data),
    };
    ready();
    loading.own(kernel.bpf.prog_load(attr).fd);
  } finally {
    for (const fd of loading.fds.reverse()) kernel.closeFd(fd);
  }
}

function btfOf(kernel: Kernel, loading: Loading, data: TestVerifierCase): Partial<ProgLoadAttr> {
  if (data.btf_types === '') return {};
  const btf = wrapBtf(bytesOf(data.btf_types), bytesOf(data.btf_strings));
  const fd = loading.own(kernel.bpf.btf_load({ btf }));
  const records = data.func_info.flatMap(([insn, id]) => [...word(insn), ...word(id)]);
  return {
    prog_btf_fd: fd,
    ...(records.length > 0 && { func_info: Uint8Array.from(records), func_info_rec_size: 8 }),
  };
}
