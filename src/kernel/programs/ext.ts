import { BTF_ARGS } from './contexts/tracing.ts';
import type { ProgramFacts } from './fact.ts';

/** Replaces a global function of another program: context, helpers and returns are that program's. */
export const EXT: ProgramFacts = {
  context: BTF_ARGS,
  attachTypes: [],
  attachTypeChecked: false,
  needsBtfTarget: true,
  returns: [],
  capabilities: [],
  helpers: [],
};
