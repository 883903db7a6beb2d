/** What a kernel process needs of the system that Node does not offer: that it is alone, and who connects. */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

interface Native {
  /** flock(2), exclusive and without waiting. @returns whether the lock is ours */
  readonly lock: (fd: number) => boolean;
  /** The user at the other end of a Unix socket, or `undefined` where it can't be told. */
  readonly peer: (fd: number) => number | undefined;
}

const LOCK_EX_NB = 2 | 4;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** `struct ucred`: pid, uid, gid. */
const UCRED = 12;

let native: Native | undefined | null = null;

/** `undefined` where the C library can't be called: then a lock file and the folder's permissions have to do. */
export function openNative(): Native | undefined {
  if (native === null) native = load();
  return native;
}

function load(): Native | undefined {
  if (process.platform === 'win32') return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const library = koffi.load(null);
    const flock = library.func('int flock(int, int)') as (fd: number, how: number) => number;
    const getsockopt = library.func('int getsockopt(int, int, int, _Out_ uint8_t *, _Inout_ uint32_t *)') as (
      fd: number,
      level: number,
      name: number,
      value: Buffer,
      length: number[],
    ) => number;
    return {
      lock: (fd) => flock(fd, LOCK_EX_NB) === 0,
      peer: (fd) => {
        if (process.platform !== 'linux') return undefined;
        const value = Buffer.alloc(UCRED);
        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, [UCRED]) === 0
          ? value.readUInt32LE(4)
          : undefined;
      },
    };
  } catch {
    return undefined;
  }
}

/** Node keeps the descriptor to itself; where it does not show it, who connects can't be told. */
export function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}
