/**
 * Creates and closes everything so many times, and looks whether the kernel's memory and JavaScript's are where they were:
 * maps of every type, programs, pins, perf events with their rings, readers, writers, mappings, runs.
 *
 * Usage: tsx scripts/accounting.ts [ROUNDS]   (default 100,000)
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BtfBuilder } from '../src/btf/index.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { createKernel } from '../src/kernel/index.ts';
import { mapTypeFacts } from '../src/kernel/maps/index.ts';
import { openPerfBuffer, openRingBuffer, openUserRing } from '../src/loader/readers/index.ts';
import {
  MAP_CREATE_FLAGS as C,
  type Fd,
  type MapCreateAttr,
  type MapType,
  mapTypeNames,
} from '../src/sys/index.ts';

const rounds = Number(process.argv[2] ?? 100_000);
const four = { key_size: 4, value_size: 4, max_entries: 4 };
const KEYLESS: readonly MapType[] = ['queue', 'stack', 'bloom_filter'];
const RINGS: readonly MapType[] = ['ringbuf', 'user_ringbuf'];

const kernel = createKernel({ cpus: 2 });
const { bpf } = kernel;
const builder = new BtfBuilder();
builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
const TYPES = builder.encode();
const u32 = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);

/** What a map of the type is made with; `undefined` for types that this kernel refuses or makes of its own types. */
function attributes(map_type: MapType): MapCreateAttr | undefined {
  const facts = mapTypeFacts(map_type);
  if (!facts || map_type === 'struct_ops') return undefined;
  if (RINGS.includes(map_type)) return { map_type, key_size: 0, value_size: 0, max_entries: 4096 };
  if (map_type === 'arena') {
    return { map_type, key_size: 0, value_size: 0, max_entries: 4, map_flags: C.BPF_F_MMAPABLE };
  }
  if (KEYLESS.includes(map_type)) return { map_type, ...four, key_size: 0 };
  if (map_type.endsWith('cgroup_storage')) return { map_type, ...four, key_size: 8, max_entries: 0 };
  if (map_type.endsWith('_storage'))
    return { map_type, ...four, max_entries: 0, map_flags: C.BPF_F_NO_PREALLOC };
  if (map_type === 'lpm_trie') return { map_type, ...four, key_size: 8, map_flags: C.BPF_F_NO_PREALLOC };
  if (map_type === 'stack_trace') return { map_type, ...four, value_size: 8 };
  return { map_type, ...four };
}

const MAPS = mapTypeNames.flatMap((type) => attributes(type) ?? []);
const PLAIN: readonly MapType[] = [
  'hash',
  'lru_hash',
  'array',
  'percpu_hash',
  'lru_percpu_hash',
  'percpu_array',
];

function round(n: number): void {
  const fds: Fd[] = [];
  const keep = (fd: Fd) => {
    fds.push(fd);
    return fd;
  };
  const attr = MAPS[n % MAPS.length]!;
  const typed = attr.map_type.match(/^(sk|inode|task|cgrp)_storage$/)
    ? { btf_fd: keep(bpf.btf_load({ btf: TYPES })), btf_key_type_id: 1, btf_value_type_id: 1 }
    : {};
  const inner = attr.map_type.endsWith('_of_maps')
    ? { inner_map_fd: keep(bpf.map_create({ map_type: 'array', ...four })) }
    : {};
  const map = keep(bpf.map_create({ ...attr, ...typed, ...inner }));
  if (PLAIN.includes(attr.map_type)) {
    const value = new Uint8Array(attr.map_type.includes('percpu') ? 16 : 4);
    for (let i = 0; i < 3; i++) bpf.map_update_elem({ map_fd: map, key: u32(i), value });
  }
  if (inner.inner_map_fd !== undefined) {
    bpf.map_update_elem({ map_fd: map, key: u32(0), value: u32(inner.inner_map_fd) });
  }
  const insns = assembleLlvm('r0 = 0\nexit').bytes;
  const prog = keep(bpf.prog_load({ prog_type: 'xdp', insns, license: 'GPL' }).fd);
  bpf.prog_test_run({ prog_fd: prog, data_in: new Uint8Array(64) });
  bpf.obj_pin({ pathname: '/sys/fs/bpf/map', bpf_fd: map });
  kernel.bpffs.unlink('/sys/fs/bpf/map');
  if (attr.map_type === 'ringbuf') openRingBuffer(kernel, map).close();
  if (attr.map_type === 'user_ringbuf') {
    const writer = openUserRing(kernel, map);
    writer.write(new Uint8Array(8));
    writer.close();
  }
  if (attr.map_type === 'perf_event_array') openPerfBuffer(kernel, map, { pages: 1 }).close();
  for (const fd of n % 2 ? fds : fds.reverse()) kernel.closeFd(fd);
}

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');
/** Bytes of JavaScript's heap that something still holds. */
function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** What the engine itself keeps of code that it compiled settles in so many rounds. */
const SETTLING = 1000;
/** More than this is an object a round that nobody lets go. */
const MOST_HEAP = 64;

for (let n = 0; n < SETTLING; n++) round(n);
const before = kernel.memoryUse;
const heapBefore = heapUsed();
const size = kernel.memory.u8.length;
const start = performance.now();
for (let n = 0; n < rounds; n++) round(n);
const after = kernel.memoryUse;
const leaked = after.bytes - before.bytes;
const grown = kernel.memory.u8.length - size;
const heap = (heapUsed() - heapBefore) / rounds;
console.log(
  `${MAPS.length} map types, ${rounds} rounds, ${((performance.now() - start) / 1000).toFixed(0)} s`,
);
console.log(
  `before ${JSON.stringify(before)}, after ${JSON.stringify(after)}, address space grown by ${grown}`,
);
console.log(`figure accounting_rounds ${rounds}`);
console.log(`figure accounting_leaked ${leaked}`);
console.log(`figure accounting_leaked_blocks ${after.blocks - before.blocks}`);
console.log(`figure accounting_grown ${grown}`);
console.log(`figure accounting_heap_bytes ${heap.toFixed(1)}`);
process.exitCode = leaked === 0 && after.blocks === before.blocks && grown === 0 && heap < MOST_HEAP ? 0 : 1;
