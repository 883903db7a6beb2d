export {
  ALL_CAPABILITIES,
  type Capabilities,
  type FdFacts,
  type MapFacts,
  NO_CAPABILITIES,
  type VerifyEnvironment,
} from './environment.ts';
export { CATEGORY_TITLES, type CausalStep, type Diagnosis, type Place } from './explain/diagnosis.ts';
export { isGplCompatible } from './license.ts';
export type {
  InfoRecords,
  InsnProof,
  PointerKind,
  ProgramInput,
  SourceLine,
  Subprogram,
  VerifiedProgram,
} from './program.ts';
export { REJECT_CODES, type RejectCategory, type RejectCode, type Rejection } from './rejection.ts';
export { type InsnCost, type Inspection, inspect, isRejection, verify } from './verify.ts';
