/** Places of a suite's own to attach to, which are gone when it ends. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Place extends Disposable {
  readonly path: string;
}

/** A cgroup v2 of no processes. @param parent the cgroup that it is made in; default the root */
export function makeCgroup(parent = cgroupRoot()): Place & { readonly fd: number } {
  const path = join(parent, `skep-test-${process.pid}-${Math.random().toString(36).slice(2)}`);
  mkdirSync(path);
  const fd = openSync(path, 'r');
  return {
    path,
    fd,
    [Symbol.dispose]() {
      closeSync(fd);
      rmdirSync(path);
    },
  };
}

function cgroupRoot(): string {
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, path, type] = line.split(' ');
    if (type === 'cgroup2' && path !== undefined) return path;
  }
  throw new Error('no cgroup v2 is mounted');
}

/** A bpf filesystem. */
export function mountBpffs(): Place {
  const path = mkdtempSync(join(tmpdir(), 'skep-bpffs-'));
  execFileSync('mount', ['-t', 'bpf', 'bpf', path]);
  return {
    path,
    [Symbol.dispose]() {
      execFileSync('umount', [path]);
      rmdirSync(path);
    },
  };
}
