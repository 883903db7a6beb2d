import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createKernel, loadObject, parseObject } from '../../src/index.ts';

/** A TCP SYN from 10.1.2.3 to port 443: Ethernet, IPv4, TCP. */
function syn(): Uint8Array {
  const packet = new Uint8Array(14 + 20 + 20);
  packet.set([0x08, 0x00], 12);
  packet.set([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 1, 2, 3, 192, 168, 0, 1], 14);
  packet.set([0xc0, 0x00, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0], 34);
  return packet;
}

it('loads an object, runs one packet, and reads verdict, packet and map', () => {
  const packet = syn();
  const spec = parseObject(readFileSync('examples/syn_counter.o'), 'syn_counter.o');
  using kernel = createKernel();
  using object = loadObject(kernel, spec);
  const { retval, data_out } = kernel.bpf.prog_test_run({
    prog_fd: object.program('count_syns').fd,
    data_in: packet,
  });
  const stats = kernel.bpf.map_lookup_elem({
    map_fd: object.map('syn_counts').fd,
    key: Uint8Array.of(10, 1, 2, 3),
  });

  expect(retval).toBe(2); // XDP_PASS
  expect([...data_out]).toEqual([...packet]);
  // struct syn_stats: syns, dropped, last_port in network order, last_ttl.
  expect([...stats!]).toEqual([
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xbb, 64, 0, 0, 0, 0, 0,
  ]);
});

it('takes global variables that are set before loading', () => {
  const spec = parseObject(readFileSync('examples/syn_counter.o'), 'syn_counter.o');
  spec.variables.get('syn_limit')!.set(1n);
  using kernel = createKernel();
  using object = loadObject(kernel, spec);
  const run = () =>
    kernel.bpf.prog_test_run({ prog_fd: object.program('count_syns').fd, data_in: syn() }).retval;
  expect([run(), run(), run()]).toEqual([2, 1, 1]); // PASS, DROP, DROP
});
