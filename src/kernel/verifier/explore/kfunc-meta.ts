/** What the check of one call of a kernel function learns from its arguments. */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';
import { CallMeta } from './call-meta.ts';
import type { SpecialField } from './record.ts';

/** The list head or tree root that was passed, and the BTF that its elements are described in. */
export interface GraphRoot {
  readonly btf: Btf;
  readonly field: SpecialField;
}

export class KfuncMeta extends CallMeta {
  /** Value of the argument that must be a constant; `undefined` when there was none. */
  constant: bigint | undefined = undefined;
  /** Bytes of the memory that is returned, where an argument tells; read-only or not. */
  r0Size = 0;
  r0ReadOnly = false;
  /** The allocated object or node that was passed. */
  argBtf: Btf | null = null;
  argBtfId: BtfTypeId = 0 as BtfTypeId;
  /** The refcounted object that was passed is owned. */
  argOwning = false;
  /** The context as the kernel sees it. */
  contextId: BtfTypeId = 0 as BtfTypeId;
  root: GraphRoot | null = null;
  /** The initialised dynptr that was passed: its kind, id and reference. */
  dynptrKind = 0;
  initialisedDynptr = 0;
  dynptrRef = 0;
  /** Frame and first slot of the iterator that was passed. */
  iterFrame = 0;
  iterSlot = -1;
}
