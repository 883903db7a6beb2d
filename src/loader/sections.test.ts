import { describe, expect, test } from 'vitest';
import { parseSectionName, SECTIONS } from './sections.ts';

test('the table has the 116 definitions that libbpf knows, each once', () => {
  expect(SECTIONS).toHaveLength(116);
  expect(new Set(SECTIONS.map((def) => def.section)).size).toBe(116);
});

describe('a section name', () => {
  test.each([
    ['xdp', 'xdp', 'xdp', undefined],
    ['xdp.frags/devmap', 'xdp', 'xdp_devmap', undefined],
    ['tc', 'sched_cls', undefined, undefined],
    ['kprobe', 'kprobe', undefined, undefined],
    ['kprobe/do_unlinkat', 'kprobe', undefined, 'do_unlinkat'],
    ['kprobe.multi/tcp_*', 'kprobe', 'trace_kprobe_multi', 'tcp_*'],
    ['tracepoint/sched/sched_switch', 'tracepoint', undefined, 'sched/sched_switch'],
    ['fentry.s/__x64_sys_open', 'tracing', 'trace_fentry', '__x64_sys_open'],
    ['usdt//usr/lib/libc.so.6:libc:setjmp', 'kprobe', undefined, '/usr/lib/libc.so.6:libc:setjmp'],
    ['cgroup/connect4', 'cgroup_sock_addr', 'cgroup_inet4_connect', undefined],
  ])('%s is a %s', (name, type, attach, target) => {
    const parsed = parseSectionName(name);
    expect(parsed.def?.type).toBe(type);
    expect(parsed.def?.attach).toBe(attach);
    expect(parsed.target).toBe(target);
    expect(parsed.autoload).toBe(true);
  });

  test.each(['xdp_drop', 'xdp/eth0', 'kprobes', 'kprobefoo/x', '42/0', 'prog', 'constructor'])(
    '%s says no type: an exact name is exact, and a target follows a slash',
    (name) => expect(parseSectionName(name).def).toBeUndefined(),
  );

  test('with ? before it is loaded only when asked for', () => {
    expect(parseSectionName('?fexit/bpf_fentry_test1')).toMatchObject({
      autoload: false,
      target: 'bpf_fentry_test1',
      def: { attach: 'trace_fexit' },
    });
  });

  test('flags of the definition', () => {
    expect(parseSectionName('xdp.frags').def).toMatchObject({ frags: true });
    expect(parseSectionName('lsm.s/file_open').def).toMatchObject({ sleepable: true, attachBtf: true });
    expect(parseSectionName('syscall').def).toMatchObject({ sleepable: true });
  });
});
