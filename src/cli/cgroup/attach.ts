import { InputError } from '../../base/error.ts';
import {
  ATTACH_FLAGS,
  type AttachType,
  attachTypeNames,
  attachTypeToBpftool,
  type Fd,
  isAttachType,
} from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { refusedAs } from '../grammar/refusal.ts';
import { takeProgram } from '../grammar/selectors.ts';
import { isPrefix } from '../grammar/words.ts';
import { nearest } from '../options.ts';
import type { World } from '../world/world.ts';
import { openCgroup, openOrMakeCgroup } from './open.ts';

interface Attachment {
  readonly cgroup: Fd;
  readonly type: AttachType;
  readonly program: Fd;
}

async function takeAttachment(call: Call, world: World, doing: string): Promise<Attachment> {
  const { words } = call;
  if (words.left < 4) throw new InputError('cli-cgroup', `too few parameters for cgroup ${doing}`);
  const open = doing === 'attach' ? openOrMakeCgroup : openCgroup;
  const cgroup = open(call, world, words.take());
  const word = words.take();
  const type = attachTypeOf(word);
  if (type === undefined) {
    const near = nearest(word, [...attachTypeNames, ...attachTypeNames.map(attachTypeToBpftool)]);
    throw new InputError('cli-cgroup', 'invalid attach type', {
      ...(near !== undefined && { detail: `did you mean '${near}'?` }),
    });
  }
  return { cgroup, type, program: takeProgram(call, world) };
}

/** libbpf's name, or bpftool's old one, which may be cut short. */
function attachTypeOf(word: string): AttachType | undefined {
  if (isAttachType(word)) return word;
  return attachTypeNames.find((type) => isPrefix(word, attachTypeToBpftool(type)));
}

/** `cgroup attach CGROUP ATTACH_TYPE PROG [ATTACH_FLAGS]`. */
export async function attachToCgroup(call: Call): Promise<void> {
  const { words, out } = call;
  const world = await call.world();
  const { cgroup, type, program } = await takeAttachment(call, world, 'attach');
  let flags = 0;
  while (words.left > 0) {
    if (words.accept('multi')) flags |= ATTACH_FLAGS.BPF_F_ALLOW_MULTI;
    else if (words.accept('override')) flags |= ATTACH_FLAGS.BPF_F_ALLOW_OVERRIDE;
    else throw new InputError('cli-cgroup', `unknown option: ${words.peek()}`);
  }
  try {
    world.kernel.bpf.prog_attach({
      target_fd: cgroup,
      attach_bpf_fd: program,
      attach_type: type,
      attach_flags: flags,
    });
  } catch (error) {
    throw refusedAs('failed to attach program', error);
  }
  out.done();
}

/** `cgroup detach CGROUP ATTACH_TYPE PROG`. */
export async function detachFromCgroup(call: Call): Promise<void> {
  const world = await call.world();
  const { cgroup, type, program } = await takeAttachment(call, world, 'detach');
  try {
    world.kernel.bpf.prog_detach({ target_fd: cgroup, attach_bpf_fd: program, attach_type: type });
  } catch (error) {
    throw refusedAs('failed to detach program', error);
  }
  call.out.done();
}
