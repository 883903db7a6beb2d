import type { Btf } from '../../btf/index.ts';
import { KernelObject } from './object.ts';

/** Loaded type information. */
export class BtfObject extends KernelObject<'btf'> {
  readonly bytes: Uint8Array;
  readonly btf: Btf;

  /** Of the kernel itself, not loaded by anyone. */
  readonly isKernel: boolean;

  constructor(bytes: Uint8Array, btf: Btf, isKernel = false) {
    super('btf');
    this.bytes = bytes;
    this.btf = btf;
    this.isKernel = isKernel;
  }

  override releaseUser(): void {}
  override destroy(): void {}
}
