/**
 * The tables of program types and helpers against Linux: each entry is a small program whose verdict tells whether the
 * table is right. What the kernel does not let anyone load here (tracing of functions, LSM, infrared) is not covered.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Insn, Reg, Size } from '../../src/isa/index.ts';
import { PROTOTYPES, prototype } from '../../src/kernel/helpers/prototypes.ts';
import { type Arg, COMPATIBLE_TYPES, type ReturnKind } from '../../src/kernel/helpers/prototypes-arg.ts';
import { helpersOf, PROGRAMS, returnRange, SOCKET_POINTEES } from '../../src/kernel/programs/index.ts';
import { linuxStatus, openLinux } from '../../src/linux/index.ts';
import {
  type AttachType,
  type Fd,
  HELPERS,
  type Helper,
  type Kernel,
  type ProgType,
} from '../../src/sys/index.ts';
import {
  call,
  copy,
  EXIT,
  load,
  mov,
  OPS_STRUCT,
  Prober,
  plus,
  type Question,
  REACHABLE,
  store,
} from './probe.ts';

const status = linuxStatus();
const everything: ReadonlySet<'sys_admin'> = new Set(['sys_admin']);
const allFieldCaps: ReadonlySet<'bpf' | 'perfmon'> = new Set(['bpf', 'perfmon']);

/** Helpers that a kernel's configuration or lockdown may leave out. */
const CONFIGURED: ReadonlySet<string> = new Set(['override_return', 'probe_write_user']);

interface Variant {
  readonly type: ProgType;
  readonly attach: AttachType | undefined;
}

const variants: readonly Variant[] = REACHABLE.flatMap(({ type, attach }): Variant[] =>
  attach.length === 0 ? [{ type, attach: undefined }] : attach.map((one) => ({ type, attach: one })),
);

const name = (type: ProgType, attach: AttachType | undefined): string =>
  attach === undefined ? type : `${type} as ${attach}`;

const VALUE_TEXT: Readonly<Record<string, string>> = {
  packet: 'pkt(',
  packet_end: 'pkt_end(',
  packet_meta: 'pkt_meta(',
  flow_keys: 'flow_keys(',
  tp_buffer: 'tp_buffer(',
  sock: 'sock(',
  sock_or_null: 'sock_or_null(',
  sock_common_or_null: 'sock_common_or_null(',
  trusted_ptr: 'trusted_ptr_',
};

describe.skipIf(!status.ok)('facts against Linux', () => {
  let linux: Kernel;
  let prober: Prober;
  beforeAll(() => {
    linux = openLinux();
    prober = new Prober(linux);
  });
  afterAll(() => linux.close());

  it('allow the same accesses to every context', () => {
    const wrong: string[] = [];
    for (const { type, attach } of variants) {
      if (type === 'tracing' || type === 'struct_ops') continue;
      const { context } = PROGRAMS[type];
      const open = context.ranges.length > 0 && context.size > 200;
      const offsets = open
        ? [-16, -8, -4, 0, 1, 2, 4, 8, 12, 2048, context.size - 8, context.size - 1, context.size].filter(
            (off) => off < 0x7fff,
          )
        : Array.from({ length: context.size + 16 }, (_, i) => i - 8);
      for (const off of offsets) {
        for (const size of [1, 2, 4, 8] as const) {
          wrong.push(...accessFaults({ type, attach }, off, size));
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(prober.loads).toBeGreaterThan(20_000);
  });

  function accessFaults(question: Question, off: number, size: Size): string[] {
    const { type, attach } = question;
    const faults: string[] = [];
    const { context } = PROGRAMS[type];
    const where = `${name(type, attach)}: ${size} bytes at ${off}`;
    const read = context.access('read', off, size, attach, allFieldCaps);
    const reading = prober.ask({ ...question, level: 2 }, [load(size, 2, 1, off), mov(0, 1), EXIT]);
    if (reading.ok !== (read !== undefined)) faults.push(`${where}: read ${reading.message}`);
    else if (read !== undefined) {
      const state = /R2=(\S+)/.exec(reading.log)?.[1] ?? '';
      const value = 'value' in read ? read.value : 'scalar';
      const text = VALUE_TEXT[value] ?? 'scalar(';
      if (!state.startsWith(text)) faults.push(`${where}: yields ${state}, not ${value}`);
    }
    const written = context.access('write', off, size, attach, allFieldCaps);
    const writing = prober.ask(question, [mov(2, 0), store(size, 1, off, 2), mov(0, 1), EXIT]);
    if (writing.ok !== (written !== undefined)) faults.push(`${where}: write ${writing.message}`);
    return faults;
  }

  it('allow the same accesses through socket pointers', () => {
    const lookup = linux.bpf.map_create({ map_type: 'xskmap', key_size: 4, value_size: 4, max_entries: 1 });
    const unlessNull: Insn[] = [
      { kind: 'jmp', op: 'jne', width: 64, dst: 0, src: { kind: 'imm', imm: 0 }, off: 2 },
      mov(0, 1),
      EXIT,
    ];
    const common = [load(8, 0, 1, 168), ...unlessNull];
    const from = (helper: Helper): Insn[] => [...common, copy(1, 0), call(HELPERS[helper].id), ...unlessNull];
    const made: Record<keyof typeof SOCKET_POINTEES, Insn[]> = {
      sock_common: common,
      sock: from('sk_fullsock'),
      tcp_sock: from('tcp_sock'),
      xdp_sock: [
        { kind: 'st', size: 4, dst: 10, off: -4, imm: 0 },
        copy(2, 10),
        plus(2, -4),
        { kind: 'ldimm64', dst: 1, imm: { kind: 'map_fd', fd: lookup } },
        call(HELPERS.map_lookup_elem.id),
        ...unlessNull,
      ],
    };
    const wrong: string[] = [];
    for (const pointee of Object.keys(made) as (keyof typeof made)[]) {
      const type = pointee === 'xdp_sock' ? 'xdp' : 'sched_cls';
      const fields = SOCKET_POINTEES[pointee];
      for (let off = -4; off < fields.size + 8; off++) {
        for (const size of [1, 2, 4, 8] as const) {
          const insns = [...made[pointee], load(size, 2, 0, off), mov(0, 1), EXIT];
          const { ok, message } = prober.ask({ type }, insns);
          const ours = fields.access('read', off, size, undefined, allFieldCaps) !== undefined;
          if (ok !== ours) wrong.push(`${pointee}: ${size} bytes at ${off}: ${message}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('let every program type call the same helpers', () => {
    const wrong: string[] = [];
    for (const { type, attach } of variants) {
      const struct = type === 'struct_ops' ? OPS_STRUCT : undefined;
      const ours = helpersOf({ type, attach, struct, caps: everything });
      for (const helper of Object.keys(HELPERS) as Helper[]) {
        const { message } = prober.ask({ type, attach }, [call(HELPERS[helper].id), mov(0, 1), EXIT]);
        const theirs = !/cannot use helper|unknown func/.test(message);
        if (theirs !== ours.has(helper) && !CONFIGURED.has(helper)) {
          wrong.push(`${name(type, attach)}: ${helper}: Linux ${theirs ? 'has' : 'lacks'} it`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('want the GPL for the same helpers', () => {
    const wrong: string[] = [];
    let asked = 0;
    for (const { helper, question } of callable()) {
      const answer = prober.ask({ ...question, license: 'Proprietary' }, [
        call(HELPERS[helper].id),
        mov(0, 1),
        EXIT,
      ]);
      asked++;
      const theirs = answer.message.includes('cannot call GPL-restricted function');
      if (theirs !== (PROTOTYPES[helper].gplOnly === true)) wrong.push(helper);
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(180);
  });

  it('want the same returns', () => {
    const wrong: string[] = [];
    for (const { type, attach } of variants) {
      if (type === 'struct_ops') continue;
      const range = returnRange(type, attach);
      for (const value of [-1, 0, 1, 2, 3, 4]) {
        const { ok } = prober.ask({ type, attach }, [mov(0, value), EXIT]);
        const ours = range === undefined || (value >= range.min && value <= range.max);
        if (ok !== ours) wrong.push(`${name(type, attach)}: ${value}: Linux ${ok ? 'takes' : 'refuses'} it`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('allow legacy packet loads to the same types', () => {
    for (const { type, attach } of variants) {
      const insns: Insn[] = [copy(6, 1), { kind: 'ld_abs', size: 1, imm: 0 }, mov(0, 1), EXIT];
      const refused = prober.ask({ type, attach }, insns).message.includes('BPF_LD_[ABS|IND]');
      expect([name(type, attach), !refused]).toEqual([
        name(type, attach),
        PROGRAMS[type].legacyPacketLoads === true,
      ]);
    }
  });

  it('allow packet writes to the same types', () => {
    let asked = 0;
    for (const { type, attach } of variants) {
      const { context, packetAccess } = PROGRAMS[type];
      const data = context.fields.find((field) => field.value === 'packet');
      const end = context.fields.find((field) => field.value === 'packet_end');
      if (data === undefined || end === undefined) continue;
      asked++;
      const access = (body: Insn): Insn[] => [
        load(data.size as Size, 2, 1, data.offset),
        load(end.size as Size, 3, 1, end.offset),
        copy(4, 2),
        plus(4, 8),
        { kind: 'jmp', op: 'jgt', width: 64, dst: 4, src: { kind: 'reg', reg: 3 }, off: 1 },
        body,
        mov(0, 1),
        EXIT,
      ];
      const write = prober.ask({ type, attach }, access({ kind: 'st', size: 1, dst: 2, off: 0, imm: 1 }));
      expect([type, write.ok]).toEqual([type, packetAccess === 'write']);
      expect([type, prober.ask({ type, attach }, access(load(1, 5, 2, 0))).ok]).toEqual([type, true]);
    }
    expect(asked).toBeGreaterThan(12);
  });

  it('test-run the same types', () => {
    for (const { type, attach } of variants) {
      if (type === 'struct_ops' || type === 'tracing') continue;
      const { fd } = linux.bpf.prog_load({
        prog_type: type,
        insns: Uint8Array.of(0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0),
        license: 'GPL',
        ...(attach === undefined ? {} : { expected_attach_type: attach }),
        ...(type === 'syscall' ? { prog_flags: 1 << 4 } : {}),
      });
      let supported = true;
      try {
        linux.bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(64) });
      } catch (error) {
        supported = !/ENOTSUPP|EOPNOTSUPP/.test((error as { errno?: string }).errno ?? '');
      }
      linux.closeFd(fd);
      expect([type, supported]).toEqual([type, PROGRAMS[type].testRun !== undefined]);
    }
  });

  /** Every helper that can be called in some reachable type, with a type that calls it. */
  function* callable(): Generator<{ helper: Helper; question: Question }> {
    for (const helper of Object.keys(HELPERS) as Helper[]) {
      if (CONFIGURED.has(helper)) continue;
      const sleeps = PROTOTYPES[helper].mightSleep === true;
      const first = variants.find(
        ({ type, attach }) =>
          (!sleeps || type === 'syscall') &&
          helpersOf({
            type,
            attach,
            struct: type === 'struct_ops' ? OPS_STRUCT : undefined,
            caps: everything,
          }).has(helper),
      );
      if (first !== undefined) yield { helper, question: first };
    }
  }

  /** As {@link callable}, and every type in which the prototype is another one. */
  function* prototyped(): Generator<{ helper: Helper; question: Question }> {
    for (const one of callable()) {
      yield one;
      for (const { type, attach } of variants) {
        const different = prototype(one.helper, type) !== prototype(one.helper, one.question.type);
        const struct = type === 'struct_ops' ? OPS_STRUCT : undefined;
        if (different && helpersOf({ type, attach, struct, caps: everything }).has(one.helper)) {
          yield { helper: one.helper, question: { type, attach } };
        }
      }
    }
  }

  it('check arguments in the same way, in the same words', () => {
    const maps: Maps = { plain: prober.array(8), constant: prober.array(8, 1 << 7) };
    prober.freeze(maps.constant);
    const wrong: string[] = [];
    const unreached = new Set<string>();
    let asked = 0;
    for (const { helper, question } of prototyped()) {
      const { args } = prototype(helper, question.type);
      const setup: Insn[] = [];
      for (let n = 0; n <= args.length && n < 5; n++) {
        const reg = (n + 1) as Reg;
        for (const probe of probes(reg, args, n, maps)) {
          const insns = [...PROLOGUE, ...socketOf(question.type), ...dynptr(maps), ...setup, ...probe.insns];
          const { message, log } = prober.ask(question, [
            ...insns,
            call(HELPERS[helper].id),
            mov(0, 1),
            EXIT,
          ]);
          if (/might sleep|not allowed in probe|supported only|not supported for/.test(message)) {
            unreached.add(helper);
            continue;
          }
          asked++;
          if (!probe.expect(message, log)) {
            wrong.push(`${helper} in ${question.type}: R${reg} ${probe.what}: ${message}`);
          }
        }
        const valid = n < args.length ? validArg(args[n]!, reg, maps, question.type) : undefined;
        if (valid === undefined) {
          if (n < args.length) unreached.add(helper);
          break;
        }
        setup.push(...valid);
      }
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(1500);
    expect([...unreached].length).toBeLessThan(60);
  });

  it('return the same and do the same to packets', () => {
    const maps: Maps = { plain: prober.array(8), constant: prober.array(8, 1 << 7) };
    prober.freeze(maps.constant);
    const wrong: string[] = [];
    let asked = 0;
    for (const { helper, question } of callable()) {
      const facts = prototype(helper, question.type);
      const args = facts.args.map((arg, n) => validArg(arg, (n + 1) as Reg, maps, question.type));
      if (args.some((arg) => arg === undefined)) continue;
      const before = [...PROLOGUE, ...socketOf(question.type), ...dynptr(maps)];
      const body = [...args.flatMap((arg) => arg ?? []), call(HELPERS[helper].id)];
      const { log, message } = prober.ask({ ...question, level: 2 }, [...before, ...body, mov(0, 1), EXIT]);
      const result = /\(85\) call bpf_\w+#(\d+)\s+; (.*)/g;
      const last = [...log.matchAll(result)]
        .filter(([, id]) => Number(id) === HELPERS[helper].id)
        .at(-1)?.[2];
      if (last === undefined) continue;
      asked++;
      const state = /R0=(\S+)/.exec(last)?.[1] ?? '';
      if (!RETURN_TEXT[facts.ret].test(state)) wrong.push(`${helper} returns ${state}, not ${facts.ret}`);
      const held = message.includes('Unreleased reference');
      if (held !== (facts.acquires === true)) wrong.push(`${helper}: ${message}`);
      if (question.type !== 'sched_cls' && question.type !== 'xdp') continue;
      const [data, end] = question.type === 'xdp' ? [0, 4] : [76, 80];
      const packet: Insn[] = [
        load(4, 8, 6, data),
        load(4, 3, 6, end),
        copy(4, 8),
        plus(4, 8),
        { kind: 'jmp', op: 'jle', width: 64, dst: 4, src: { kind: 'reg', reg: 3 }, off: 2 },
        mov(0, 1),
        EXIT,
      ];
      if (facts.args.some((arg) => arg.kind.includes('sock'))) continue;
      const after = prober.ask(question, [...before, ...packet, ...body, load(1, 2, 8, 0), mov(0, 1), EXIT]);
      const lost = after.message.includes("R8 invalid mem access 'scalar'");
      if (lost !== (facts.changesPacket === true)) wrong.push(`${helper} and packets: ${after.message}`);
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(75);
  });
});

/** How the log writes r0 after a call. */
const RETURN_TEXT: Readonly<Record<ReturnKind, RegExp>> = {
  integer: /^(scalar\(|-?\d)/,
  void: /^$/,
  map_value: /^map_value\(/,
  map_value_or_null: /^map_value_or_null\(/,
  socket_or_null: /^sock_or_null\(/,
  tcp_sock_or_null: /^tcp_sock_or_null\(/,
  sock_common_or_null: /^sock_common_or_null\(/,
  ringbuf_mem_or_null: /^ringbuf_mem_or_null\(/,
  dynptr_mem_or_null: /^mem_or_null\(/,
  btf_id: /^ptr_/,
  btf_id_trusted: /^trusted_ptr_/,
  btf_id_or_null: /^ptr_or_null_/,
  mem_or_btf_id: /^(rdonly_mem|ptr_)/,
  mem_or_btf_id_or_null: /^(rdonly_mem_or_null|ptr_or_null_)/,
};

interface Maps {
  readonly plain: Fd;
  /** Frozen, read-only for programs. */
  readonly constant: Fd;
}

/** r6 context, r7 the current task, r9 an unknown number; 64 bytes of stack are zero; r1 to r5 are unreadable. */
const PROLOGUE: readonly Insn[] = [
  copy(6, 1),
  ...Array.from({ length: 8 }, (_, i): Insn => ({ kind: 'st', size: 8, dst: 10, off: -8 * (i + 1), imm: 0 })),
  call(HELPERS.get_current_task_btf.id),
  copy(7, 0),
  call(HELPERS.ktime_get_ns.id),
  copy(9, 0),
];

/** A dynptr over a map's value stands at r10 - 80. */
function dynptr(maps: Maps): Insn[] {
  return [
    mapValue(1, maps.plain),
    mov(2, 8),
    mov(3, 0),
    copy(4, 10),
    plus(4, -80),
    call(HELPERS.dynptr_from_mem.id),
  ];
}

const mapValue = (dst: Reg, fd: Fd): Insn => ({
  kind: 'ldimm64',
  dst,
  imm: { kind: 'map_value', fd, off: 0 },
});

/** Where the socket is in the context. */
const SOCKET_AT: Partial<Record<ProgType, { off: number; nullable: boolean }>> = {
  sched_cls: { off: 168, nullable: true },
  cgroup_skb: { off: 168, nullable: true },
  sk_msg: { off: 72, nullable: false },
  sock_ops: { off: 184, nullable: true },
  cgroup_sockopt: { off: 0, nullable: false },
  cgroup_sock_addr: { off: 64, nullable: false },
  sk_lookup: { off: 0, nullable: true },
  sk_reuseport: { off: 40, nullable: false },
};

/** r8 = the context's socket, where there is one. */
function socketOf(type: ProgType): Insn[] {
  const at = SOCKET_AT[type];
  if (at === undefined) return [];
  const read = load(8, 8, 6, at.off);
  if (!at.nullable) return [read];
  return [
    read,
    { kind: 'jmp', op: 'jne', width: 64, dst: 8, src: { kind: 'imm', imm: 0 }, off: 2 },
    mov(0, 1),
    EXIT,
  ];
}

/** Puts something that the argument takes into its register; `undefined` where such a thing is not at hand. */
function validArg(arg: Arg, reg: Reg, maps: Maps, type: ProgType): Insn[] | undefined {
  const stack = [copy(reg, 10), plus(reg, -64)];
  switch (arg.kind) {
    case 'anything':
      return [mov(reg, 0)];
    case 'ctx':
      return [copy(reg, 6)];
    case 'const_map_ptr':
      return [{ kind: 'ldimm64', dst: reg, imm: { kind: 'map_fd', fd: maps.plain } }];
    case 'map_key':
    case 'map_value':
    case 'mem':
    case 'stack':
      return stack;
    case 'const_size':
    case 'const_size_or_zero':
    case 'const_alloc_size_or_zero':
      return [mov(reg, 8)];
    case 'const_str':
      return [mapValue(reg, maps.constant)];
    case 'dynptr':
      if (arg.dynptr === 'ringbuf' && arg.access !== 'uninit') return undefined;
      return [copy(reg, 10), plus(reg, arg.access === 'uninit' ? -96 : -80)];
    case 'sock_common':
    case 'socket':
    case 'btf_id_sock_common':
      return SOCKET_AT[type] === undefined ? undefined : [copy(reg, 8)];
    case 'btf_id':
      return arg.btf === 'task_struct' ? [copy(reg, 7)] : undefined;
    default:
      return undefined;
  }
}

interface Probe {
  readonly what: string;
  readonly insns: readonly Insn[];
  readonly expect: (message: string, log: string) => boolean;
}

const SCALAR_KINDS: ReadonlySet<string> = new Set([
  'anything',
  'const_size',
  'const_size_or_zero',
  'const_alloc_size_or_zero',
]);

/** What is put into an argument's register, and what Linux must say to it. */
function* probes(reg: Reg, args: readonly Arg[], n: number, maps: Maps): Generator<Probe> {
  const arg = args[n];
  const unreadable = `R${reg} !read_ok`;
  yield {
    what: 'not set',
    insns: [],
    expect: (message) => (message === unreadable) === (arg !== undefined),
  };
  if (arg === undefined) return;
  const typeError = (type: string) =>
    `R${reg} type=${type} expected=${COMPATIBLE_TYPES[arg.kind].join(', ')}`;
  const scalar = SCALAR_KINDS.has(arg.kind);
  const verdict = (type: string, taken: boolean) => (message: string) =>
    taken ? !message.startsWith(`R${reg} type=`) : message === typeError(type);
  yield { what: 'a number', insns: [copy(reg, 9)], expect: verdict('scalar', scalar) };
  yield { what: 'null', insns: [mov(reg, 0)], expect: verdict('scalar', scalar || arg.nullable === true) };
  const any = arg.kind === 'anything';
  yield { what: 'the context', insns: [copy(reg, 6)], expect: verdict('ctx', any || arg.kind === 'ctx') };
  yield {
    what: 'a map',
    insns: [{ kind: 'ldimm64', dst: reg, imm: { kind: 'map_fd', fd: maps.plain } }],
    expect: verdict('map_ptr', any || arg.kind === 'const_map_ptr'),
  };
  const previous = args[n - 1];
  if (arg.kind.startsWith('const_size') && previous?.nullable !== true) {
    yield {
      what: 'zero',
      insns: [mov(reg, 0)],
      expect: (message) => message.includes('invalid zero-sized read') === (arg.kind === 'const_size'),
    };
  }
  if (arg.kind === 'mem' || arg.kind === 'map_value') {
    const size = args[n + 1]?.kind.startsWith('const_size') === true ? [mov((reg + 1) as Reg, 8)] : [];
    const writes = arg.access === 'write' || arg.access === 'uninit';
    yield {
      what: 'read-only memory',
      insns: [mapValue(reg, maps.constant), ...size],
      expect: (_, log) => (arg.size ?? 8) > 8 || log.includes('write into map forbidden') === writes,
    };
  }
}
