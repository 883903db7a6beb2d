/** Attaching, asking, replacing and detaching: the embedded kernel remembers hooks as the machine's own kernel does. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createKernel } from '../../src/kernel/index.ts';
import { devices, groups } from './hooks-scenario.ts';
import { linux, needsLinux, theLinux } from './support.ts';

const embedded = () => createKernel({ devices: [{ ifindex: 2, name: 'skep0' }] });

describe('the embedded kernel', () => {
  test('remembers what is attached to control groups', () => {
    using kernel = embedded();
    const log = groups(kernel, '/sys/fs/cgroup/unified/skep');
    expect(log.length).toBeGreaterThan(40);
    expect(kernel.files.read_directory('/sys/fs/cgroup/skep')).toBeUndefined();
  });

  test('remembers what is attached to devices', () => {
    using kernel = embedded();
    expect(devices(kernel, 2).length).toBeGreaterThan(25);
  });
});

needsLinux('as Linux', () => {
  test('control groups', () => {
    using kernel = embedded();
    const root = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
    const real = groups(theLinux(), `${root}/skep-hooks-${process.pid}`);
    expect(groups(kernel, `/sys/fs/cgroup/skep`)).toEqual(real);
  });
});

const canUnshare = linux !== undefined && existsSync('/usr/bin/unshare');

describe.skipIf(!canUnshare)('as Linux, in a network namespace', () => {
  test('devices', () => {
    using kernel = embedded();
    const script = join(import.meta.dirname, 'hooks-scenario.ts');
    const out = execFileSync('/usr/bin/unshare', ['-n', process.execPath, '--import', 'tsx', script], {
      encoding: 'utf8',
    });
    expect(devices(kernel, 2)).toEqual(JSON.parse(out));
  });
});
