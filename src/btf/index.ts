/**
 * BTF: the types of BPF objects and of kernels. Reading, writing, looking up, printing, and relocating (CO-RE).
 * Pure: bytes in, data out; runs in a browser.
 *
 * ```ts
 * const vmlinux = parseBtf(bytes, '/sys/kernel/btf/vmlinux');
 * const task = vmlinux.find('task_struct', 'struct')!;
 * fieldAt(vmlinux, task, 'se.avg.load_avg');            // { type, bitOffset, bitSize }
 * dumpC(vmlinux, { ids: [task] });                      // a header that compiles
 * decodeValue(btf, btf.find('event', 'struct')!, value); // { pid: 12, comm: 'curl' }
 * new CoreRelocator(btf, vmlinux).relocate(record);      // { ok: true, value: 1264n, poison: false, … }
 * ```
 */
export { Btf, parseBtf } from './btf.ts';
export {
  type CoreAccess,
  type CoreAnswer,
  type CoreFailure,
  CoreRelocator,
  type CoreResult,
  relocateValue,
} from './core.ts';
export {
  CORE_RELO_SUBJECT,
  type CoreSpec,
  type CoreStep,
  formatCoreSpec,
  parseCoreSpec,
} from './core-spec.ts';
export { declareC, prototypeC } from './declare-c.ts';
export { type DumpCOptions, dumpC, type Kfunc } from './dump-c.ts';
export {
  dumpRaw,
  type RawMember,
  type RawParam,
  type RawType,
  type RawValue,
  type RawVar,
  rawText,
  rawType,
} from './dump-raw.ts';
export { BtfBuilder, type BtfBuilderOptions, encodeBtf } from './encode.ts';
export {
  type BtfExt,
  type BtfExtSection,
  CORE_RELO_KINDS,
  type CoreRelo,
  type CoreReloKind,
  encodeBtfExt,
  type FuncInfo,
  type LineInfo,
  parseBtfExt,
} from './ext.ts';
export {
  type FormatOptions,
  formatValue,
  formatValueLine,
  type JsonTree,
  valueTree,
  writeJson,
} from './format.ts';
export {
  BTF_KIND_BY_ID,
  BTF_KINDS,
  BTF_LINKAGES,
  type BtfKind,
  type BtfKindFact,
  type BtfLinkage,
  INT_BOOL,
  INT_CHAR,
  INT_SIGNED,
} from './kinds.ts';
export { type BtfLoadCheck, checkBtfLoad } from './load/check.ts';
export type { BtfRefusal } from './load/refusal.ts';
export { BtfMinimizer, type RelocatedObject } from './minimize.ts';
export { essentialName } from './name-index.ts';
export { withReferences } from './references.ts';
export {
  alignOf,
  type Field,
  type FoundMember,
  fieldAt,
  findMember,
  resolve,
  resolveType,
  sizeOf,
  skipQualifiers,
  trySizeOf,
} from './size.ts';
export { BtfStringBuilder, BtfStrings } from './strings.ts';
export {
  type BtfArray,
  type BtfComposite,
  type BtfDatasec,
  type BtfDeclaredType,
  type BtfDeclTag,
  type BtfEnum,
  type BtfEnum64,
  type BtfFloat,
  type BtfFunc,
  type BtfFuncProto,
  type BtfFwd,
  type BtfInt,
  type BtfMember,
  type BtfParam,
  type BtfPtr,
  type BtfQualifier,
  type BtfType,
  type BtfTypedef,
  type BtfTypeId,
  type BtfTypeOf,
  type BtfTypeTag,
  type BtfVar,
  type BtfVarInfo,
  type BtfVoid,
  VOID,
} from './type.ts';
export { type BtfRejection, validateBtf } from './validate.ts';
export { type BtfValue, type BtfValueInput, decodeValue, encodeValue } from './value.ts';
