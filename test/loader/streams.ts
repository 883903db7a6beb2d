/** Programs that write what they are given to ring and perf buffers, on either kernel. */
import { BtfBuilder, type BtfTypeId } from '../../src/btf/index.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import type { Fd, Kernel } from '../../src/sys/index.ts';

const LDIMM64 = 0x18;
const PSEUDO_MAP_FD = 1;
const PSEUDO_MAP_VALUE = 2;

/** Loads a program in LLVM's notation, in which `FD ll` names a map, or its value where `values` has it. */
export function load({ bpf }: Kernel, text: string, values: readonly Fd[] = []): Fd {
  const insns = assembleLlvm(text).bytes.slice();
  const view = new DataView(insns.buffer);
  for (let at = 0; at < insns.length; at += 8) {
    if (insns[at] !== LDIMM64) continue;
    const fd = view.getInt32(at + 4, true) as Fd;
    insns[at + 1]! |= (values.includes(fd) ? PSEUDO_MAP_VALUE : PSEUDO_MAP_FD) << 4;
    at += 8;
  }
  return bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL' }).fd;
}

/** A program and the map that it holds what it writes in. */
export interface Writer {
  readonly fd: Fd;
  readonly fds: readonly Fd[];
}

/** Takes the first words of the packet into r7 and r8. */
const PACKET = `
    r6 = r1
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 8
    if r4 > r3 goto out
    r7 = *(u32 *)(r2 + 0)
    r8 = *(u32 *)(r2 + 4)`;

const OUT = `
    exit
  out:
    r0 = 77
    exit`;

/** Writes `size` bytes, which begin with the packet's first two words, into the ring; returns what the helper did. */
export function ringWriter(kernel: Kernel, map: Fd, size: number, flags = 0): Writer {
  return writer(
    kernel,
    size,
    (value) => `
    r1 = ${map} ll
    r2 = ${value} ll
    r3 = ${size}
    r4 = ${flags}
    call 130`,
  );
}

/** Samples `size` bytes, which begin with the packet's first two words; returns what the helper did. */
export function perfWriter(kernel: Kernel, map: Fd, size: number, index = 0xffff_ffff): Writer {
  return writer(
    kernel,
    size,
    (value) => `
    r1 = r6
    r2 = ${map} ll
    r3 = ${index | 0}
    r3 <<= 32
    r3 >>= 32
    r4 = ${value} ll
    r5 = ${size}
    call 25`,
  );
}

function writer(kernel: Kernel, size: number, call: (value: Fd) => string): Writer {
  const value = kernel.bpf.map_create({
    map_type: 'array',
    key_size: 4,
    value_size: Math.max(size, 8),
    max_entries: 1,
  });
  const text = `${PACKET}
    r1 = ${value} ll
    *(u32 *)(r1 + 0) = r7
    *(u32 *)(r1 + 4) = r8${call(value)}${OUT}`;
  const fd = load(kernel, text, [value]);
  return { fd, fds: [fd, value] };
}

/** Reserves a record, writes the packet's first word into it, and submits it or, by the second, discards it. */
export function reserver(kernel: Kernel, map: Fd, size: number): Writer {
  const text = `${PACKET}
    r1 = ${map} ll
    r2 = ${size}
    r3 = 0
    call 131
    if r0 == 0 goto out
    *(u32 *)(r0 + 0) = r7
    r1 = r0
    r2 = 0
    if r8 != 0 goto drop
    call 132
    r0 = 0
    exit
  drop:
    call 133
    r0 = 1${OUT}`;
  const fd = load(kernel, text);
  return { fd, fds: [fd] };
}

/** Runs a program on a packet that begins with the numbers. @returns r0 as a signed number */
export function run({ bpf }: Kernel, { fd }: Writer, numbers: readonly number[], repeat = 1): number {
  const data_in = new Uint8Array(64);
  const view = new DataView(data_in.buffer);
  for (const [i, number] of numbers.entries()) view.setUint32(i * 4, number, true);
  return bpf.prog_test_run({ prog_fd: fd, data_in, repeat, data_size_out: 0 }).retval | 0;
}

export const ringAttr = (max_entries = 4096) =>
  ({ map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries }) as const;
export const perfAttr = (max_entries: number) =>
  ({ map_type: 'perf_event_array', key_size: 4, value_size: 4, max_entries }) as const;

const PSEUDO_FUNC = 4;
const MARK = 0x7777_7777;

/** BTF of two functions: the program, and a static one that it gives to a helper. */
const FUNCTIONS = (() => {
  const builder = new BtfBuilder();
  const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
  const long = builder.add({ kind: 'int', name: 'long', size: 8, encoding: 1, bitOffset: 0, bits: 64 });
  const pointer = builder.add({ kind: 'ptr', type: 0 as BtfTypeId });
  const params = (...names: string[]) => names.map((name) => ({ name, type: pointer }));
  const program = builder.add({ kind: 'func_proto', returns: int, params: params('ctx') });
  const callback = builder.add({ kind: 'func_proto', returns: long, params: params('dynptr', 'context') });
  return {
    program: builder.add({ kind: 'func', name: 'drain', type: program, linkage: 'global' }),
    callback: builder.add({ kind: 'func', name: 'each', type: callback, linkage: 'static' }),
    bytes: builder.encode(),
  };
})();

/**
 * Drains a user ring buffer: adds the first words of its records to the value of `sums`; returns what the helper did.
 * Stops at a record whose first word is 999.
 */
export function drainer(kernel: Kernel, ring: Fd, sums: Fd, flags = 0): Writer {
  const main = assembleLlvm(`
    r1 = ${ring} ll
    r2 = ${MARK} ll
    r3 = 0
    r4 = ${flags}
    call 209
    exit`).bytes;
  const each = assembleLlvm(`
    r3 = r1
    r1 = r10
    r1 += -8
    r2 = 4
    r4 = 0
    r5 = 0
    call 201
    r1 = *(u32 *)(r10 - 8)
    r0 = 0
    if r1 != 999 goto add
    r0 = 1
  add:
    r2 = ${sums} ll
    r3 = *(u64 *)(r2 + 0)
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    exit`).bytes;
  const insns = new Uint8Array(main.length + each.length);
  insns.set(main);
  insns.set(each, main.length);
  const view = new DataView(insns.buffer);
  for (let at = 0; at < insns.length; at += 8) {
    if (insns[at] !== LDIMM64) continue;
    const imm = view.getInt32(at + 4, true);
    const pseudo = imm === MARK ? PSEUDO_FUNC : imm === sums ? PSEUDO_MAP_VALUE : PSEUDO_MAP_FD;
    insns[at + 1]! |= pseudo << 4;
    if (imm === MARK) view.setInt32(at + 4, (main.length - at) / 8 - 1, true);
    at += 8;
  }
  const btf = kernel.bpf.btf_load({ btf: FUNCTIONS.bytes });
  const func_info = new Uint8Array(
    new Uint32Array([0, FUNCTIONS.program, main.length / 8, FUNCTIONS.callback]).buffer,
  );
  const { fd } = kernel.bpf.prog_load({
    prog_type: 'xdp',
    insns,
    license: 'GPL',
    prog_btf_fd: btf,
    func_info,
    func_info_rec_size: 8,
  });
  return { fd, fds: [fd, btf] };
}
