/** Programs that write what they are given to ring and perf buffers, on either kernel. */
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
