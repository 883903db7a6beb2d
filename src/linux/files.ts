/** The files that BPF lives among, and what reaches a hook by ioctl(2) and setsockopt(2). */
import {
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { InputError } from '../base/error.ts';
import {
  errnoName,
  errnoText,
  type FileCalls,
  type HookCalls,
  isErrno,
  SOCKET_PROGRAM_OPTIONS,
  type SocketProgramOption,
} from '../sys/index.ts';
import type { Caller } from './call.ts';
import type { Libc } from './libc.ts';

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: 'its permissions, or those of a folder above it, do not allow it',
  EPERM: 'it needs root, or a capability of the user that owns it; run it with sudo',
};

/** A failed call of the file system, as a sentence. */
function refused(doing: string, error: unknown): unknown {
  const errno = (error as NodeJS.ErrnoException | undefined)?.code;
  if (errno === undefined || !isErrno(errno)) return error;
  const advice = ADVICE[errno];
  return new InputError(
    'linux-file',
    `${doing}: ${errnoText(errno)} (${errno})${advice === undefined ? '' : `: ${advice}`}`,
    { errno, cause: error },
  );
}

function attempt<T>(doing: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw refused(doing, error);
  }
}

/** What is not there is an answer. */
function ifThere<T>(doing: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH') return undefined;
    throw refused(doing, error);
  }
}

export function fileCalls(caller: Caller): FileCalls {
  return {
    open: (path) => caller.adopt(attempt(`opening '${path}'`, () => openSync(path, 'r'))),
    read(fd, size) {
      const bytes = new Uint8Array(size);
      return bytes.subarray(
        0,
        attempt(`reading fd ${fd}`, () => readSync(fd, bytes)),
      );
    },
    read_file: (path) => ifThere(`reading '${path}'`, () => new Uint8Array(readFileSync(path))),
    read_directory: (path) =>
      ifThere(`listing '${path}'`, () =>
        readdirSync(path, { withFileTypes: true })
          .map((entry) => ({ name: entry.name, directory: entry.isDirectory() }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
      ),
    read_link: (path) => ifThere(`reading the link '${path}'`, () => readlinkSync(path)),
    mkdir: (path) => attempt(`making the folder '${path}'`, () => mkdirSync(path, { mode: 0o700 })),
    unlink: (path) => attempt(`removing '${path}'`, () => unlinkSync(path)),
    rmdir: (path) => attempt(`removing the folder '${path}'`, () => rmdirSync(path)),
  };
}

const PERF_EVENT_IOC = { ENABLE: 0x2400, DISABLE: 0x2401, SET_BPF: 0x4004_2408 } as const;
const SOL_SOCKET = 1;
const DETACH: Readonly<Record<SocketProgramOption, number>> = {
  /** `SO_DETACH_BPF` */
  SO_ATTACH_BPF: 27,
  /** `SO_DETACH_REUSEPORT_BPF` */
  SO_ATTACH_REUSEPORT_EBPF: 68,
};

export function hookCalls(libc: Libc): HookCalls {
  const check = (doing: string, result: number, advice: Readonly<Record<string, string>>): void => {
    if (result >= 0) return;
    const errno = errnoName(-result) ?? String(-result);
    const text = isErrno(errno) ? errnoText(errno) : 'refused';
    const why = advice[errno] ?? ADVICE[errno];
    throw new InputError('linux-hook', `${doing}: ${text} (${errno})${why === undefined ? '' : `: ${why}`}`, {
      errno,
    });
  };
  const word = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);
  return {
    perf_event_set_bpf(event, program) {
      check(
        `running program fd ${program} at perf event fd ${event}`,
        libc.ioctl(event, PERF_EVENT_IOC.SET_BPF, program),
        {
          EINVAL: "the program's type does not suit the event",
          EEXIST: 'the event runs a program already',
          EBADF: 'one of them is not open',
          ENOTTY: 'the first is no perf event',
        },
      );
    },
    perf_event_enable(event, enabled) {
      const request = enabled ? PERF_EVENT_IOC.ENABLE : PERF_EVENT_IOC.DISABLE;
      check(`${enabled ? 'starting' : 'stopping'} perf event fd ${event}`, libc.ioctl(event, request, 0), {
        ENOTTY: 'it is no perf event',
        EBADF: 'it is not open',
      });
    },
    socket_attach(socket, option, program) {
      check(
        `putting program fd ${program} on socket fd ${socket} (${option})`,
        libc.setsockopt(socket, SOL_SOCKET, SOCKET_PROGRAM_OPTIONS[option], word(program)),
        {
          EINVAL: "the program's type does not suit the option, or the socket is not bound to a port",
          EBADF: 'one of them is not open',
          ENOTSOCK: 'the first is no socket',
        },
      );
    },
    socket_detach(socket, option) {
      check(
        `taking the program off socket fd ${socket} (${option})`,
        libc.setsockopt(socket, SOL_SOCKET, DETACH[option], word(0)),
        { ENOENT: 'it has none', EBADF: 'it is not open', ENOTSOCK: 'it is no socket' },
      );
    },
  };
}
