/** The embedded kernel's files: its BPF file system and its control groups. What reaches hooks by ioctl(2) and setsockopt(2) has none to reach. */
import { InputError } from '../../base/error.ts';
import type { Errno } from '../../sys/errno.ts';
import type { FileCalls, HookCalls } from '../../sys/files.ts';
import type { PathFailure } from '../objects/bpffs.ts';
import type { KernelState } from './state.ts';

function refuse(doing: string, errno: Errno, reason: string): InputError {
  return new InputError('kernel-file', `${doing}: ${reason} (${errno})`, { errno });
}

function check<T>(doing: string, result: T | PathFailure): T {
  if (typeof result === 'object' && result !== null && 'errno' in result) {
    throw refuse(doing, result.errno, result.reason);
  }
  return result;
}

/** Where Linux shows network namespaces; there is one. */
const NETNS = /^\/proc\/(self|\d+)\/ns\/net$/;

export function fileCalls(state: KernelState): FileCalls {
  const { bpffs, cgroups } = state;
  return {
    open(path) {
      if (NETNS.test(path)) return state.fds.open(state.netns);
      const cgroup = cgroups.has(path) ? cgroups.get(path) : undefined;
      if (cgroup) return state.fds.open(cgroup);
      throw refuse(`opening '${path}'`, 'ENOENT', 'the embedded kernel has no such file or folder');
    },
    read(fd) {
      throw refuse(`reading fd ${fd}`, 'EINVAL', 'there is nothing to be read from it by read(2)');
    },
    read_file: () => undefined,
    read_directory(path) {
      if (cgroups.has(path)) return cgroups.list(path)?.map((name) => ({ name, directory: true }));
      const entries = bpffs.list(path);
      if ('errno' in entries) return undefined;
      return entries.map(({ name, object }) => ({ name, directory: object === undefined }));
    },
    read_link: () => undefined,
    mkdir(path) {
      check(`making the folder '${path}'`, cgroups.has(path) ? cgroups.mkdir(path) : bpffs.mkdir(path));
    },
    unlink: (path) => check(`removing '${path}'`, bpffs.unlink(path)),
    rmdir(path) {
      const doing = `removing the folder '${path}'`;
      if (!cgroups.has(path)) {
        check(doing, bpffs.rmdir(path));
        return;
      }
      const gone = check(doing, cgroups.rmdir(path));
      state.hooks.clear(gone.place);
      gone.release();
    },
  };
}

export function hookCalls(): HookCalls {
  const noEvents = (doing: string) =>
    refuse(doing, 'EOPNOTSUPP', 'the embedded kernel has no perf events that programs run at; use Linux');
  const noSockets = (doing: string) =>
    refuse(doing, 'EOPNOTSUPP', 'the embedded kernel has no sockets; run the program with PROG_TEST_RUN');
  return {
    perf_event_set_bpf(event, program) {
      throw noEvents(`running program fd ${program} at perf event fd ${event}`);
    },
    perf_event_enable(event, enabled) {
      throw noEvents(`${enabled ? 'starting' : 'stopping'} perf event fd ${event}`);
    },
    socket_attach(socket, option, program) {
      throw noSockets(`putting program fd ${program} on socket fd ${socket} (${option})`);
    },
    socket_detach(socket, option) {
      throw noSockets(`taking the program off socket fd ${socket} (${option})`);
    },
  };
}
