/** `BPF_PROG_TEST_RUN` of programs at netfilter's hooks. @see net/bpf/test_run.c, bpf_prog_test_run_nf */
import { SK_BUFF } from '../programs/index.ts';
import { FieldView } from './field-view.ts';
import { FAMILIES, HOOKS, type HookState, makeNetfilterContext } from './netfilter-context.ts';
import { ETH_HLEN } from './runner.ts';
import { contextIn, type Outcome, type Request, refuse } from './test-run.ts';
import { nothing, runOn } from './test-run-context.ts';
import { MAX_PACKET } from './test-run-skb.ts';

/** `sizeof(struct nf_hook_state)`: the hook and the family are its first two bytes, pointers follow. */
const STATE_BYTES = 48;
const POINTERS = 8;
/** Network headers by the type that a frame names. */
const PROTOCOLS: Readonly<Record<number, { readonly family: number; readonly header: number }>> = {
  2048: { family: FAMILIES.ipv4, header: 20 },
  34525: { family: FAMILIES.ipv6, header: 40 },
};
const IPV4_HEADER = 20;

export function runNetfilter(request: Request): Outcome {
  const { program, attr, data, kernel, repeat } = request;
  if (attr.flags || attr.cpu || attr.batch_size) {
    throw refuse(program, 'EINVAL', 'it takes no flags, CPU or batch size');
  }
  if (data.length < IPV4_HEADER || data.length > MAX_PACKET) {
    const reason = `the packet has ${data.length} bytes, fewer than an IPv4 header or more than ${MAX_PACKET}`;
    throw refuse(program, 'EINVAL', reason);
  }
  const state = stateOf(request);
  checkFrame(request, state);
  const context = makeNetfilterContext(kernel, new FieldView(SK_BUFF, undefined), data, state);
  try {
    let retval = 0;
    for (let i = 0; i < repeat; i++) retval = runOn(request, context);
    return nothing(retval);
  } finally {
    context.close();
  }
}

/** The hook that the context names. */
function stateOf(request: Request): HookState {
  const given = contextIn(request, STATE_BYTES);
  if (!given) return { hook: HOOKS.localOut, family: FAMILIES.ipv4 };
  const [hook = 0, family = 0] = given;
  if (given.subarray(POINTERS).some((byte) => byte !== 0)) {
    throw refuse(request.program, 'EINVAL', 'the pointers of a hook state must be zero');
  }
  if (family !== FAMILIES.ipv4 && family !== FAMILIES.ipv6) {
    throw refuse(request.program, 'EINVAL', `the family ${family} is neither IPv4 (2) nor IPv6 (10)`);
  }
  return { hook, family };
}

/** What comes in is a frame of the family's. */
function checkFrame({ program, data }: Request, { hook, family }: HookState): void {
  if (hook === HOOKS.localOut) return;
  if (data.length < ETH_HLEN + IPV4_HEADER) {
    throw refuse(program, 'EINVAL', `the frame has ${data.length} bytes, fewer than its headers`);
  }
  const type = (data[12]! << 8) | data[13]!;
  const protocol = PROTOCOLS[type];
  if (!protocol) throw refuse(program, 'EPROTO', `the frame's type 0x${type.toString(16)} is no IP`);
  if (protocol.family !== family || data.length < ETH_HLEN + protocol.header) {
    throw refuse(program, 'EINVAL', 'the frame is of another family, or shorter than its headers');
  }
}
