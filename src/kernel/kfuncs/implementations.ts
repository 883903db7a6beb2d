/** The kernel functions that this kernel has: what they do when called. Those that are not here are refused at load, by name. */
import { type FunctionState, stateOf } from '../helpers/function-state.ts';
import type { HelperImpl } from '../interpreter/environment.ts';
import { ABSENT, answering, noConnection } from './impl/absent.ts';
import * as arena from './impl/arena.ts';
import * as cast from './impl/cast.ts';
import * as cpumask from './impl/cpumask.ts';
import * as crypto from './impl/crypto.ts';
import * as dynptr from './impl/dynptr.ts';
import * as iterators from './impl/iterators.ts';
import * as later from './impl/later.ts';
import * as objects from './impl/objects.ts';
import * as stream from './impl/stream.ts';
import * as strings from './impl/strings.ts';
import * as sync from './impl/sync.ts';
import * as tasks from './impl/tasks.ts';
import * as xdp from './impl/xdp.ts';

export interface KfuncImplementation {
  readonly call: HelperImpl;
  /** Absent: it does what Linux's does. */
  readonly state?: FunctionState;
}

const { dynptrPlace: _place, ...dynptrFunctions } = dynptr;

const WHOLE: Readonly<Record<string, HelperImpl>> = {
  ...arena,
  ...cast,
  ...cpumask,
  ...crypto,
  ...dynptrFunctions,
  ...iterators,
  ...later,
  ...objects,
  ...stream,
  ...strings,
  ...sync,
  ...tasks,
  ...xdp,
};

/** Open-coded iterators over what there is none of, or only the current task's. */
const PARTLY: Readonly<Record<string, FunctionState>> = Object.fromEntries(
  ['task_vma', 'dmabuf', 'kmem_cache'].flatMap((of) =>
    ['new', 'next', 'destroy'].map((what) => [
      `bpf_iter_${of}_${what}`,
      of === 'task_vma'
        ? stateOf('tracing')
        : stateOf({
            meaningless: of === 'dmabuf' ? 'there are no DMA buffers' : 'its memory is not in slab caches',
          }),
    ]),
  ),
);

const CONNECTIONS = ['bpf_skb_ct_alloc', 'bpf_skb_ct_lookup', 'bpf_xdp_ct_alloc', 'bpf_xdp_ct_lookup'];

/** By name. */
export const KFUNC_IMPLEMENTATIONS: ReadonlyMap<string, KfuncImplementation> = new Map([
  ...Object.entries(WHOLE).map(([name, call]): [string, KfuncImplementation] => {
    const state = PARTLY[name];
    return [name, state ? { call, state } : { call }];
  }),
  ...Object.entries(ABSENT).map(([name, absent]): [string, KfuncImplementation] => [
    name,
    { call: answering(absent), state: stateOf(absent.waits) },
  ]),
  ...CONNECTIONS.map((name): [string, KfuncImplementation] => [
    name,
    { call: noConnection, state: stateOf('sockets') },
  ]),
]);
