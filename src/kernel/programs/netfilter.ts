import { NETFILTER_CONTEXT } from './contexts/netfilter.ts';
import type { ProgramFacts } from './fact.ts';

/** A netfilter hook; returns NF_DROP or NF_ACCEPT. */
export const NETFILTER: ProgramFacts = {
  context: NETFILTER_CONTEXT,
  attachTypes: ['netfilter'],
  attachTypeChecked: true,
  returns: [{ min: 0, max: 1 }],
  capabilities: ['net_admin'],
  testRun: 'packet',
  helpers: [],
};
