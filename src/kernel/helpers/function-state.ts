/** What has to be there before a function can do more than say that it is absent. */
export type Wait = 'sockets' | 'routes' | 'tracing' | 'cgroups' | 'lsm' | 'struct_ops' | 'devices';

/** How far a function goes on this kernel. */
export type FunctionState =
  | { readonly state: 'implemented' }
  /** It answers as Linux's does where the thing is absent, until that is there. */
  | { readonly state: 'waits'; readonly for: Wait }
  /** There is nothing in a process for it to do. */
  | { readonly state: 'meaningless'; readonly why: string }
  /** Programs that call it are refused, by its name. */
  | { readonly state: 'refused' };

/** What an absent thing waits for; a sentence where it means nothing in a process. */
export type Waits = Wait | { readonly meaningless: string };

export function stateOf(waits: Waits): FunctionState {
  return typeof waits === 'string'
    ? { state: 'waits', for: waits }
    : { state: 'meaningless', why: waits.meaningless };
}
