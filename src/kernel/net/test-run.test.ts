import { describe, expect, it } from 'vitest';
import { assembleLlvm } from '../../isa/index.ts';
import { helperId, isHelper } from '../../sys/helper-ids.ts';
import type { ProgType } from '../../sys/tables.ts';
import { createKernel } from '../index.ts';
import { SK_BUFF_LAYOUT, XDP_MD_LAYOUT } from '../programs/index.ts';

const kernel = createKernel({ devices: [{ ifindex: 7, name: 'eth0', rxQueues: 4 }] });

function load(type: ProgType, text: string) {
  const { bytes } = assembleLlvm(text, { helper: (name) => (isHelper(name) ? helperId(name) : undefined) });
  return kernel.bpf.prog_load({ prog_type: type, insns: bytes, license: 'GPL', prog_name: 'test' }).fd;
}

/** Ethernet and IPv4 from 10.0.0.1 to 10.0.0.2, 60 bytes. */
function packet(): Uint8Array {
  const bytes = Uint8Array.from({ length: 60 }, (_, i) => i);
  bytes.fill(0, 0, 6);
  bytes.set([8, 0, 0x45], 12);
  return bytes;
}

const run = (type: ProgType, text: string, attr: object = {}) =>
  kernel.bpf.prog_test_run({ prog_fd: load(type, text), data_in: packet(), ...attr });

const context = (members: Partial<Record<keyof typeof XDP_MD_LAYOUT.members, number>>) => {
  const bytes = new Uint8Array(XDP_MD_LAYOUT.size);
  XDP_MD_LAYOUT.patch(new DataView(bytes.buffer), 0, members);
  return bytes;
};

describe('test runs', () => {
  it('reads and writes a packet through its pointers', () => {
    const text = `
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r2
      r4 += 14
      if r4 > r3 goto short
      r0 = *(u16 *)(r2 + 12)
      *(u8 *)(r2 + 0) = 255
      exit
    short:
      r0 = 0
      exit`;
    const { retval, data_out } = run('xdp', text);
    expect(retval).toBe(8);
    expect(data_out).toEqual(packet().map((byte, i) => (i === 0 ? 255 : byte)));
  });

  it('gives the context of the device and queue that the caller names', () => {
    const text = 'r0 = *(u32 *)(r1 + 12)\nr2 = *(u32 *)(r1 + 16)\nr0 *= 10\nr0 += r2\nexit';
    expect(run('xdp', text).retval).toBe(10);
    const ctx_in = context({ data_end: 60, ingress_ifindex: 7, rx_queue_index: 3 });
    expect(run('xdp', text, { ctx_in }).retval).toBe(73);
  });

  it('hands socket filters the packet at its network header, and the whole back', () => {
    const { retval, data_out } = run('socket_filter', 'r6 = r1\nr0 = *(u8 *)skb[0]\nexit');
    expect(retval).toBe(0x45);
    expect(data_out.slice(14)).toEqual(packet().slice(14));
    expect(data_out.slice(0, 14)).toEqual(new Uint8Array(14));
  });

  it('keeps what a program writes into the context', () => {
    const ctx_in = new Uint8Array(SK_BUFF_LAYOUT.size);
    const { ctx_out } = run('sched_cls', '*(u32 *)(r1 + 8) = 99\n*(u32 *)(r1 + 52) = 5\nr0 = 0\nexit', {
      ctx_in,
    });
    expect(SK_BUFF_LAYOUT.read(new DataView(ctx_out.buffer), 0)).toMatchObject({
      mark: 99,
      cb: [0, 5, 0, 0, 0],
      ifindex: 1,
      wire_len: 60,
    });
  });

  it('moves packets between blocks as they grow', () => {
    const { retval, data_out } = run(
      'sched_cls',
      'r6 = r1\nr2 = 9000\nr3 = 0\ncall skb_change_tail\nr0 = *(u32 *)(r6 + 0)\nexit',
    );
    expect([retval, data_out.length]).toEqual([9000, 9000]);
    expect(data_out.slice(0, 60)).toEqual(packet());
    expect(data_out.slice(60).every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ['xdp', 'r2 = *(u32 *)(r1 + 0)\nr0 = *(u64 *)(r2 + 56)\nexit', 'offset is outside of the packet'],
    ['xdp', 'r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 - 1)\nexit', 'offset is outside of the packet'],
    ['xdp', 'r0 = *(u32 *)(r1 + 2)\nexit', 'invalid bpf_context access off=2 size=4'],
    ['xdp', 'r0 = 0\n*(u32 *)(r1 + 0) = 0\nexit', 'invalid bpf_context access off=0 size=4'],
    ['socket_filter', 'r0 = *(u32 *)(r1 + 76)\nexit', 'invalid bpf_context access off=76 size=4'],
    ['sched_cls', 'r0 = *(u64 *)(r1 + 0)\nexit', 'invalid bpf_context access off=0 size=8'],
  ] as const)('says what %s did wrong: %j', (type, text, problem) => {
    expect(() => run(type, text)).toThrow(problem);
  });

  it('says what can not be run', () => {
    expect(() => run('kprobe', 'r0 = 0\nexit')).toThrow('ENOTSUPP');
    expect(() => run('sched_cls', 'r0 = 0\nexit', { data_in: new Uint8Array(5) })).toThrow(
      '5 bytes, fewer than 14',
    );
    expect(() => run('xdp', 'r0 = 0\nexit', { ctx_in: context({ data_end: 61 }) })).toThrow('EINVAL');
    expect(() => run('xdp', 'r0 = 0\nexit', { data_size_out: 10 })).toThrow('ENOSPC');
  });

  it('counts runs while someone asks for it', () => {
    const fd = load('xdp', 'r0 = 2\nexit');
    const info = () => kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    kernel.bpf.prog_test_run({ prog_fd: fd, data_in: packet() });
    expect(info()).toMatchObject({ run_cnt: 0n });
    const stats = kernel.bpf.enable_stats({ type: 0 });
    kernel.bpf.prog_test_run({ prog_fd: fd, data_in: packet(), repeat: 3 });
    kernel.closeFd(stats);
    kernel.bpf.prog_test_run({ prog_fd: fd, data_in: packet() });
    expect(info()).toMatchObject({ run_cnt: 3n });
  });

  it('leaves no memory behind', () => {
    const own = createKernel();
    const cycle = () => {
      const { fd } = own.bpf.prog_load({
        prog_type: 'xdp',
        insns: assembleLlvm('r0 = 2\nexit').bytes,
        license: 'GPL',
      });
      own.bpf.prog_test_run({ prog_fd: fd, data_in: packet() });
      own.closeFd(fd);
      return own.memoryUse;
    };
    const first = cycle();
    for (let i = 0; i < 20; i++) expect(cycle()).toEqual(first);
  });
});
