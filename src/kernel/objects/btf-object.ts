import type { Btf } from '../../btf/index.ts';
import { KernelObject } from './object.ts';

/** Loaded type information. */
export class BtfObject extends KernelObject<'btf'> {
  readonly bytes: Uint8Array;
  readonly btf: Btf;

  constructor(bytes: Uint8Array, btf: Btf) {
    super('btf');
    this.bytes = bytes;
    this.btf = btf;
  }

  override releaseUser(): void {}
  override destroy(): void {}
}
