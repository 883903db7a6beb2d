/** What programs leave behind ends with the maps that hold it; timers follow the kernel's clock and end with their map. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createKernel, type EmbeddedKernel, SimulatedClock } from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';

const BTF = '/sys/kernel/btf/vmlinux';
const btf = existsSync(BTF) ? new Uint8Array(readFileSync(BTF)) : undefined;
const ways = [{ interpret: false }, { interpret: true }];

function load(kernel: EmbeddedKernel, file: string, program: string): LoadedObject {
  const spec = parseObject(new Uint8Array(readFileSync(join(import.meta.dirname, file))), file);
  return loadObject(kernel, spec, { programs: [program], maps: 'used' });
}

function run(kernel: EmbeddedKernel, object: LoadedObject, program: string): number {
  const { fd } = object.program(program);
  return kernel.bpf.prog_test_run({ prog_fd: fd, data_in: new Uint8Array(64), data_size_out: 4096 }).retval;
}

/** The second element's counter in the map of timers. */
function fired(kernel: EmbeddedKernel, object: LoadedObject): bigint {
  const key = Uint8Array.of(1, 0, 0, 0);
  const value = kernel.bpf.map_lookup_elem({ map_fd: object.map('timers').fd, key })!;
  return new DataView(value.buffer).getBigUint64(16, true);
}

describe.each(ways)('interpreted: $interpret', ({ interpret }) => {
  it('calls timers when the clock is moved, each at its time', () => {
    const clock = new SimulatedClock(1n);
    using kernel = createKernel({ clock, interpret });
    const object = load(kernel, 'objects.o', 'timing');
    expect(run(kernel, object, 'timing')).toBe(0);
    expect(kernel.nextTimer).toBe(1n << 50n);
    expect(kernel.advance((1n << 50n) - 1n)).toBe(0);
    expect(fired(kernel, object)).toBe(0n);
    expect(kernel.advance(1n)).toBe(1);
    expect(fired(kernel, object)).toBe(1n);
    expect(kernel.nextTimer).toBeUndefined();
    expect(clock.now).toBe((1n << 50n) + 1n);
    object.close();
  });

  it('lets a timer go with the last user of its map, and the program with it', () => {
    using kernel = createKernel({ clock: new SimulatedClock(1n), interpret });
    const before = kernel.memoryUse;
    const object = load(kernel, 'objects.o', 'timing');
    run(kernel, object, 'timing');
    expect(kernel.runtime.alarms.count).toBe(1);
    object.close();
    expect(kernel.runtime.alarms.count).toBe(0);
    expect(kernel.advance(1n << 60n)).toBe(0);
    expect(kernel.bpf.prog_get_next_id({ start_id: 0 })).toBeUndefined();
    expect(kernel.memoryUse.blocks).toBe(before.blocks);
  });

  it.skipIf(!btf)('drops what is in the lists and trees of a map that ends', () => {
    using kernel = createKernel({ interpret, ...(btf && { btf }) });
    const before = kernel.memoryUse;
    const object = load(kernel, 'kfuncs.o', 'leave');
    run(kernel, object, 'leave');
    expect(kernel.runtime.heap.count).toBe(8);
    object.close();
    expect(kernel.runtime.heap.count).toBe(0);
    expect(kernel.memoryUse.blocks).toBe(before.blocks);
  });

  it.skipIf(!btf)('gives back what it made, run after run', () => {
    using kernel = createKernel({ interpret, ...(btf && { btf }) });
    const programs = ['graphs', 'masks', 'dynptrs', 'exception', 'numbers'];
    for (const program of programs) {
      const object = load(kernel, 'kfuncs.o', program);
      const { fd, type } = object.program(program);
      const input = type === 'syscall' ? {} : { data_in: new Uint8Array(64), data_size_out: 4096 };
      kernel.bpf.prog_test_run({ prog_fd: fd, ...input });
      const { blocks } = kernel.memoryUse;
      for (let i = 0; i < 20; i++) kernel.bpf.prog_test_run({ prog_fd: fd, ...input });
      expect(kernel.memoryUse.blocks, program).toBe(blocks);
      object.close();
    }
  });
});

describe('a kernel function that is replaced', () => {
  it.skipIf(!btf)('is called from the next run on, compiled too', () => {
    using kernel = createKernel({ ...(btf && { btf }) });
    const object = load(kernel, 'kfuncs.o', 'strings');
    const first = (): bigint => {
      run(kernel, object, 'strings');
      const at = object.spec.variables.get('out')!.offset;
      const bytes = kernel.bpf.map_lookup_elem({ map_fd: object.map('.bss').fd, key: new Uint8Array(4) })!;
      return new DataView(bytes.buffer).getBigInt64(at + 8, true);
    };
    const own = first();
    kernel.runtime.mocks.set('bpf_strcmp', () => 1234n);
    expect(first()).toBe(1234n);
    kernel.runtime.mocks.clear();
    expect(first()).toBe(own);
    object.close();
  });
});
