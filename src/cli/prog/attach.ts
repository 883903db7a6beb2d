import { InputError } from '../../base/error.ts';
import type { AttachType, Fd } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { exitWith, INVALID, refusedAs } from '../grammar/refusal.ts';
import { takeMap, takeProgram } from '../grammar/selectors.ts';
import { nearest } from '../options.ts';
import type { World } from '../world/world.ts';

/** The types that `prog attach` takes: by libbpf's name, and by bpftool's old one, which may be cut short. */
const TYPES: readonly { readonly type: AttachType; readonly old?: string }[] = [
  { type: 'sk_skb_stream_parser', old: 'stream_parser' },
  { type: 'sk_skb_stream_verdict', old: 'stream_verdict' },
  { type: 'sk_msg_verdict', old: 'msg_verdict' },
  { type: 'flow_dissector' },
  { type: 'sk_skb_verdict', old: 'skb_verdict' },
];

interface Attachment {
  readonly program: Fd;
  readonly type: AttachType;
  /** The map that it is attached to; 0 for the network namespace. */
  readonly target: number;
}

/** The words up to the type are the command's own to judge, so their failures have its exit code. */
async function takeAttachment(call: Call, world: World): Promise<Attachment> {
  const { words } = call;
  const program = takeProgram(call, world);
  let type: AttachType | undefined;
  await exitWith(INVALID, async () => {
    type = takeType(call);
    if (type !== 'flow_dissector') words.need(2);
  });
  return { program, type: type!, target: type === 'flow_dissector' ? 0 : takeMap(call, world) };
}

function takeType({ words }: Call): AttachType {
  const word = words.peek() ?? '';
  const found = TYPES.find(({ type, old }) => type === word || old?.startsWith(word));
  if (found !== undefined) {
    words.skip();
    return found.type;
  }
  const names = TYPES.map(({ type }) => type);
  const near = nearest(word, names);
  throw new InputError('cli-prog', 'invalid attach/detach type', {
    detail: near === undefined ? `there are: ${names.join(', ')}` : `did you mean '${near}'?`,
  });
}

/** `prog attach PROG ATTACH_TYPE [MAP]`. */
export async function attachProgram(call: Call): Promise<void> {
  await exitWith(INVALID, async () => call.words.need(3));
  const world = await call.world();
  const { program, type, target } = await takeAttachment(call, world);
  await exitWith(INVALID, async () => {
    try {
      world.kernel.bpf.prog_attach({ attach_bpf_fd: program, target_fd: target, attach_type: type });
    } catch (error) {
      throw refusedAs('failed prog attach to map', error);
    }
  });
  call.out.done();
}

/** `prog detach PROG ATTACH_TYPE [MAP]`. */
export async function detachProgram(call: Call): Promise<void> {
  await exitWith(INVALID, async () => call.words.need(3));
  const world = await call.world();
  const { program, type, target } = await takeAttachment(call, world);
  await exitWith(INVALID, async () => {
    try {
      world.kernel.bpf.prog_detach({ attach_bpf_fd: program, target_fd: target, attach_type: type });
    } catch (error) {
      throw refusedAs('failed prog detach from map', error);
    }
  });
  call.out.done();
}
