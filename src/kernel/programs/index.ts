/** Facts about program types: contexts, helpers, returns. */
export type {
  AccessRule,
  ContextField,
  FieldCapability,
  FieldValue,
  OpenRange,
} from './context.ts';
export { ContextStruct } from './context.ts';
export { CGROUP_DEV_LAYOUT, SOCKOPT_LAYOUT, SYSCTL_LAYOUT } from './contexts/cgroup.ts';
export { FLOW_KEYS_LAYOUT, SOCKET_POINTEES, TCP_SOCK_LAYOUT } from './contexts/pointees.ts';
export { SK_BUFF, SK_BUFF_LAYOUT } from './contexts/sk-buff.ts';
export { SK_LOOKUP_LAYOUT } from './contexts/sk-lookup.ts';
export { SK_MSG_LAYOUT } from './contexts/sk-msg.ts';
export { SK_REUSEPORT_LAYOUT } from './contexts/sk-reuseport.ts';
export { SOCK_LAYOUT } from './contexts/sock.ts';
export { SOCK_ADDR_LAYOUT } from './contexts/sock-addr.ts';
export { SOCK_OPS_LAYOUT } from './contexts/sock-ops.ts';
export { XDP_MD, XDP_MD_LAYOUT } from './contexts/xdp-md.ts';
export type { Capability, ProgramFacts, ReturnRange } from './fact.ts';
export { effectiveAttachType, type HelperQuery, helpersOf, PROGRAMS, returnRange } from './registry.ts';
