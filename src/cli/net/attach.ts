import { InputError } from '../../base/error.ts';
import { ATTACH_FLAGS, type AttachType, type Kernel, type XdpMode } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { attemptOrErrno, exitWith, INVALID } from '../grammar/refusal.ts';
import { takeProgram } from '../grammar/selectors.ts';
import { isPrefix } from '../grammar/words.ts';
import { nearest } from '../options.ts';
import { takeDevice } from './device.ts';

type Hook =
  | { readonly kind: 'xdp'; readonly mode?: XdpMode }
  | { readonly kind: 'tcx'; readonly type: AttachType };

/** In the order in which words that are cut short are tried. */
const TYPES: Readonly<Record<string, Hook>> = {
  xdp: { kind: 'xdp' },
  xdpgeneric: { kind: 'xdp', mode: 'generic' },
  xdpdrv: { kind: 'xdp', mode: 'native' },
  xdpoffload: { kind: 'xdp', mode: 'offload' },
  tcx_ingress: { kind: 'tcx', type: 'tcx_ingress' },
  tcx_egress: { kind: 'tcx', type: 'tcx_egress' },
};

function takeType({ words }: Call): { readonly name: string; readonly hook: Hook } {
  const word = words.take();
  const name = Object.keys(TYPES).find((type) => isPrefix(word, type));
  if (name === undefined) {
    const near = nearest(word, Object.keys(TYPES));
    throw new InputError('cli-net', `invalid net attach/detach type: ${word}`, {
      ...(near !== undefined && { detail: `did you mean '${near}'?` }),
    });
  }
  return { name, hook: TYPES[name]! };
}

/** `net attach ATTACH_TYPE PROG dev NAME [overwrite | prepend]`. */
export async function attachToDevice(call: Call): Promise<void> {
  const { words } = call;
  // What is wrong with the command line has the exit code of EINVAL.
  const { name, run } = await exitWith(INVALID, async () => {
    words.need(5);
    const { name, hook } = takeType(call);
    const world = await call.world();
    const program = takeProgram(call, world);
    const ifindex = takeDevice(call, world);
    let option: 'overwrite' | 'prepend' | undefined;
    const word = words.peek();
    if (word !== undefined) {
      option = words.accept('overwrite') ? 'overwrite' : words.accept('prepend') ? 'prepend' : undefined;
      if (option === undefined) {
        throw new InputError('cli-net', `expected 'overwrite' or 'prepend', got: '${word}'?`);
      }
    }
    if (option === 'overwrite' && hook.kind !== 'xdp') {
      throw new InputError('cli-net', "'overwrite' is only supported for xdp types");
    }
    if (option === 'prepend' && hook.kind !== 'tcx') {
      throw new InputError('cli-net', "'prepend' is only supported for tcx_ingress/tcx_egress");
    }
    const { kernel } = world;
    const run = () => {
      if (hook.kind === 'xdp') {
        kernel.net.xdp_set({
          ifindex,
          prog_fd: program,
          ...(hook.mode && { mode: hook.mode }),
          ...(option !== 'overwrite' && { expected: 'none' }),
        });
      } else {
        kernel.bpf.prog_attach({
          target_ifindex: ifindex,
          attach_bpf_fd: program,
          attach_type: hook.type,
          attach_flags: option === 'prepend' ? ATTACH_FLAGS.BPF_F_BEFORE : 0,
        });
      }
    };
    return { name, run };
  });
  attemptOrErrno(`interface ${name} attach failed`, run);
  call.out.done();
}

/** `net detach ATTACH_TYPE dev NAME`. */
export async function detachFromDevice(call: Call): Promise<void> {
  const { name, run } = await exitWith(INVALID, async () => {
    call.words.need(3);
    const { name, hook } = takeType(call);
    const world = await call.world();
    const ifindex = takeDevice(call, world);
    return { name, run: () => detach(world.kernel, hook, ifindex) };
  });
  attemptOrErrno(`interface ${name} detach failed`, run);
  call.out.done();
}

function detach(kernel: Kernel, hook: Hook, ifindex: number): void {
  if (hook.kind === 'xdp') kernel.net.xdp_set({ ifindex, ...(hook.mode && { mode: hook.mode }) });
  else kernel.bpf.prog_detach({ target_ifindex: ifindex, attach_type: hook.type });
}
