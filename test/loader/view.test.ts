/** Maps by the types of their keys and values, on both kernels. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { BtfBuilder, type BtfTypeId, INT_BOOL, INT_SIGNED } from '../../src/btf/index.ts';
import { createKernel } from '../../src/kernel/index.ts';
import { formatIpv6, parseIpv6 } from '../../src/loader/address.ts';
import { loadObject, objectView, parseObject } from '../../src/loader/index.ts';
import { mapView, queueView } from '../../src/loader/view.ts';
import type { Fd, MapCreateAttr } from '../../src/sys/index.ts';
import { SUBJECTS } from '../contract/kernels.ts';

interface Flow {
  saddr: string;
  daddr: string;
  sport: number;
  proto: number | string;
}

interface Stats {
  packets: bigint;
  balance: bigint;
  comm: string | Uint8Array;
  mac: Uint8Array;
  state: string | number;
  ok: boolean;
  low: number;
  high: number;
  level: number;
  peer: string;
  list: number[];
  word: number;
}

const types = (() => {
  const b = new BtfBuilder();
  const int = (name: string, size: number, encoding = 0) =>
    b.add({ kind: 'int', name, size, encoding, bitOffset: 0, bits: size * 8 });
  const u8 = int('unsigned char', 1);
  const u16 = int('unsigned short', 2);
  const u32 = int('unsigned int', 4);
  const u64 = int('unsigned long long', 8);
  const s64 = int('long long', 8, INT_SIGNED);
  const s32 = int('int', 4, INT_SIGNED);
  const char = int('char', 1, INT_SIGNED);
  const bool = int('_Bool', 1, INT_BOOL);
  const be16 = b.add({ kind: 'typedef', name: '__be16', type: u16 });
  const be32 = b.add({ kind: 'typedef', name: '__be32', type: u32 });
  const array = (type: BtfTypeId, length: number) => b.add({ kind: 'array', type, indexType: u32, length });
  const protos = b.add({
    kind: 'enum',
    name: 'proto',
    size: 1,
    signed: false,
    values: [
      { name: 'TCP', value: 6 },
      { name: 'UDP', value: 17 },
    ],
  });
  const states = b.add({
    kind: 'enum',
    name: 'state',
    size: 4,
    signed: true,
    values: [
      { name: 'DOWN', value: -1 },
      { name: 'UP', value: 1 },
    ],
  });
  const member = (name: string, type: BtfTypeId, offset: number, bitSize = 0, bit = 0) => ({
    name,
    type,
    bitOffset: offset * 8 + bit,
    bitSize,
  });
  const composite = (
    kind: 'struct' | 'union',
    name: string,
    size: number,
    members: ReturnType<typeof member>[],
  ) => b.add({ kind, name, size, members, bitfields: members.some(({ bitSize }) => bitSize > 0) });
  const in6 = composite('struct', 'in6_addr', 16, [member('bytes', array(u8, 16), 0)]);
  const flow = composite('struct', 'flow', 12, [
    member('saddr', be32, 0),
    member('daddr', be32, 4),
    member('sport', be16, 8),
    member('proto', protos, 10),
  ]);
  const inner = composite('union', '', 4, [member('word', u32, 0), member('half', u16, 0)]);
  const stats = composite('struct', 'stats', 88, [
    member('packets', u64, 0),
    member('balance', s64, 8),
    member('comm', array(char, 16), 16),
    member('mac', array(u8, 6), 32),
    member('ok', bool, 38),
    member('state', states, 40),
    member('low', u32, 44, 3, 0),
    member('high', u32, 44, 12, 3),
    member('level', s32, 44, 4, 15),
    member('peer', in6, 48),
    member('list', array(s32, 4), 64),
    member('', inner, 80),
  ]);
  const prefix = composite('struct', 'prefix', 8, [member('prefixlen', u32, 0), member('addr', be32, 4)]);
  return { bytes: b.encode(), flow, stats, prefix, u32, u64, plain: u32 };
})();

const LIST = [1, -2, 3, -4];
const STATS: Stats = {
  packets: 2n ** 60n + 1n,
  balance: -5n,
  comm: 'nginx',
  mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
  state: 'DOWN',
  ok: true,
  low: 5,
  high: 4000,
  level: -3,
  peer: 'fe80::1:2',
  list: LIST,
  word: 0x1234_5678,
};

for (const { name, missing, kernel: open } of SUBJECTS) {
  describe.skipIf(missing !== undefined)(`map views on ${name}`, () => {
    const kernel = open();
    const fds: Fd[] = [];
    const keep = (fd: Fd) => {
      fds.push(fd);
      return fd;
    };
    afterEach(() => {
      for (const fd of fds.splice(0)) kernel.closeFd(fd);
    });
    const create = (
      map_type: MapCreateAttr['map_type'],
      key: readonly [BtfTypeId, number] | undefined,
      value: readonly [BtfTypeId, number],
      over: Partial<MapCreateAttr> = {},
    ) => {
      const btf_fd = keep(kernel.bpf.btf_load({ btf: types.bytes }));
      return keep(
        kernel.bpf.map_create({
          map_type,
          key_size: key?.[1] ?? 0,
          value_size: value[1],
          max_entries: 8,
          map_name: 'viewed',
          btf_fd,
          btf_key_type_id: key?.[0] ?? 0,
          btf_value_type_id: value[0],
          ...over,
        }),
      );
    };
    const flows = (over?: Partial<MapCreateAttr>) =>
      create('hash', [types.flow, 12], [types.stats, 88], over);

    it('keys and values are objects by the BTF that the kernel has', () => {
      const view = mapView<Flow, Stats>(kernel, flows());
      const key: Flow = { saddr: '10.0.0.1', daddr: '192.168.255.2', sport: 8080, proto: 'TCP' };
      expect(view.get(key)).toBeUndefined();
      view.set(key, STATS);
      expect(view.get(key)).toEqual({ ...STATS, half: 0x5678 });
      expect([...view]).toEqual([[key, { ...STATS, half: 0x5678 }]]);
      const raw = kernel.bpf.map_get_next_key({ map_fd: view.fd })!;
      expect([...raw]).toEqual([10, 0, 0, 1, 192, 168, 255, 2, 0x1f, 0x90, 6, 0]);
      expect(view.has(key)).toBe(true);
      expect(view.delete(key)).toBe(true);
      expect(view.delete(key)).toBe(false);
      expect(view.name).toBe('viewed');
    });

    it('what is not given is zero, what is not known is refused by name', () => {
      const view = mapView<Partial<Flow>, Partial<Stats>>(kernel, flows());
      view.set({ saddr: '1.2.3.4' }, { packets: 3n });
      expect(view.get({ saddr: '1.2.3.4', sport: 0 })).toMatchObject({
        packets: 3n,
        balance: 0n,
        comm: '',
        state: 0,
        ok: false,
        peer: '::',
        list: [0, 0, 0, 0],
      });
      expect(() => view.get({ sadr: '1.2.3.4' } as Partial<Flow>)).toThrow(
        "writing map viewed: key.sadr: '1.2.3.4' does not fit: struct flow has no member sadr; its members: saddr, daddr, sport, proto",
      );
      const refused: [Partial<Stats> | Partial<Flow>, RegExp][] = [
        [{ packets: -1n }, /value\.packets: -1 does not fit: unsigned 64 bits hold 0 to/],
        [{ high: 4096 }, /value\.high: 4096 does not fit: unsigned 12 bits/],
        [{ state: 'SIDEWAYS' }, /the enumerators are DOWN, UP/],
        [{ comm: 'a name that is too long' }, /at most 16 bytes fit/],
        [{ list: [1, 2, 3, 4, 5] }, /an array of at most 4/],
        [{ list: [1.5] }, /value\.list\[0\]: 1\.5 does not fit/],
        [{ peer: '10.0.0.1' }, /an IPv6 address is needed/],
        [{ ok: 2 as unknown as boolean }, /true or false/],
        [{ mac: Uint8Array.from({ length: 7 }) }, /at most 6 bytes/],
      ];
      for (const [value, message] of refused) expect(() => view.set({}, value as Stats)).toThrow(message);
      expect(() => view.get({ saddr: '10.0.0.256' })).toThrow(/an IPv4 address is needed/);
      expect(() => view.get({ sport: 65_536 })).toThrow(/unsigned 16 bits/);
      expect(() => view.get(5 as unknown as Flow)).toThrow(/struct flow takes an object of its members/);
    });

    it('values of each CPU are an array', () => {
      const view = mapView<number, bigint[]>(kernel, create('percpu_hash', [types.u32, 4], [types.u64, 8]));
      const values = Array.from({ length: kernel.possibleCpus }, (_, cpu) => BigInt(cpu) + 100n);
      view.set(7, values);
      expect(view.get(7)).toEqual(values);
      expect(view.toArray()).toEqual([{ key: 7, value: values }]);
      expect(() => view.set(7, [1n, 2n, 3n, 4n, 5n, 6n, 7n].slice(0, kernel.possibleCpus + 1))).toThrow(
        /one for each possible CPU/,
      );
      expect(() => view.set(7, 1n as unknown as bigint[])).toThrow(/and one value was given/);
    });

    it('says when a key must or must not be there', () => {
      const view = mapView<number, bigint>(kernel, create('hash', [types.u32, 4], [types.u64, 8]));
      const failing = (when: 'exist' | 'noexist') => () => view.set(1, 1n, { when });
      expect(failing('exist')).toThrow(expect.objectContaining({ errno: 'ENOENT' }));
      view.set(1, 5n, { when: 'noexist' });
      expect(failing('noexist')).toThrow(expect.objectContaining({ errno: 'EEXIST' }));
      expect(view.take(1)).toBe(5n);
      expect(view.take(1)).toBeUndefined();
      expect(() => view.set(1, 1n, { lock: true })).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
    });

    it('walks, fills, takes and clears many in batches', () => {
      const max_entries = 5000;
      const view = mapView<number, bigint>(
        kernel,
        create('hash', [types.u32, 4], [types.u64, 8], { max_entries }),
      );
      const all = Array.from({ length: max_entries }, (_, i) => [i, BigInt(i) * 3n] as const);
      expect(view.setAll(all)).toBe(max_entries);
      expect(view.count()).toBe(max_entries);
      expect([...view.entries()].sort(([a], [b]) => a - b)).toEqual(all);
      expect(view.deleteAll([0, 1, 2, 99_999])).toBe(3);
      const walked = new Set<number>();
      // Deleting what was walked leads no walk back to the start.
      for (const [key] of view) {
        expect(walked.has(key)).toBe(false);
        walked.add(key);
        if (key % 2 === 0) view.delete(key);
      }
      expect(walked.size).toBe(max_entries - 3);
      for (const key of view.keys()) view.delete(key);
      expect(view.count()).toBe(0);
      view.setAll(all);
      expect([...view.drain()]).toHaveLength(max_entries);
      view.setAll(all.slice(0, 10));
      view.clear();
      expect(view.count()).toBe(0);
    });

    it('arrays have all their elements, and are cleared to zero', () => {
      const view = mapView<number, bigint>(kernel, create('array', [types.u32, 4], [types.u64, 8]));
      view.set(3, 9n);
      expect([...view.values()]).toEqual([0n, 0n, 0n, 9n, 0n, 0n, 0n, 0n]);
      expect(view.get(8)).toBeUndefined();
      view.clear();
      expect(view.get(3)).toBe(0n);
    });

    it('prefixes of an LPM trie are text or objects', () => {
      const map_flags = 1;
      const view = mapView<string | { prefixlen: number; addr: string }, number>(
        kernel,
        create('lpm_trie', [types.prefix, 8], [types.plain, 4], { map_flags }),
      );
      view.set('10.0.0.0/8', 1);
      view.set({ prefixlen: 16, addr: '10.1.0.0' }, 2);
      expect(view.get('10.9.9.9/32')).toBe(1);
      expect(view.get('10.1.9.9/32')).toBe(2);
      expect(view.get('11.0.0.0/32')).toBeUndefined();
      expect([...view.keys()]).toEqual([
        { prefixlen: 16, addr: '10.1.0.0' },
        { prefixlen: 8, addr: '10.0.0.0' },
      ]);
      expect(() => view.get('10.0.0.0/33')).toThrow(/takes an object of its members: prefixlen, addr/);
    });

    it('without types, indices are numbers and all else is bytes', () => {
      const plain = { key_size: 4, value_size: 3, max_entries: 2 } as const;
      const array = mapView<number, Uint8Array>(
        kernel,
        keep(kernel.bpf.map_create({ map_type: 'array', ...plain })),
      );
      array.set(1, Uint8Array.of(1, 2, 3));
      expect(array.get(1)).toEqual(Uint8Array.of(1, 2, 3));
      const hash = mapView(kernel, keep(kernel.bpf.map_create({ map_type: 'hash', ...plain })));
      expect(() => hash.get(1)).toThrow(/it has no type: pass its 4 bytes as a Uint8Array/);
      expect(hash.get(Uint8Array.of(0, 0, 0, 0))).toBeUndefined();
    });

    it('members can be told to be addresses; integers take them anyway', () => {
      const b = new BtfBuilder();
      const u32 = b.add({ kind: 'int', name: 'u32', size: 4, encoding: 0, bitOffset: 0, bits: 32 });
      const keyType = b.add({
        kind: 'struct',
        name: 'key',
        size: 8,
        bitfields: false,
        members: [
          { name: 'saddr', type: u32, bitOffset: 0, bitSize: 0 },
          { name: 'id', type: u32, bitOffset: 32, bitSize: 0 },
        ],
      });
      const btf_fd = keep(kernel.bpf.btf_load({ btf: b.encode() }));
      const map = keep(
        kernel.bpf.map_create({
          map_type: 'hash',
          key_size: 8,
          value_size: 4,
          max_entries: 2,
          btf_fd,
          btf_key_type_id: keyType,
          btf_value_type_id: u32,
        }),
      );
      mapView(kernel, map).set({ saddr: '10.0.0.1', id: 7 }, 1);
      expect([...mapView(kernel, map).keys()]).toEqual([{ saddr: 0x0100_000a, id: 7 }]);
      expect([...mapView(kernel, map, { addresses: ['saddr'] }).keys()]).toEqual([
        { saddr: '10.0.0.1', id: 7 },
      ]);
    });

    it('maps of maps take descriptors and show ids', () => {
      const inner = keep(
        kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 }),
      );
      const outer = keep(
        kernel.bpf.map_create({
          map_type: 'array_of_maps',
          key_size: 4,
          value_size: 4,
          max_entries: 2,
          inner_map_fd: inner,
        }),
      );
      const view = mapView<number, number | { fd: Fd }>(kernel, outer);
      view.set(0, { fd: inner });
      view.set(1, inner);
      const { id } = kernel.bpf.obj_get_info_by_fd({ bpf_fd: inner });
      expect([...view]).toEqual([
        [0, id],
        [1, id],
      ]);
    });

    it('queues and stacks push, pop and peek', () => {
      const attr = { key_size: 0, value_size: 4, max_entries: 2 } as const;
      const queue = queueView<Uint8Array>(
        kernel,
        keep(kernel.bpf.map_create({ map_type: 'queue', ...attr })),
      );
      const [a, b, c] = [1, 2, 3].map((n) => Uint8Array.of(n, 0, 0, 0)) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      queue.push(a);
      queue.push(b);
      expect(() => queue.push(c)).toThrow(expect.objectContaining({ errno: 'E2BIG' }));
      queue.push(c, true);
      expect([queue.peek(), queue.pop(), queue.pop(), queue.pop()]).toEqual([b, b, c, undefined]);
      const stack = queueView<Uint8Array>(
        kernel,
        keep(kernel.bpf.map_create({ map_type: 'stack', ...attr })),
      );
      stack.push(a);
      stack.push(b);
      expect([stack.pop(), stack.pop()]).toEqual([b, a]);
      expect(() => mapView(kernel, queue.fd)).toThrow(/queueView\(\)/);
    });

    it('says what it can not view', () => {
      const ring = keep(
        kernel.bpf.map_create({ map_type: 'ringbuf', key_size: 0, value_size: 0, max_entries: 4096 }),
      );
      expect(() => mapView(kernel, ring)).toThrow(/a ringbuf map has no keys; openRingBuffer\(\) reads it/);
      const btf = keep(kernel.bpf.btf_load({ btf: types.bytes }));
      expect(() => mapView(kernel, btf)).toThrow(/it is a btf, not a map/);
    });
  });
}

it('an object has views of its maps, by the types that it declares', () => {
  const spec = parseObject(readFileSync('examples/syn_counter.o'), 'syn_counter.o');
  using kernel = createKernel();
  using object = loadObject(kernel, spec);
  interface SynStats {
    syns: bigint;
    dropped: bigint;
    last_port: number;
    last_ttl: number;
  }
  const counts = objectView<string, Partial<SynStats>>(object, 'syn_counts');
  counts.set('10.1.2.3', { syns: 5n, last_port: 443 });
  expect(counts.toArray()).toEqual([
    { key: '10.1.2.3', value: { syns: 5n, dropped: 0n, last_port: 443, last_ttl: 0 } },
  ]);
  expect([...kernel.bpf.map_get_next_key({ map_fd: counts.fd })!]).toEqual([10, 1, 2, 3]);
  expect(() => objectView(object, 'counts')).toThrow(/no map counts is loaded; there are: .*syn_counts/);
});

describe('addresses as text', () => {
  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['2001:db8::', '2001:db8::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['FE80::A', 'fe80::a'],
  ])('%s is read and written', (text, canonical) => {
    expect(formatIpv6(parseIpv6(text)!)).toBe(canonical);
  });

  it.each(['', ':', ':::', '1:2', '1::2::3', '12345::', 'g::', '::1.2.3', '1:2:3:4:5:6:7:8:9'])(
    "'%s' is none",
    (text) => {
      expect(parseIpv6(text)).toBeUndefined();
    },
  );
});
