/** Maps of sockets. No descriptor of this kernel is a socket's, so they stay empty: they say so as Linux says it. */
import { MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { checkArrayLike, nextIndex, u32 } from './array.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  checkValueSize,
  first,
  refuse,
} from './checks.ts';
import { BpfMap, errno, type MapHost, type MapShape, type Status, type SysValue } from './map.ts';
import type { RedirectMap } from './redirect-entry.ts';

/** Bytes of a socket's cookie, which is what is read of it. */
const COOKIE = 8;
/** `MAX_BPF_STACK`: a program keeps a key on its stack. */
const LONGEST_KEY = 512;
const S32_MAX = 0x7fff_ffff;

export const checkXskmap: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries'),
    checkKeySize(shape, 4),
    checkValueSize(shape, 4),
    checkFlags(shape),
  );

export const checkSockmap: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries'),
    checkKeySize(shape, 4),
    checkValueSize(shape, 4, COOKIE),
    checkFlags(shape),
  );

export const checkSockhash: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries', 'keySize'),
    checkValueSize(shape, 4, COOKIE),
    checkFlags(shape),
    shape.keySize > LONGEST_KEY ? refuse('E2BIG', `a key has at most ${LONGEST_KEY} bytes`) : undefined,
  );

export const checkReuseport: Check = (shape, context) =>
  first(checkValueSize(shape, 4, COOKIE), checkArrayLike(shape, context));

abstract class SocketMap extends BpfMap {
  protected readonly host: MapHost;

  constructor(host: MapHost, shape: MapShape) {
    super(host, shape);
    this.host = host;
  }

  /** Why the descriptor in a value is not taken. */
  protected refusal(value: Uint8Array): Status {
    if (value.length === COOKIE && (u32(value.subarray(4)) > 0 || u32(value) > S32_MAX))
      return errno('EINVAL');
    return errno(this.host.objectAt(u32(value)) ? 'ENOTSOCK' : 'EBADF');
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EOPNOTSUPP');
  }

  override sysLookup(_key: Uint8Array, _flags: number): SysValue {
    return errno(this.shape.valueSize === COOKIE ? 'ENOENT' : 'ENOSPC');
  }
}

/** `AF_XDP` sockets by index. */
export class Xskmap extends SocketMap implements RedirectMap {
  readonly redirectFlags = 0n;

  hasTarget(_key: number): boolean {
    return false;
  }

  override sysLookup(_key: Uint8Array, _flags: number): SysValue {
    return errno('EOPNOTSUPP');
  }
  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    return u32(key) >= this.shape.maxEntries ? errno('E2BIG') : this.refusal(value);
  }
  delete(key: Addr): Status {
    return this.machine.memory.readU32(key) >= this.shape.maxEntries ? errno('EINVAL') : 0;
  }
  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }
}

/** Sockets by index, for redirection between them. */
export class Sockmap extends SocketMap {
  override sysUpdate(_key: Uint8Array, value: Uint8Array, _flags: number): Status {
    return this.refusal(value);
  }
  delete(_key: Addr): Status {
    return errno('EINVAL');
  }
  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }
}

/** The same by any key. */
export class Sockhash extends SocketMap {
  override sysUpdate(_key: Uint8Array, value: Uint8Array, _flags: number): Status {
    return this.refusal(value);
  }
  delete(_key: Addr): Status {
    return errno('ENOENT');
  }
  nextKey(): SysValue {
    return errno('ENOENT');
  }
}

/** Sockets of a group that share a port, for programs that choose among them. */
export class ReuseportSockarray extends SocketMap {
  override sysUpdate(key: Uint8Array, value: Uint8Array, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    return u32(key) >= this.shape.maxEntries ? errno('E2BIG') : this.refusal(value);
  }
  delete(key: Addr): Status {
    return errno(this.machine.memory.readU32(key) >= this.shape.maxEntries ? 'E2BIG' : 'ENOENT');
  }
  nextKey(key: Uint8Array | undefined): SysValue {
    return nextIndex(key, this.shape.maxEntries);
  }
}
