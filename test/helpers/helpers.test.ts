/** Helpers and kernel functions answer here as in Linux, compiled and interpreted: numbers that programs put in a row. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createKernel, SimulatedClock } from '../../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../../src/linux/index.ts';
import { loadObject, parseObject } from '../../src/loader/index.ts';
import type { Kernel } from '../../src/sys/index.ts';

const OBJECTS = ['strings', 'packets', 'objects', 'kfuncs', 'lookups', 'edges'];
const BTF = '/sys/kernel/btf/vmlinux';
const PACKET = 64;
/** As `out.h` has it. */
const NUMBERS = 160;

const ON_PACKETS: ReadonlySet<string> = new Set(['sched_cls', 'xdp', 'flow_dissector']);

/** A `struct bpf_sk_lookup` of an IPv4 connection to port 80. */
function socket(): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, 2, true);
  view.setUint32(12, 6, true);
  view.setUint32(16, 0x0100000a, true);
  view.setUint16(36, 0x1234, true);
  view.setUint32(40, 0x0200000a, true);
  view.setUint32(60, 80, true);
  return bytes;
}

/** An IPv4 packet with a TCP header. */
function packet(): Uint8Array {
  const bytes = new Uint8Array(PACKET);
  bytes.set([8, 0, 0x45, 1, 0, 50, 0, 1, 0, 0, 64, 6, 0x12, 0x34, 10, 0, 0, 1, 10, 0, 0, 2], 12);
  bytes.set([0, 80, 1, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 2], 34);
  return bytes;
}

const specs = OBJECTS.map((name) => {
  const file = join(import.meta.dirname, `${name}.o`);
  return parseObject(new Uint8Array(readFileSync(file)), `${name}.o`);
});
const programs = specs.flatMap((spec) => [...spec.programs.values()].map(({ name }) => ({ spec, name })));

/** What the program returns, and what it has found out. */
function numbers(kernel: Kernel, spec: (typeof specs)[number], name: string): unknown {
  const object = loadObject(kernel, spec, { programs: [name], maps: 'used' });
  try {
    const { fd, type } = object.program(name);
    const onPacket = ON_PACKETS.has(type);
    const input = onPacket ? { data_in: packet(), data_size_out: 4096 } : {};
    const context = type === 'sk_lookup' ? { ctx_in: socket(), ctx_size_out: 72 } : {};
    const { retval, data_out } = kernel.bpf.prog_test_run({ prog_fd: fd, ...input, ...context });
    const bytes = kernel.bpf.map_lookup_elem({ map_fd: object.map('.bss').fd, key: new Uint8Array(4) })!;
    const at = spec.variables.get('out')!.offset;
    const words = new BigInt64Array(bytes.slice(at, at + NUMBERS * 8).buffer);
    // A packet is compared where the program does not write numbers of this kernel's own into it.
    const packetOut = type === 'xdp' ? undefined : [...data_out];
    return { retval, out: [...words], packetOut };
  } finally {
    object.close();
  }
}

const status = linuxStatus();
const btf = existsSync(BTF) ? new Uint8Array(readFileSync(BTF)) : undefined;
const linux = status.ok ? openLinux() : undefined;
afterAll(() => linux?.close());

describe.skipIf(!btf)('on the embedded kernel', () => {
  const world = { ...(btf && { btf }), cpus: linux?.possibleCpus ?? 2 };
  it.each(programs)('$name answers the same compiled and interpreted', ({ spec, name }) => {
    using compiled = createKernel({ ...world, clock: new SimulatedClock(1n) });
    using interpreted = createKernel({ ...world, clock: new SimulatedClock(1n), interpret: true });
    expect(numbers(compiled, spec, name)).toEqual(numbers(interpreted, spec, name));
  });

  it.skipIf(!linux).each(programs)('$name answers as in Linux', ({ spec, name }) => {
    using kernel = createKernel(world);
    expect(numbers(kernel, spec, name)).toEqual(numbers(linux!, spec, name));
  });
});
