/** `bpf_fib_lookup` against a routing table that the caller gives. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createKernel } from '../../src/kernel/index.ts';
import { loadObject, parseObject } from '../../src/loader/index.ts';

const v4 = (text: string) => Uint8Array.from(text.split('.'), Number);
const hardware = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last);

function ask(mark: number, interpret: boolean): number[] {
  using kernel = createKernel({
    interpret,
    devices: [{ ifindex: 4, name: 'eth4', mtu: 1400, address: hardware(4) }],
    routing: {
      routes: [
        { prefix: v4('10.0.0.0'), length: 8, ifindex: 4, gateway: v4('10.0.0.1') },
        { prefix: v4('10.8.0.0'), length: 16, ifindex: 4 },
        { prefix: v4('11.0.0.0'), length: 8, ifindex: 4, type: 'blackhole' },
      ],
      neighbours: [{ ifindex: 4, address: v4('10.0.0.1'), hardware: hardware(9) }],
    },
  });
  const file = join(import.meta.dirname, 'routes.o');
  const spec = parseObject(new Uint8Array(readFileSync(file)), 'routes.o');
  const object = loadObject(kernel, spec);
  const ctx = new Uint8Array(192);
  new DataView(ctx.buffer).setUint32(8, mark, true);
  kernel.bpf.prog_test_run({ prog_fd: object.program('ask').fd, data_in: new Uint8Array(64), ctx_in: ctx });
  const bytes = kernel.bpf.map_lookup_elem({ map_fd: object.map('.bss').fd, key: new Uint8Array(4) })!;
  const at = spec.variables.get('out')!.offset;
  return [...new BigInt64Array(bytes.slice(at, at + 80).buffer)].map(Number);
}

describe.each([{ interpret: false }, { interpret: true }])('interpreted: $interpret', ({ interpret }) => {
  it('finds the next hop with its neighbour; says when there is none, no route, or a black hole', () => {
    expect(ask(0, interpret)).toEqual([0, 4, 0x0a000001, 0, 9, 4, 7, 0, 1, 2]);
  });

  it('looks at the size of the packet', () => {
    expect(ask(1400, interpret).slice(0, 4)).toEqual([0, 4, 0x0a000001, 1400]);
    expect(ask(1401, interpret).slice(0, 4)).toEqual([8, 4, 0x0a090909, 1400]);
  });
});
