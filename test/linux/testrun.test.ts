/**
 * BPF_PROG_TEST_RUN on the embedded kernel and on Linux: the same program on the same packet gives the same value,
 * packet, context, map contents or errno.
 */
import { expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { createKernel } from '../../src/kernel/index.ts';
import { SK_BUFF_LAYOUT, XDP_MD_LAYOUT } from '../../src/kernel/programs/index.ts';
import { type Helper, helperId, isHelper } from '../../src/sys/helper-ids.ts';
import type { Fd, Kernel, MapCreateAttr, ProgTestRunAttr, ProgType } from '../../src/sys/index.ts';
import { needsLinux, theLinux } from './support.ts';

const embedded = createKernel();

interface Case {
  readonly type: ProgType;
  /** LLVM's notation; `map[id:N]` is the N-th of `maps`. */
  readonly program: string;
  readonly maps?: readonly MapCreateAttr[];
  readonly runs: readonly Omit<ProgTestRunAttr, 'prog_fd'>[];
}

const EMPTY = new Uint8Array();
const packet = (size: number, type = 0x0800): Uint8Array => {
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 37 + 11) & 0xff);
  // To the loopback device's own address.
  bytes.set(new Uint8Array(6).subarray(0, Math.min(6, size)));
  if (size >= 14) bytes.set([type >> 8, type & 0xff], 12);
  return bytes;
};
const from = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (b) => Number.parseInt(b, 16));
/** 60 bytes: Ethernet, IPv4, UDP from 10.0.0.1:4660 to 10.0.0.2:53, with checksums. */
const UDP = from(
  '000000000000' +
    '020000000001' +
    '0800' +
    '4500002e000100004011 66bc0a0000010a000002'.replace(/ /g, '') +
    '12340035001ad0f8' +
    '000102030405060708090a0b0c0d0e0f1011',
);
const VLAN = from(`000000000000020000000001810000640800${'45'.padEnd(80, '0')}`);
const QINQ = from(`00000000000002000000000188a8000a810000140800${'45'.padEnd(80, '0')}`);
const md = (members: Partial<Record<keyof typeof XDP_MD_LAYOUT.members, number>>): Uint8Array => {
  const bytes = new Uint8Array(XDP_MD_LAYOUT.size);
  XDP_MD_LAYOUT.patch(new DataView(bytes.buffer), 0, members);
  return bytes;
};
const skb = (members: Record<string, unknown>): Uint8Array => {
  const bytes = new Uint8Array(SK_BUFF_LAYOUT.size);
  SK_BUFF_LAYOUT.patch(new DataView(bytes.buffer), 0, members as never);
  return bytes;
};

const RETURN_2 = 'r0 = 2; exit';
const SIZES = [
  0, 1, 13, 14, 15, 33, 34, 53, 54, 60, 1500, 3520, 3521, 3712, 3713, 4096, 9000, 65535, 73152, 73153,
];
const sizes = SIZES.map((size) => ({ data_in: packet(size), data_size_out: 80_000 }));
/** Calls a helper with constants, returns what it answers. */
const callWith = (helper: Helper, ...args: (number | string)[]): string =>
  ['r6 = r1', ...args.map((arg, i) => `r${i + 2} = ${arg}`), `call ${helper}`, 'exit'].join('\n');
/** Returns a field of the context. */
const field = (offset: number, size = 32): string => `r0 = *(u${size} *)(r1 + ${offset})\nexit`;
/** Both sides of a helper that changes the packet: its answer is the first byte of the mark, the packet comes out. */
const each = <T>(values: readonly T[], make: (value: T) => [string, Case]): [string, Case][] =>
  values.map(make);
const DIFF = (length: number): string =>
  Array.from(
    { length: length / 4 },
    (_, i) => `w1 = ${(0x01234567 * (i + 3)) | 0}\n*(u32 *)(r10 - ${64 - 4 * i}) = w1`,
  ).join('\n');

const CASES: Record<string, Case> = {
  'xdp: sizes': { type: 'xdp', program: RETURN_2, runs: sizes },
  'sched_cls: sizes': { type: 'sched_cls', program: RETURN_2, runs: sizes },
  'socket_filter: sizes': { type: 'socket_filter', program: RETURN_2, runs: sizes },
  'cgroup_skb: sizes': { type: 'cgroup_skb', program: 'r0 = 1; exit', runs: sizes },
  'sched_cls: IPv6 sizes': {
    type: 'sched_cls',
    program: RETURN_2,
    runs: [14, 53, 54].map((size) => ({ data_in: packet(size, 0x86dd) })),
  },
  'xdp: no room for the packet': {
    type: 'xdp',
    program: RETURN_2,
    runs: [59, 60, 61].map((room) => ({ data_in: UDP, data_size_out: room })),
  },
  'xdp: flags and batches': {
    type: 'xdp',
    program: RETURN_2,
    runs: [{ flags: 1 }, { flags: 4 }, { batch_size: 3 }, { flags: 0x100 }, { cpu: 0 }].map((run) => ({
      data_in: UDP,
      ...run,
    })),
  },
  'sched_cls: flags, CPU and batches': {
    type: 'sched_cls',
    program: RETURN_2,
    runs: [{ flags: 1 }, { flags: 2 }, { flags: 4 }, { batch_size: 3 }, { cpu: 1 }].map((run) => ({
      data_in: UDP,
      ...run,
    })),
  },
  'xdp: contexts in and out': {
    type: 'xdp',
    program: RETURN_2,
    runs: [
      { ctx_in: md({ data_end: 60 }) },
      { ctx_in: md({ data: 4, data_end: 60 }) },
      { ctx_in: md({ data: 3, data_end: 60 }) },
      { ctx_in: md({ data: 32, data_end: 60 }) },
      { ctx_in: md({ data: 36, data_end: 60 }) },
      { ctx_in: md({ data: 44, data_end: 60 }) },
      { ctx_in: md({ data: 48, data_end: 60 }) },
      { ctx_in: md({ data_end: 59 }) },
      { ctx_in: md({ data_end: 61 }) },
      { ctx_in: md({ data: 8, data_end: 4 }) },
      { ctx_in: md({ data_end: 60, data_meta: 4 }) },
      { ctx_in: md({ data_end: 60, egress_ifindex: 1 }) },
      { ctx_in: md({ data_end: 60, ingress_ifindex: 1 }) },
      { ctx_in: md({ data_end: 60, ingress_ifindex: 1, rx_queue_index: 1 }) },
      { ctx_in: md({ data_end: 60, rx_queue_index: 1 }) },
      { ctx_in: md({ data_end: 60, ingress_ifindex: 9999 }) },
      { ctx_in: md({ data_end: 60 }), ctx_size_out: 8 },
      { ctx_in: md({ data_end: 60 }), ctx_size_out: 0 },
      { ctx_in: md({ data_end: 60 }).subarray(0, 8) },
      { ctx_in: Uint8Array.from([...md({ data_end: 60 }), 0, 0, 0, 0]) },
      { ctx_in: Uint8Array.from([...md({ data_end: 60 }), 0, 0, 0, 1]) },
      { ctx_in: new Uint8Array(5000) },
      { ctx_size_out: 24 },
    ].map((run) => ({ data_in: UDP, ...run })),
  },
  'xdp: metadata': {
    type: 'xdp',
    program: `
      r2 = *(u32 *)(r1 + 8)
      r3 = *(u32 *)(r1 + 0)
      r4 = r2
      r4 += 4
      if r4 > r3 goto none
      r0 = *(u32 *)(r2 + 0)
      w5 = 7
      *(u32 *)(r2 + 0) = w5
      exit
    none:
      r0 = 99
      exit`,
    runs: [
      { data_in: UDP, ctx_in: md({ data: 8, data_end: 60 }) },
      { data_in: UDP, ctx_in: md({ data_end: 60 }) },
    ],
  },
  'xdp: fields': {
    type: 'xdp',
    program: `
      r2 = *(u32 *)(r1 + 12)
      r3 = *(u32 *)(r1 + 16)
      r0 = *(u32 *)(r1 + 4)
      r4 = *(u32 *)(r1 + 0)
      r0 -= r4
      r2 <<= 16
      r3 <<= 24
      r0 |= r2
      r0 |= r3
      exit`,
    runs: [
      { data_in: UDP },
      { data_in: UDP, ctx_in: md({ data_end: 60, ingress_ifindex: 1 }) },
      { data_in: packet(5000) },
    ],
  },
  'skb: contexts in and out': {
    type: 'sched_cls',
    program: 'r2 = *(u32 *)(r1 + 8)\nr2 += 1\n*(u32 *)(r1 + 8) = r2\nr0 = 0\nexit',
    runs: [
      skb({ mark: 5, priority: 6, ingress_ifindex: 3, ifindex: 1, cb: [1, 2, 3, 4, 5], tstamp: 77n }),
      skb({ wire_len: 100, gso_segs: 3, gso_size: 10, hwtstamp: 99n }),
      skb({ wire_len: 59 }),
      skb({ wire_len: 65536 }),
      skb({ wire_len: 65537 }),
      skb({ gso_segs: 65535 }),
      skb({ gso_segs: 65536 }),
      skb({ ifindex: 9999 }),
      skb({ len: 1 }),
      skb({ protocol: 8 }),
      skb({ hash: 8 }),
      skb({ tc_index: 8 }),
      skb({ tstamp_type: 1 }),
      skb({ mark: 5 }).subarray(0, 12),
      Uint8Array.from([...skb({ mark: 5 }), 0]),
      Uint8Array.from([...skb({ mark: 5 }), 1]),
      EMPTY,
    ].map((ctx_in) => ({ data_in: UDP, ctx_in })),
  },
  'skb: checksum of the whole packet': {
    type: 'sched_cls',
    program: `
      *(u32 *)(r10 - 4) = 305419896
      r2 = 26
      r3 = r10
      r3 += -4
      r4 = 4
      r5 = 1
      call skb_store_bytes
      r0 = 0
      exit`,
    runs: [{ data_in: UDP, flags: 4 }, { data_in: UDP }],
  },
  'skb: checksum of the whole packet, forgotten': {
    type: 'sched_cls',
    program: callWith('skb_store_bytes', 26, 'r10', 4, 0).replace(
      'r3 = r10',
      '*(u32 *)(r10 - 4) = 9\nr3 = r10\nr3 += -4',
    ),
    runs: [{ data_in: UDP, flags: 4 }],
  },
  ...Object.fromEntries(
    each(
      // Every offset of a field that all kernels have and whose value is not random.
      [
        'len',
        'pkt_type',
        'mark',
        'queue_mapping',
        'protocol',
        'vlan_present',
        'vlan_tci',
        'vlan_proto',
        'priority',
        'ingress_ifindex',
        'ifindex',
        'tc_index',
        'hash',
        'tc_classid',
        'napi_id',
        'wire_len',
        'gso_segs',
        'gso_size',
      ] as const,
      (name) => [
        `skb: reads ${name}`,
        {
          type: 'sched_cls',
          program: field(SK_BUFF_LAYOUT.members[name].offset),
          runs: [UDP, VLAN, packet(60, 0x86dd), packet(60, 0x0010), packet(60, 0x0005)].flatMap((data_in) => [
            { data_in },
            {
              data_in,
              ctx_in: skb({
                mark: 1,
                priority: 2,
                ingress_ifindex: 3,
                gso_segs: 4,
                gso_size: 5,
                wire_len: 70,
              }),
            },
          ]),
        },
      ],
    ),
  ),
  'skb: kinds of receivers': {
    type: 'sched_cls',
    program: field(SK_BUFF_LAYOUT.members.pkt_type.offset),
    runs: ['000000000000', '010000000000', 'ffffffffffff', '020000000001'].map((to) => {
      const data_in = UDP.slice();
      data_in.set(from(to));
      return { data_in };
    }),
  },
  'skb: narrow reads': {
    type: 'sched_cls',
    program: `
      r0 = *(u8 *)(r1 + 9)
      r2 = *(u16 *)(r1 + 10)
      r0 <<= 16
      r0 |= r2
      exit`,
    runs: [{ data_in: UDP, ctx_in: skb({ mark: 0x12345678 }) }],
  },
  'skb: writes': {
    type: 'sched_cls',
    program: `
      w2 = 305419896
      *(u32 *)(r1 + 8) = w2
      *(u32 *)(r1 + 12) = w2
      *(u32 *)(r1 + 32) = w2
      *(u32 *)(r1 + 44) = w2
      *(u32 *)(r1 + 48) = w2
      *(u8 *)(r1 + 53) = w2
      *(u16 *)(r1 + 58) = w2
      *(u32 *)(r1 + 72) = w2
      *(u64 *)(r1 + 152) = r2
      r3 = *(u32 *)(r1 + 12)
      r4 = *(u32 *)(r1 + 44)
      r5 = *(u32 *)(r1 + 72)
      r0 = r3
      r0 *= 3
      r0 ^= r4
      r0 *= 5
      r0 ^= r5
      exit`,
    runs: [{ data_in: UDP, ctx_in: skb({}) }],
  },
  'skb: queue_mapping': {
    type: 'sched_cls',
    program: '*(u32 *)(r1 + 12) = 65534\nr0 = *(u32 *)(r1 + 12)\nexit',
    runs: [{ data_in: UDP }],
  },
  'cgroup_skb: the socket': {
    type: 'cgroup_skb',
    program: `
      r2 = *(u32 *)(r1 + 88)
      r0 = 1
      if r2 == 2 goto out
      r0 = 0
    out:
      exit`,
    runs: [{ data_in: UDP }, { data_in: packet(60, 0x86dd) }],
  },
  'socket_filter: legacy loads': {
    type: 'socket_filter',
    program: `
      r6 = r1
      r0 = *(u8 *)skb[0]
      r7 = r0
      r0 = *(u16 *)skb[2]
      r7 <<= 16
      r7 += r0
      r8 = 12
      r0 = *(u32 *)skb[r8 + 4]
      r0 += r7
      exit`,
    runs: [{ data_in: UDP }],
  },
  'socket_filter: legacy loads outside': {
    type: 'socket_filter',
    program: 'r6 = r1\nr7 = 5\nr0 = *(u32 *)skb[43]\nr0 = r7\nexit',
    runs: [{ data_in: UDP }, { data_in: packet(61) }],
  },
  'socket_filter: legacy loads from headers': {
    type: 'socket_filter',
    program: `
      r6 = r1
      r0 = *(u16 *)skb[-2097140]
      r7 = r0
      r0 = *(u8 *)skb[-1048576]
      r7 <<= 8
      r7 += r0
      r0 = r7
      exit`,
    runs: [{ data_in: UDP }],
  },
  ...Object.fromEntries(
    each([-400, -217, -216, -64, -4, -1, 0, 1, 14, 45, 46, 47, 60], (by) => [
      `xdp_adjust_head ${by}`,
      {
        type: 'xdp',
        program: callWith('xdp_adjust_head', by),
        runs: [
          { data_in: UDP },
          { data_in: UDP, ctx_in: md({ data: 8, data_end: 60 }) },
          { data_in: packet(6000), data_size_out: 9000 },
        ],
      },
    ]),
  ),
  ...Object.fromEntries(
    each([-9000, -2600, -2480, -100, -47, -46, -45, -1, 0, 1, 100, 3459, 3460, 3461, 9000], (by) => [
      `xdp_adjust_tail ${by}`,
      {
        type: 'xdp',
        program: callWith('xdp_adjust_tail', by),
        runs: [
          { data_in: UDP },
          { data_in: packet(6000), data_size_out: 20_000 },
          { data_in: packet(9000), data_size_out: 20_000 },
        ],
      },
    ]),
  ),
  ...Object.fromEntries(
    each([-260, -256, -252, -216, -36, -32, -5, -4, 0, 1, 4], (by) => [
      `xdp_adjust_meta ${by}`,
      {
        type: 'xdp',
        program: callWith('xdp_adjust_meta', by),
        runs: [
          { data_in: UDP, ctx_in: md({ data_end: 60 }) },
          { data_in: UDP, ctx_in: md({ data: 8, data_end: 60 }) },
        ],
      },
    ]),
  ),
  xdp_get_buff_len: {
    type: 'xdp',
    program: callWith('xdp_get_buff_len'),
    runs: [60, 3520, 3521, 9000].map((size) => ({ data_in: packet(size), data_size_out: 0 })),
  },
  ...Object.fromEntries(
    each([0, 30, 56, 57, 3516, 3518, 3520, 8990, 8997, 65535, 65536], (offset) => [
      `xdp_load_bytes at ${offset}`,
      {
        type: 'xdp',
        program: `
          r7 = r1
          *(u64 *)(r10 - 8) = 0
          r2 = ${offset}
          r3 = r10
          r3 += -8
          r4 = 4
          call xdp_load_bytes
          r6 = r0
          r0 = *(u32 *)(r10 - 8)
          r0 += r6
          exit`,
        runs: [UDP, packet(9000)].map((data_in) => ({ data_in, data_size_out: 0 })),
      },
    ]),
  ),
  ...Object.fromEntries(
    each([0, 56, 57, 3518], (offset) => [
      `xdp_store_bytes at ${offset}`,
      {
        type: 'xdp',
        program: `
          *(u64 *)(r10 - 8) = 305419896
          r2 = ${offset}
          r3 = r10
          r3 += -8
          r4 = 4
          call xdp_store_bytes
          exit`,
        runs: [UDP, packet(9000)].map((data_in) => ({ data_in, data_size_out: 10_000 })),
      },
    ]),
  ),
  ...Object.fromEntries(
    each([0, 14, 56, 57, 0x7fffffff, -1], (offset) => [
      `skb_load_bytes at ${offset}`,
      {
        type: 'socket_filter',
        program: `
          *(u64 *)(r10 - 8) = -1
          r2 = ${offset}
          r3 = r10
          r3 += -8
          r4 = 4
          call skb_load_bytes
          r6 = r0
          r0 = *(u32 *)(r10 - 8)
          r0 += r6
          exit`,
        runs: [{ data_in: UDP }],
      },
    ]),
  ),
  ...Object.fromEntries(
    each(
      [
        [0, 0],
        [12, 0],
        [0, 1],
        [42, 1],
        [43, 1],
        [0, 2],
        [65536, 0],
      ] as const,
      ([offset, start]) => [
        `skb_load_bytes_relative at ${offset} from ${start}`,
        {
          type: 'sched_cls',
          program: `
            *(u64 *)(r10 - 8) = -1
            r2 = ${offset}
            r3 = r10
            r3 += -8
            r4 = 4
            r5 = ${start}
            call skb_load_bytes_relative
            r6 = r0
            r0 = *(u32 *)(r10 - 8)
            r0 += r6
            exit`,
          runs: [{ data_in: UDP }],
        },
      ],
    ),
  ),
  ...Object.fromEntries(
    each(
      [
        [14, 0],
        [56, 3],
        [57, 0],
        [0, 4],
        [13, 1],
      ] as const,
      ([offset, flags]) => [
        `skb_store_bytes at ${offset} with flags ${flags}`,
        {
          type: 'sched_cls',
          program: `
            *(u64 *)(r10 - 8) = 305419896
            r2 = ${offset}
            r3 = r10
            r3 += -8
            r4 = 4
            r5 = ${flags}
            call skb_store_bytes
            exit`,
          runs: [{ data_in: UDP }, { data_in: UDP, flags: 4 }],
        },
      ],
    ),
  ),
  ...Object.fromEntries(
    each([0, 1, 14, 60, 61, 4000], (length) => [
      `skb_pull_data ${length}`,
      { type: 'sched_cls', program: callWith('skb_pull_data', length), runs: [{ data_in: UDP }] },
    ]),
  ),
  ...Object.fromEntries(
    each([0, 13, 14, 20, 59, 60, 61, 1000, 5000, 16064, 16065, 100_000], (length) => [
      `skb_change_tail ${length}`,
      {
        type: 'sched_cls',
        program: callWith('skb_change_tail', length, 0),
        runs: [{ data_in: UDP }, { data_in: UDP, flags: 4 }],
      },
    ]),
  ),
  ...Object.fromEntries(
    each([0, 4, 14, 64, 65, 200, 16004, 16005, -1], (room) => [
      `skb_change_head ${room}`,
      { type: 'sched_cls', program: callWith('skb_change_head', room, 0), runs: [{ data_in: UDP }] },
    ]),
  ),
  'skb_change_head with flags': {
    type: 'sched_cls',
    program: callWith('skb_change_head', 4, 1),
    runs: [{ data_in: UDP }],
  },
  ...Object.fromEntries(
    each([0, 1, 2, 3, 4, 7], (type) => [
      `skb_change_type ${type}`,
      {
        type: 'sched_cls',
        program: `r6 = r1\nr2 = ${type}\ncall skb_change_type\nr7 = r0\nr0 = *(u32 *)(r6 + 4)\nr0 += r7\nexit`,
        runs: [{ data_in: UDP }],
      },
    ]),
  ),
  ...Object.fromEntries(
    each(
      [
        [0x0081, 100],
        [0xa888, 0xfff],
        [0x1234, 1],
      ] as const,
      ([protocol, tci]) => [
        `skb_vlan_push ${protocol.toString(16)} ${tci}`,
        {
          type: 'sched_cls',
          program: `
            r6 = r1
            r2 = ${protocol}
            r3 = ${tci}
            call skb_vlan_push
            r1 = r6
            r2 = 129
            r3 = 77
            call skb_vlan_push
            r0 = *(u32 *)(r6 + 24)
            r1 = *(u32 *)(r6 + 28)
            r0 <<= 16
            r0 |= r1
            exit`,
          runs: [{ data_in: UDP }, { data_in: UDP, flags: 4 }],
        },
      ],
    ),
  ),
  skb_vlan_pop: {
    type: 'sched_cls',
    program: `
      r6 = r1
      call skb_vlan_pop
      r7 = r0
      r0 = *(u32 *)(r6 + 24)
      r1 = *(u32 *)(r6 + 16)
      r0 <<= 16
      r0 |= r1
      r0 += r7
      exit`,
    runs: [UDP, VLAN, QINQ].map((data_in) => ({ data_in })),
  },
  'skb_vlan_pop twice': {
    type: 'sched_cls',
    program: 'r6 = r1\ncall skb_vlan_pop\nr1 = r6\ncall skb_vlan_pop\nexit',
    runs: [UDP, VLAN, QINQ].map((data_in) => ({ data_in })),
  },
  set_hash: {
    type: 'sched_cls',
    program:
      'r6 = r1\nr2 = 4660\ncall set_hash\nr1 = r6\ncall get_hash_recalc\nr7 = r0\nr1 = r6\ncall set_hash_invalid\nr0 = *(u32 *)(r6 + 68)\nr0 += r7\nexit',
    runs: [{ data_in: UDP }],
  },
  ...Object.fromEntries(
    each([0, 1, 2, 3, 4], (level) => [
      `csum_level ${level}`,
      {
        type: 'sched_cls',
        program: `r6 = r1\nr2 = ${level}\ncall csum_level\nr7 = r0\nr1 = r6\nr2 = 0\ncall csum_level\nr0 += r7\nexit`,
        runs: [{ data_in: UDP }],
      },
    ]),
  ),
  'csum_level up and down': {
    type: 'sched_cls',
    program: [
      'r6 = r1',
      ...[1, 1, 1, 1, 1, 2].map((level) => `r1 = r6\nr2 = ${level}\ncall csum_level`),
      'r1 = r6\nr2 = 0\ncall csum_level\nexit',
    ].join('\n'),
    runs: [{ data_in: UDP }],
  },
  csum_update: {
    type: 'sched_cls',
    program: callWith('csum_update', 4660),
    runs: [{ data_in: UDP }],
  },
  ...Object.fromEntries(
    each(
      [
        [0, 0, 0],
        [0, 0, 0x12345],
        [8, 0, 0],
        [0, 8, 0],
        [8, 0, 0xffffffff],
        [0, 8, 0xffffffff],
        [8, 8, 5],
        [4, 16, 0xfffe],
        [64, 64, 0],
        [6, 8, 0],
        [8, 2, 0],
      ] as const,
      ([before, after, seed]) => [
        `csum_diff ${before} ${after} ${seed}`,
        {
          type: 'sched_cls',
          program: `
            ${DIFF(64)}
            r1 = r10
            r1 += -64
            r2 = ${before}
            r3 = r10
            r3 += -${after === 64 ? 64 : 40}
            r4 = ${after}
            w5 = ${seed | 0}
            call csum_diff
            exit`,
          runs: [{ data_in: UDP }],
        },
      ],
    ),
  ),
  'csum_diff of zeros': {
    type: 'sched_cls',
    program:
      '*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = r10\nr3 += -8\nr4 = 8\nr5 = 0\ncall csum_diff\nexit',
    runs: [{ data_in: UDP }],
  },
  ...Object.fromEntries(
    each(
      [
        [24, 0x0a000001, 0x0b000001, 4],
        [24, 0x1111, 0x2222, 2],
        [24, 0, 0x1234, 0],
        [24, 1, 0x1234, 0],
        [24, 1, 2, 3],
        [25, 1, 2, 4],
        [59, 1, 2, 4],
        [24, 1, 2, 0x14],
        [65536, 1, 2, 4],
      ] as const,
      ([offset, before, after, flags]) => [
        `l3_csum_replace ${offset} ${before} ${after} ${flags}`,
        {
          type: 'sched_cls',
          program: callWith('l3_csum_replace', offset, before, after, flags),
          runs: [{ data_in: UDP }],
        },
      ],
    ),
  ),
  ...Object.fromEntries(
    each([4, 2, 0, 0x14, 0x12, 0x10, 0x24, 0x64, 0x34, 0x90, 0x94, 0x100], (flags) => [
      `l4_csum_replace with flags ${flags}`,
      {
        type: 'sched_cls',
        program: callWith('l4_csum_replace', 40, (flags & 15) === 0 ? 0 : 0x0a01, 0x0b02, flags),
        runs: [{ data_in: UDP }, { data_in: UDP.map((byte, i) => (i === 40 || i === 41 ? 0 : byte)) }],
      },
    ]),
  ),
  ...Object.fromEntries(
    each([0, 1, 2, 3], (flags) => [
      `redirect with flags ${flags}`,
      { type: 'sched_cls', program: `r1 = 1\nr2 = ${flags}\ncall redirect\nexit`, runs: [{ data_in: UDP }] },
    ]),
  ),
  ...Object.fromEntries(
    each([0, 1], (flags) => [
      `xdp redirect with flags ${flags}`,
      { type: 'xdp', program: `r1 = 1\nr2 = ${flags}\ncall redirect\nexit`, runs: [{ data_in: UDP }] },
    ]),
  ),
  'clone_redirect to no device': {
    type: 'sched_cls',
    program: callWith('clone_redirect', 9999, 0),
    runs: [{ data_in: UDP }],
  },
  'strtol and strtoul': {
    type: 'sched_cls',
    program: `
      r1 = 0x3434322d7830 ll
      *(u64 *)(r10 - 8) = r1
      r1 = 0x31323033202d3132 ll
      *(u64 *)(r10 - 16) = r1
      *(u64 *)(r10 - 24) = 0
      r1 = r10
      r1 += -16
      r2 = 12
      r3 = 0
      r4 = r10
      r4 += -24
      call strtol
      r6 = *(u64 *)(r10 - 24)
      r6 *= 100
      r6 += r0
      r1 = r10
      r1 += -13
      r2 = 8
      r3 = 8
      r4 = r10
      r4 += -24
      call strtoul
      r7 = *(u64 *)(r10 - 24)
      r7 *= 100
      r0 += r7
      r0 += r6
      exit`,
    runs: [{ data_in: UDP }],
  },
  ...Object.fromEntries(
    each(
      [
        '0x1f',
        '-0x1f',
        ' 77',
        '077',
        '08',
        '0x',
        '-',
        '',
        '99999999999999999999',
        '18446744073709551615',
        '-1',
        '+5',
        '12ab',
      ],
      (text) => [
        `strtoul of "${text}"`,
        {
          type: 'sched_cls',
          program: `
          ${[0, 8, 16].map((at) => `r1 = ${bytesOf(text, at)} ll\n*(u64 *)(r10 - ${24 - at}) = r1`).join('\n')}
          *(u64 *)(r10 - 32) = 0
          r1 = r10
          r1 += -24
          r2 = 24
          r3 = 0
          r4 = r10
          r4 += -32
          call strtoul
          r6 = *(u64 *)(r10 - 32)
          r6 *= 16
          r0 += r6
          exit`,
          runs: [{ data_in: UDP }],
        },
      ],
    ),
  ),
  'maps: counts': {
    type: 'xdp',
    maps: [{ map_type: 'hash', key_size: 4, value_size: 8, max_entries: 4 }],
    program: `
      *(u32 *)(r10 - 4) = 7
      r1 = map[id:0]
      r2 = r10
      r2 += -4
      call map_lookup_elem
      if r0 == 0 goto add
      r1 = 1
      lock *(u64 *)(r0 + 0) += r1
      r0 = 2
      exit
    add:
      *(u64 *)(r10 - 16) = 1
      r1 = map[id:0]
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 1
      call map_update_elem
      exit`,
    runs: [{ data_in: UDP }, { data_in: UDP }, { data_in: UDP, repeat: 5 }],
  },
  'maps: errors': {
    type: 'xdp',
    maps: [{ map_type: 'array', key_size: 4, value_size: 8, max_entries: 2 }],
    program: `
      *(u32 *)(r10 - 4) = 5
      *(u64 *)(r10 - 16) = 1
      r1 = map[id:0]
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 0
      call map_update_elem
      r6 = r0
      *(u32 *)(r10 - 4) = 1
      r1 = map[id:0]
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 1
      call map_update_elem
      r6 *= 100
      r6 += r0
      r1 = map[id:0]
      r2 = r10
      r2 += -4
      call map_delete_elem
      r6 *= 100
      r0 += r6
      exit`,
    runs: [{ data_in: UDP }],
  },
  'a tail call to nowhere': {
    type: 'xdp',
    maps: [{ map_type: 'prog_array', key_size: 4, value_size: 4, max_entries: 2 }],
    program:
      'r6 = r1\nr2 = map[id:0]\nr3 = 1\ncall tail_call\nr1 = r6\nr2 = map[id:0]\nr3 = 9\ncall tail_call\nr0 = 3\nexit',
    runs: [{ data_in: UDP }],
  },
  'ring buffers': {
    type: 'xdp',
    maps: [{ map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096 }],
    program: `
      *(u64 *)(r10 - 8) = 77
      r1 = map[id:0]
      r2 = r10
      r2 += -8
      r3 = 8
      r4 = 0
      call ringbuf_output
      r6 = r0
      r1 = map[id:0]
      r2 = 24
      r3 = 0
      call ringbuf_reserve
      if r0 == 0 goto full
      *(u64 *)(r0 + 16) = 5
      r1 = r0
      r2 = 1
      call ringbuf_submit
      r1 = map[id:0]
      r2 = 0
      call ringbuf_query
      r0 += r6
      exit
    full:
      r0 = 1000
      exit`,
    runs: Array.from({ length: 3 }, () => ({ data_in: UDP, repeat: 40 })),
  },
  'may_goto gives up': {
    type: 'socket_filter',
    program: 'r0 = 0\nagain:\nmay_goto out\nr0 = 1\ngoto again\nout:\nexit',
    runs: [],
  },
  'functions and saved registers': {
    type: 'sched_cls',
    program: `
      r6 = 1
      r7 = 2
      r1 = 10
      r2 = 20
      call sum
      r0 *= 100
      r0 += r6
      r0 += r7
      exit
    sum:
      r6 = r1
      r7 = r2
      *(u64 *)(r10 - 8) = 5
      r0 = r6
      r0 += r7
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      exit`,
    runs: [{ data_in: UDP }],
  },
  'a repeated run goes on with its own packet': {
    type: 'xdp',
    program: 'r2 = 1\ncall xdp_adjust_head\nr0 = 2\nexit',
    runs: [
      { data_in: UDP, repeat: 5 },
      { data_in: UDP, repeat: 0 },
    ],
  },
};

function bytesOf(text: string, at: number): string {
  const bytes = new TextEncoder().encode(text.padEnd(24, '\0')).slice(at, at + 8);
  return `0x${[...bytes]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')}`;
}

/** What a kernel makes of a case: for each run its results or its errno, and the maps at the end. */
function outcome(kernel: Kernel, test: Case): unknown {
  const fds: Fd[] = [];
  try {
    const maps = (test.maps ?? []).map((attr) => kernel.bpf.map_create(attr));
    fds.push(...maps);
    const text = test.program.replace(/map\[id:(\d+)\]/g, (_, n) => `map[id:${maps[Number(n)]}]`);
    const { bytes } = assembleLlvm(text, { helper: (name) => (isHelper(name) ? helperId(name) : undefined) });
    const program = kernel.bpf.prog_load({
      prog_type: test.type,
      insns: bytes,
      license: 'GPL',
      log_level: 1,
      ...(test.type === 'xdp' && { prog_flags: 1 << 5 }),
    });
    fds.push(program.fd);
    const runs = test.runs.map((run) => {
      try {
        const { retval, data_out, ctx_out } = kernel.bpf.prog_test_run({ ...run, prog_fd: program.fd });
        return { retval, data: hex(data_out), ctx: hex(ctx_out) };
      } catch (error) {
        if (error instanceof InputError && error.errno !== undefined) return error.errno;
        throw error;
      }
    });
    return { runs, maps: maps.map((fd, i) => contents(kernel, fd, test.maps![i]!)) };
  } finally {
    for (const fd of fds) kernel.closeFd(fd);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function contents(kernel: Kernel, map_fd: Fd, { map_type }: MapCreateAttr): unknown {
  if (map_type !== 'hash' && map_type !== 'array') return undefined;
  const found: string[] = [];
  for (
    let key = kernel.bpf.map_get_next_key({ map_fd });
    key;
    key = kernel.bpf.map_get_next_key({ map_fd, key })
  ) {
    found.push(`${hex(key)} ${hex(kernel.bpf.map_lookup_elem({ map_fd, key })!)}`);
  }
  return found.sort();
}

needsLinux('BPF_PROG_TEST_RUN', () => {
  it.each(Object.entries(CASES))('%s', (_, test) => {
    expect(outcome(embedded, test)).toEqual(outcome(theLinux(), test));
  });
});
