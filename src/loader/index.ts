/**
 * Object files: parsed into a spec without touching a kernel, and loaded from it into any {@link Kernel}.
 *
 * ```ts
 * const spec = parseObject(bytes, 'syn_counter.o');
 * spec.variables.get('threshold')?.set(100);
 * using object = loadObject(kernel, spec);
 * kernel.bpf.prog_test_run({ prog_fd: object.program('count_syns').fd, data_in: packet });
 * ```
 */

export { formatIpv4, formatIpv6, parsePrefix } from './address.ts';
export type { AttachOptions } from './attach/auto.ts';
export { Binary, findBinary } from './attach/binary.ts';
export type { CgroupOptions } from './attach/cgroup.ts';
export { IteratorLink, type IteratorOptions } from './attach/iterator.ts';
export {
  Attachment,
  type AttachmentKind,
  BpfLink,
  type Link,
  LinkGroup,
  openLink,
} from './attach/link.ts';
export type {
  ClassifierOptions,
  DirectionOptions,
  NetfilterOptions,
  NetkitOptions,
  RouteOptions,
  SockmapOptions,
  XdpNetlinkOptions,
  XdpOptions,
} from './attach/network.ts';
export type { PerfLinkOptions, SamplingOptions } from './attach/perf.ts';
export type { Anchor, DeviceRef, Neighbour, PathRef } from './attach/place.ts';
export type {
  KernelPlace,
  KernelPlaces,
  KprobeOptions,
  MultiOptions,
  UprobeMultiOptions,
  UprobeOptions,
  UserPlace,
} from './attach/probe.ts';
export type { CookieOptions, ReplaceTarget } from './attach/tracing.ts';
export { readUsdtNotes, type UsdtNote, type UsdtOptions } from './attach/usdt.ts';
export type { MapOptions } from './create-maps.ts';
export {
  FEATURES,
  type Feature,
  featureNames,
  hasFeature,
  hasHelper,
  hasMapType,
  hasProgType,
} from './features.ts';
export { vmlinuxBtf } from './kernel-types.ts';
export { type LinkedProgram, linkProgram } from './link.ts';
export { type LoadOptions, loadObject, type ProgramOptions } from './load.ts';
export { LoadedMap } from './map.ts';
export { Links, LoadedObject } from './object.ts';
export { parseObject } from './parse.ts';
export { LoadedProgram, type TestOptions } from './program.ts';
export {
  type BatchOptions,
  BufferRecord,
  type KeptRecord,
  type MapRef,
  openPerfBuffer,
  openPerfRecorder,
  openRingBuffer,
  openUserRing,
  type PerfBufferOptions,
  type PerfRecorder,
  type ReadOptions,
  RecordReader,
  type Reservation,
  type ReserveOptions,
  type UserRingWriter,
} from './readers/index.ts';
export { parseSectionName, SECTIONS, type SectionDef, type SectionName } from './sections.ts';
export {
  LoadedSkeleton,
  mapShape,
  OpenSkeleton,
  propertyName,
  Skeleton,
  type SkeletonSource,
  type SkeletonTypes,
} from './skeleton.ts';
export type {
  CoreRecord,
  ExternSpec,
  FunctionIndex,
  FunctionSpec,
  KconfigShape,
  LineRecord,
  MapOrigin,
  MapSpec,
  ObjectSpec,
  ProgramSpec,
  Ref,
  SlotSpec,
  StructOpsSpec,
} from './spec.ts';
export { enableStats } from './stats.ts';
export { formatSymbol, KernelSymbols, type ResolvedSymbol } from './symbols/kernel-symbols.ts';
export { ProcessSymbols } from './symbols/process-symbols.ts';
export { readStack } from './symbols/stacks.ts';
export { Variable, type VariableValue } from './variable.ts';
export {
  type MapView,
  mapView,
  type QueueView,
  queueView,
  type SetOptions,
  type ViewOptions,
} from './view.ts';
export { isKept, type ViewValue } from './view-codec.ts';
export { objectQueue, objectView } from './view-object.ts';
