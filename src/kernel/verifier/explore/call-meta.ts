/** What the check of one call learns from an argument and needs for a later one, or for what the call returns. */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';
import type { MapFacts } from '../environment.ts';
import type { SpecialField } from './record.ts';

export class CallMeta {
  /** The helper's name, without `bpf_`; empty for kernel functions and subprograms. */
  helper = '';
  /** The helper's number; 0 for kernel functions and subprograms. */
  helperId = 0;
  /** The map argument, or the map that a timer or kptr argument is in. */
  map: MapFacts | null = null;
  mapUid = 0;
  /** The memory argument is written and need not be initialised: its bytes become known when all arguments are checked. */
  rawMode = false;
  /** Raw mode: register and bytes that are written. */
  regno = 0;
  accessSize = 0;
  /** Packet pointers may be passed as memory. */
  packetAccess = false;
  /** Highest size that the size argument can have. */
  maxSize = 0;
  /** Constant size of what is returned. */
  memSize = 0;
  /** The reference of the argument that has one. */
  refObjId = 0;
  dynptrId = 0;
  /** The register whose reference is given up; 0 for none. */
  releaseRegno = 0;
  /** Subprogram that a function argument names. */
  subprogno = 0;
  /** Constant key of an array's element; -1 where it is not known. */
  constKey = -1;
  /** Type of the per-CPU variable that was passed. */
  retBtf: Btf | null = null;
  retBtfId: BtfTypeId = 0 as BtfTypeId;
  /** Pointer field that `kptr_xchg` exchanges, and the BTF of the value that it is in. */
  kptrField: SpecialField | null = null;
  kptrBtf: Btf | null = null;
}
