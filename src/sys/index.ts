/** bpf(2): its vocabulary and the interface that both kernels implement. */
export {
  RET_CODES,
  type RetCode,
  retCodeName,
  TC_ACTIONS,
  TCX_ACTIONS,
  type TcAction,
  type TcxAction,
  tcActionId,
  tcActionName,
  tcActionNames,
  tcxActionName,
  XDP_ACTIONS,
  type XdpAction,
  xdpActionId,
  xdpActionName,
  xdpActionNames,
} from './actions.ts';
export {
  ATTACH_TYPES,
  type AttachType,
  attachTypeFromBpftool,
  attachTypeId,
  attachTypeName,
  attachTypeNames,
  attachTypeToBpftool,
  isAttachType,
} from './attach-types.ts';
export { COMMANDS, type Command, commandConstant, commandName, commandNames, isCommand } from './commands.ts';
export { ERRNOS, type Errno, errnoId, errnoName, errnoText, isErrno } from './errno.ts';
export type { Fact } from './fact.ts';
export {
  type DirectoryEntry,
  type FileCalls,
  type HookCalls,
  SOCKET_PROGRAM_OPTIONS,
  type SocketProgramOption,
} from './files.ts';
export {
  ATTACH_FLAG_FACTS,
  ATTACH_FLAGS,
  flagNames,
  LINK_FLAG_FACTS,
  LINK_FLAGS,
  LOG_LEVELS,
  MAP_CREATE_FLAG_FACTS,
  MAP_CREATE_FLAGS,
  MAP_UPDATE_FLAG_FACTS,
  MAP_UPDATE_FLAGS,
  PROG_LOAD_FLAG_FACTS,
  PROG_LOAD_FLAGS,
  QUERY_FLAG_FACTS,
  QUERY_FLAGS,
  STATS_TYPES,
  STREAMS,
  TASK_FD_TYPES,
  TEST_RUN_FLAG_FACTS,
  TEST_RUN_FLAGS,
} from './flags.ts';
export { HELPERS, type Helper, helperId, helperName, helperNames, isHelper } from './helper-ids.ts';
export type * from './kernel.ts';
export { LIMITS } from './limits.ts';
export { type LinkDetails, linkDetails, PERF_LINK_KINDS, type PerfLinkKind } from './link-info.ts';
export {
  isLinkType,
  LINK_TYPES,
  type LinkType,
  linkTypeId,
  linkTypeName,
  linkTypeNames,
} from './link-types.ts';
export { isMapType, MAP_TYPES, type MapType, mapTypeId, mapTypeName, mapTypeNames } from './map-types.ts';
export {
  ADDRESS_FAMILIES,
  DEVICE_FLAGS,
  type DeviceAddAttr,
  type DeviceSetAttr,
  ETH_PROTOCOLS,
  type Filter,
  type FilterAddAttr,
  type FilterAttr,
  type FilterPlace,
  LWT_POINTS,
  type LwtPoint,
  type NetCommands,
  type NetDevice,
  type Prefix,
  type Qdisc,
  type Route,
  type RouteAddAttr,
  type RouteAttr,
  TC_PARENTS,
  type TcParent,
  XDP_MODES,
  type XdpMode,
  type XdpSetAttr,
  xdpModeNames,
} from './net.ts';
export {
  PERF_ATTR_FLAGS,
  PERF_PAGE,
  PERF_RECORD,
  PERF_SAMPLE,
  PERF_SOFTWARE,
  PERF_TYPES,
  type PerfAttrFlag,
  type PerfEventAttr,
} from './perf.ts';
export {
  isProgType,
  PROG_TYPES,
  type ProgType,
  progTypeId,
  progTypeName,
  progTypeNames,
} from './prog-types.ts';
