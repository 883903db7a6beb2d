import { type Fact, index } from './fact.ts';

/** What an XDP program returns. @see include/uapi/linux/bpf.h, enum xdp_action */
export const XDP_ACTIONS = {
  XDP_ABORTED: { id: 0, since: '4.8' },
  XDP_DROP: { id: 1, since: '4.8' },
  XDP_PASS: { id: 2, since: '4.8' },
  XDP_TX: { id: 3, since: '4.8' },
  XDP_REDIRECT: { id: 4, since: '4.14' },
} as const satisfies Record<string, Fact>;
export type XdpAction = keyof typeof XDP_ACTIONS;

const xdp = index(XDP_ACTIONS);
/** `undefined` for what Linux treats as XDP_ABORTED. */
export const xdpActionName: (id: number) => XdpAction | undefined = xdp.name;
export const xdpActionId: (name: XdpAction) => number = xdp.id;
export const xdpActionNames: readonly XdpAction[] = xdp.names;

/** What a tc classifier or action returns, as a signed number. @see include/uapi/linux/pkt_cls.h */
export const TC_ACTIONS = {
  TC_ACT_UNSPEC: { id: -1, since: '4.1' },
  TC_ACT_OK: { id: 0, since: '4.1' },
  TC_ACT_RECLASSIFY: { id: 1, since: '4.1' },
  TC_ACT_SHOT: { id: 2, since: '4.1' },
  TC_ACT_PIPE: { id: 3, since: '4.1' },
  TC_ACT_STOLEN: { id: 4, since: '4.1' },
  TC_ACT_QUEUED: { id: 5, since: '4.1' },
  TC_ACT_REPEAT: { id: 6, since: '4.1' },
  TC_ACT_REDIRECT: { id: 7, since: '4.4' },
  TC_ACT_TRAP: { id: 8, since: '4.13' },
} as const satisfies Record<string, Fact>;
export type TcAction = keyof typeof TC_ACTIONS;

const tc = index(TC_ACTIONS);
/** @param id signed, or the same 32 bits unsigned */
export const tcActionName = (id: number): TcAction | undefined => tc.name(id | 0);
export const tcActionId: (name: TcAction) => number = tc.id;
export const tcActionNames: readonly TcAction[] = tc.names;

/** What a program attached by tcx or netkit returns, as a signed number. @see enum tcx_action_base */
export const TCX_ACTIONS = {
  TCX_NEXT: { id: -1, since: '6.6' },
  TCX_PASS: { id: 0, since: '6.6' },
  TCX_DROP: { id: 2, since: '6.6' },
  TCX_REDIRECT: { id: 7, since: '6.6' },
} as const satisfies Record<string, Fact>;
export type TcxAction = keyof typeof TCX_ACTIONS;

const tcx = index(TCX_ACTIONS);
/** @param id signed, or the same 32 bits unsigned */
export const tcxActionName = (id: number): TcxAction | undefined => tcx.name(id | 0);

/** Generic return codes, of lightweight tunnels and the flow dissector. @see enum bpf_ret_code */
export const RET_CODES = {
  BPF_OK: { id: 0, since: '4.10' },
  BPF_DROP: { id: 2, since: '4.10' },
  BPF_REDIRECT: { id: 7, since: '4.10' },
  BPF_LWT_REROUTE: { id: 128, since: '5.2' },
  BPF_FLOW_DISSECTOR_CONTINUE: { id: 129, since: '6.1' },
} as const satisfies Record<string, Fact>;
export type RetCode = keyof typeof RET_CODES;
export const retCodeName: (id: number) => RetCode | undefined = index(RET_CODES).name;
