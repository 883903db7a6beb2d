import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import type { Fd } from '../../sys/kernel.ts';
import type { KernelObject } from './object.ts';

/** What may be done through a file descriptor. */
export interface FdMode {
  readonly read: boolean;
  readonly write: boolean;
}

export const READ_WRITE: FdMode = { read: true, write: true };

/** The mode that `BPF_F_RDONLY` and `BPF_F_WRONLY` ask for; `undefined` for both at once. */
export function modeOf(flags: number): FdMode | undefined {
  const readOnly = (flags & MAP_CREATE_FLAGS.BPF_F_RDONLY) !== 0;
  const writeOnly = (flags & MAP_CREATE_FLAGS.BPF_F_WRONLY) !== 0;
  if (readOnly && writeOnly) return undefined;
  return { read: !writeOnly, write: !readOnly };
}

/** An open file. */
export interface OpenFile {
  readonly object: KernelObject;
  readonly mode: FdMode;
}

/** The standard streams' numbers are nobody's. */
const FIRST = 3;

/** File descriptors: the lowest free number first, as POSIX has it. */
export class FdTable {
  readonly #files: (OpenFile | undefined)[] = [];
  /** No number below it is free. */
  #lowest = 0;

  open(object: KernelObject, mode: FdMode = READ_WRITE): Fd {
    let index = this.#lowest;
    while (this.#files[index] !== undefined) index += 1;
    this.#files[index] = { object: object.holdAsUser(), mode };
    this.#lowest = index + 1;
    return (index + FIRST) as Fd;
  }

  get(fd: number): OpenFile | undefined {
    return this.#files[fd - FIRST];
  }

  /** @returns whether it was open */
  close(fd: number): boolean {
    const index = fd - FIRST;
    const file = this.#files[index];
    if (!file) return false;
    this.#files[index] = undefined;
    this.#lowest = Math.min(this.#lowest, index);
    file.object.releaseAsUser();
    return true;
  }

  closeAll(): void {
    for (const index of this.#files.keys()) this.close(index + FIRST);
  }
}
