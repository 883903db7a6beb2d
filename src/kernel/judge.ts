/** The embedded kernel's verifier by itself, for what judges programs without loading them. */
export { createKernel, type EmbeddedKernel } from './kernel.ts';
export { effectiveAttachType } from './programs/index.ts';
export {
  ALL_CAPABILITIES,
  type Capabilities,
  type CausalStep,
  type Diagnosis,
  type Inspection,
  inspect,
  isRejection,
  type MapFacts,
  NO_CAPABILITIES,
  type Place,
  type ProgramInput,
} from './verifier/index.ts';
