/** What programs do beside computing: calls, callbacks, tail calls, maps, contexts, legacy loads. Both ways, the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assembleLlvm } from '../../src/isa/index.ts';
import { createKernel, type EmbeddedKernel } from '../../src/kernel/index.ts';
import { loadObject, parseObject } from '../../src/loader/index.ts';
import type { Fd, MapCreateAttr, ProgLoadAttr } from '../../src/sys/index.ts';

const PACKET = Uint8Array.from({ length: 64 }, (_, i) => (i === 12 ? 8 : i === 13 ? 0 : i * 3));

interface Made {
  readonly kernel: EmbeddedKernel;
  readonly maps: readonly Fd[];
}

interface Outcome {
  readonly retval: number;
  readonly packet: string;
  readonly ctx: string;
  readonly maps: readonly string[];
}

interface Case {
  readonly type?: ProgLoadAttr['prog_type'];
  readonly maps?: readonly Omit<MapCreateAttr, 'map_name'>[];
  /** In LLVM's notation; `MAP0` is the first map's descriptor. */
  readonly text: string;
  readonly prepare?: (made: Made, prog: Fd) => void;
  readonly repeat?: number;
  readonly ctx?: Uint8Array;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function contents(kernel: EmbeddedKernel, map_fd: Fd): string {
  const { bpf } = kernel;
  const found: string[] = [];
  for (let key = bpf.map_get_next_key({ map_fd }); key; key = bpf.map_get_next_key({ map_fd, key })) {
    const value = bpf.map_lookup_elem({ map_fd, key });
    found.push(`${hex(key)}=${value ? hex(value) : ''}`);
  }
  return found.toSorted().join(' ');
}

function outcome(one: Case, interpret: boolean): Outcome {
  using kernel = createKernel({
    interpret,
    cpus: 4,
    cpu: 2,
    random: 5,
    clock: { monotonic: () => 123_456_789n },
  });
  const maps = (one.maps ?? []).map((attr) => kernel.bpf.map_create(attr));
  const text = one.text.replace(/MAP(\d)/g, (_, i) => String(maps[Number(i)]));
  const { fd } = kernel.bpf.prog_load({
    prog_type: one.type ?? 'xdp',
    insns: assembleLlvm(text).bytes,
    license: 'GPL',
  });
  one.prepare?.({ kernel, maps }, fd);
  const run = kernel.bpf.prog_test_run({
    prog_fd: fd,
    data_in: PACKET,
    repeat: one.repeat ?? 1,
    ...(one.ctx && { ctx_in: one.ctx, ctx_size_out: one.ctx.length }),
  });
  return {
    retval: run.retval,
    packet: hex(run.data_out),
    ctx: hex(run.ctx_out),
    maps: maps.map((map, i) => (one.maps![i]!.map_type === 'prog_array' ? '' : contents(kernel, map))),
  };
}

const ARRAY = { map_type: 'array', key_size: 4, value_size: 8, max_entries: 4 } as const;
const HASH = { map_type: 'hash', key_size: 4, value_size: 8, max_entries: 4 } as const;
const PROGS = { map_type: 'prog_array', key_size: 4, value_size: 4, max_entries: 2 } as const;

/** Looks a key up and adds to the value that it finds. */
const count = (key: string) =>
  `
  ${key}
  *(u32 *)(r10 - 4) = r1
  r2 = r10
  r2 += -4
  r1 = map[fd:MAP0] ll
  call 1
  if r0 == 0 goto miss
  r1 = *(u64 *)(r0 + 0)
  r1 += 3
  *(u64 *)(r0 + 0) = r1
  r0 = 2
  exit
miss:
  r0 = 1
  exit`;

const CASES: Readonly<Record<string, Case>> = {
  'an array element': { maps: [ARRAY], text: count('r1 = 2') },
  'an array element out of range': { maps: [ARRAY], text: count('r1 = 4') },
  'an array element by a byte of the packet': {
    maps: [ARRAY],
    text: `r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 8\nif r4 > r3 goto miss\nr1 = *(u8 *)(r2 + 1)\n${count('r1 &= 7')}`,
  },
  'a per-CPU array element': {
    maps: [{ ...ARRAY, map_type: 'percpu_array' }],
    text: count('r1 = 3'),
    repeat: 5,
  },
  'a hash element, updated and deleted': {
    maps: [HASH],
    text: `
      r1 = 9
      *(u32 *)(r10 - 4) = r1
      *(u64 *)(r10 - 16) = r1
      r1 = map[fd:MAP0] ll
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 1
      call 2
      r6 = r0
      r1 = 8
      *(u32 *)(r10 - 4) = r1
      r1 = map[fd:MAP0] ll
      r2 = r10
      r2 += -4
      call 3
      r0 = -r0
      r0 += r6
      exit`,
    repeat: 2,
  },
  'subprograms, each with its own stack and registers': {
    text: `
      r6 = 5
      *(u64 *)(r10 - 8) = r6
      r1 = 7
      r2 = 9
      call f
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      r0 += r6
      exit
    f:
      r6 = r1
      *(u64 *)(r10 - 8) = r2
      r1 = r6
      call g
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      exit
    g:
      *(u64 *)(r10 - 8) = r1
      r0 = *(u64 *)(r10 - 8)
      r0 *= 3
      exit`,
  },
  'tail calls up to the limit': {
    maps: [PROGS, ARRAY],
    text: `
      r6 = r1
      r1 = 0
      *(u32 *)(r10 - 4) = r1
      r1 = map[fd:MAP1] ll
      r2 = r10
      r2 += -4
      call 1
      if r0 == 0 goto out
      r1 = *(u64 *)(r0 + 0)
      r1 += 1
      *(u64 *)(r0 + 0) = r1
      r1 = r6
      r2 = map[fd:MAP0] ll
      r3 = 1
      call 12
    out:
      r0 = 77
      exit`,
    prepare: ({ kernel, maps }, prog) => {
      const [key, value] = [new Uint8Array([1, 0, 0, 0]), new Uint8Array(new Uint32Array([prog]).buffer)];
      kernel.bpf.map_update_elem({ map_fd: maps[0]!, key, value });
    },
    repeat: 3,
  },
  'a tail call to nowhere': {
    maps: [PROGS],
    text: 'r2 = map[fd:MAP0] ll\nr3 = 0\ncall 12\nr0 = 3\nexit',
  },
  'a tail call out of range': {
    maps: [PROGS],
    text: 'r2 = map[fd:MAP0] ll\nr3 = 900\ncall 12\nr0 = 3\nexit',
  },
  'the processor, random numbers and the time': {
    text: `
      call 8
      r6 = r0
      call 7
      r6 += r0
      call 7
      r6 ^= r0
      call 5
      r0 += r6
      exit`,
  },
  may_goto: { text: 'r0 = 0\nagain:\nr0 += 1\nif r0 > 500 goto out\nmay_goto out\ngoto again\nout:\nexit' },
  'context fields of xdp': {
    text: `
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = *(u32 *)(r1 + 8)
      r5 = *(u32 *)(r1 + 12)
      r0 = r3
      r0 -= r2
      r2 -= r4
      r0 += r2
      r0 *= 100
      r0 += r5
      r5 = *(u32 *)(r1 + 16)
      r0 += r5
      exit`,
  },
  'context fields of an skb': {
    type: 'sched_cls',
    text: `
      r6 = r1
      r0 = *(u32 *)(r6 + 0)
      r1 = *(u8 *)(r6 + 0)
      r0 += r1
      r1 = *(u32 *)(r6 + 8)
      r0 *= 31
      r0 += r1
      r1 += 5
      *(u32 *)(r6 + 8) = r1
      r1 = *(u32 *)(r6 + 16)
      r0 *= 31
      r0 += r1
      r1 = *(u16 *)(r6 + 16)
      r0 ^= r1
      r1 = *(u8 *)(r6 + 17)
      r0 ^= r1
      r1 = *(u32 *)(r6 + 20)
      r0 += r1
      r1 = *(u32 *)(r6 + 40)
      r0 *= 31
      r0 += r1
      r1 = 0xffff
      *(u32 *)(r6 + 12) = r1
      r1 = *(u32 *)(r6 + 12)
      r0 += r1
      r1 = 7
      *(u32 *)(r6 + 12) = r1
      r1 = *(u32 *)(r6 + 12)
      r0 += r1
      r1 = 0x1122334455667788 ll
      *(u64 *)(r6 + 48) = r1
      r1 = *(u16 *)(r6 + 50)
      r0 += r1
      r1 = *(u64 *)(r6 + 152)
      r0 += r1
      r1 = *(u32 *)(r6 + 164)
      r0 += r1
      r1 = *(u32 *)(r6 + 176)
      r0 += r1
      exit`,
    ctx: new Uint8Array(192),
  },
  'legacy packet loads': {
    type: 'socket_filter',
    text: `
      r6 = r1
      r0 = *(u8 *)skb[1]
      r7 = r0
      r0 = *(u16 *)skb[3]
      r7 += r0
      r0 = *(u32 *)skb[5]
      r7 += r0
      r2 = 2
      r0 = *(u32 *)skb[r2 + 7]
      r7 += r0
      r0 = *(u16 *)skb[-2097140]
      r7 += r0
      r0 = r7
      exit`,
  },
  'a legacy packet load behind the end': {
    type: 'socket_filter',
    text: 'r6 = r1\nr0 = *(u32 *)skb[62]\nr0 = 9\nexit',
  },
};

describe('programs, compiled and interpreted', () => {
  it.each(Object.keys(CASES))('%s', (name) => {
    const one = CASES[name]!;
    expect(outcome(one, false)).toEqual(outcome(one, true));
  });
});

describe('callbacks, compiled and interpreted', () => {
  const path = 'test/jit/callbacks.o';
  const spec = () => parseObject(new Uint8Array(readFileSync(path)), path);

  function run(program: string, interpret: boolean) {
    using kernel = createKernel({ interpret });
    using object = loadObject(kernel, spec());
    const { retval } = kernel.bpf.prog_test_run({
      prog_fd: object.program(program).fd,
      data_in: PACKET,
      repeat: 3,
    });
    return { retval, maps: [...object.maps.values()].map(({ fd }) => contents(kernel, fd)) };
  }

  it.each([...spec().programs.keys()])('%s', (program) => {
    const compiled = run(program, false);
    expect(compiled).toEqual(run(program, true));
    expect(compiled.retval).toBeGreaterThan(0);
  });
});
