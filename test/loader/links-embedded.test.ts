/** The same calls attach in the embedded kernel, which remembers where; what it lacks it names. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createKernel } from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';
import { thrown } from '../linux/support.ts';

const spec = parseObject(readFileSync(join(import.meta.dirname, '../linux/objects/hooks.o')), 'hooks.o');
const CGROUP = '/sys/fs/cgroup/skep';

function within(programs: readonly string[], use: (object: LoadedObject) => void): void {
  using kernel = createKernel({ devices: [{ ifindex: 2, name: 'skep0' }] });
  kernel.files.mkdir(CGROUP);
  const object = loadObject(kernel, spec, { programs, maps: 'all', autocreate: { socket_hash: false } });
  use(object);
  object.close();
  expect(object.links.size).toBe(0);
  expect(kernel.bpf.link_get_next_id({ start_id: 0 })).toBeUndefined();
  expect(kernel.bpf.prog_get_next_id({ start_id: 0 })).toBeUndefined();
  expect(kernel.net.device_get({ name: 'skep0' })?.xdp).toEqual([]);
}

describe('the embedded kernel remembers', () => {
  test('links by section', () => {
    within(['count_xdp', 'count_tcx', 'count_connect4', 'count_lookup', 'count_msg'], (object) => {
      const options = { device: 'skep0', cgroup: CGROUP, sockmap: object.map('sockets') };
      const kinds = [...object.programs.keys()].map((name) => object.attach(name, options).info());
      expect(kinds.map((details) => details?.type).sort()).toEqual([
        'cgroup',
        'netns',
        'sockmap',
        'tcx',
        'xdp',
      ]);
      expect(object.kernel.net.device_get({ name: 'skep0' })?.xdp).toHaveLength(1);
    });
  });

  test('what netlink attaches', () => {
    within(['count_xdp', 'count_classifier', 'count_lwt_out'], (object) => {
      const { net } = object.kernel;
      object.program('count_xdp').attachXdpNetlink('skep0');
      const filter = object
        .program('count_classifier')
        .attachClassifier('skep0', { direction: 'egress', priority: 4 });
      object.program('count_lwt_out').attachRoute({ to: '10.1.0.0/16', device: 'skep0' });
      expect(net.filter_list({ ifindex: 2, parent: 'egress' })).toMatchObject([{ priority: 4, handle: 1 }]);
      expect(net.route_list()).toMatchObject([{ ifindex: 2, bpf: { out: 'count_lwt_out' } }]);
      expect(thrown(() => filter.pin('/sys/fs/bpf/filter')).message).toContain('attached by netlink');
    });
  });

  test('pinned links, and control groups that go', () => {
    within(['count_connect4'], (object) => {
      const { kernel } = object;
      const link = object.program('count_connect4').attachCgroup(CGROUP);
      link.pin('/sys/fs/bpf/link');
      kernel.files.rmdir(CGROUP);
      expect(link.info()).toMatchObject({ type: 'cgroup', cgroup_id: 0n });
      link.unpin();
    });
  });
});

describe('the embedded kernel says that it lacks', () => {
  test.each<readonly [string, RegExp, (object: LoadedObject) => unknown]>([
    [
      'count_tracepoint',
      /the embedded kernel has no tracepoints/,
      (object) => object.attach('count_tracepoint'),
    ],
    ['count_raw_tracepoint', /EOPNOTSUPP/, (object) => object.attach('count_raw_tracepoint')],
    [
      'count_uprobe',
      /no programs of other processes/,
      (object) => object.program('count_uprobe').attachUprobe('sh', {}),
    ],
    [
      'count_perf_event',
      /no perf events to trace with/,
      (object) => object.program('count_perf_event').attachSampling(),
    ],
    [
      'count_socket',
      /the embedded kernel has no sockets/,
      (object) => object.program('count_socket').attachSocket(3),
    ],
    ['count_netkit', /no netkit devices/, (object) => object.attach('count_netkit', { device: 'skep0' })],
  ])('%s', (program, words, attach) => {
    within([program], (object) => expect(thrown(() => attach(object)).message).toMatch(words));
  });
});
