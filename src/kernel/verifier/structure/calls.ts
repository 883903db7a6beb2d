/** Which helpers the program may call. */
import type { BtfTypeId } from '../../../btf/index.ts';
import { ATTACH_TYPES } from '../../../sys/attach-types.ts';
import { HELPERS, type Helper, helperName } from '../../../sys/helper-ids.ts';
import { prototype } from '../../helpers/prototypes.ts';
import { type Capability, effectiveAttachType, helpersOf } from '../../programs/index.ts';
import type { VerifyEnvironment } from '../environment.ts';
import { isGplCompatible } from '../license.ts';
import type { Verdict } from '../rejection.ts';
import { type Draft, HELPER_COUNT } from './draft.ts';
import { atLeast, needsVersion } from './version.ts';

export function checkHelperCall(draft: Draft, idx: number, id: number): Verdict {
  if (draft.callable[id] === 1) return undefined;
  const { environment, input } = draft;
  if (id < 0 || id > HELPER_COUNT) {
    return {
      code: 'unknown-func',
      insn: idx,
      problem: `invalid func unknown#${id}`,
      reason: `helper functions are numbered 1 to ${HELPER_COUNT}`,
    };
  }
  const name = helperName(id);
  const label = `bpf_${name ?? 'unspec'}#${id}`;
  if (name !== undefined && !atLeast(environment.kernelVersion, HELPERS[name].since)) {
    return needsVersion(idx, `the helper bpf_${name}`, HELPERS[name].since, `invalid func unknown#${id}`);
  }
  if (name === undefined) {
    return {
      code: 'helper-not-allowed',
      insn: idx,
      problem: `program of this type cannot use helper ${label}`,
      reason: 'there is no helper with the number 0',
      hint: 'a relocation of the object file was not applied',
    };
  }
  if (!allowedHelpers(draft).has(name)) {
    return {
      code: 'helper-not-allowed',
      insn: idx,
      problem: `program of this type cannot use helper ${label}`,
      reason: `programs of type ${input.type} can't call it${missingCapability(draft, name)}`,
    };
  }
  if (prototype(name, input.type).gplOnly && !isGplCompatible(input.license)) {
    return {
      code: 'gpl-only',
      insn: idx,
      problem: 'cannot call GPL-restricted function from non-GPL compatible program',
      reason: `${label} is for programs under a licence that is compatible with the GPL, and this one's is "${input.license}"`,
      hint: 'license the program so, if you may (char _license[] SEC("license") = "GPL";), or do without the helper',
    };
  }
  if (!environment.helperImplemented(id)) {
    return {
      code: 'unsupported-helper',
      insn: idx,
      problem: `the embedded kernel does not have the helper ${label} yet`,
      reason: 'Linux has it; the program is refused here because it could not be run',
      hint: 'run the program on Linux (--kernel linux)',
    };
  }
  draft.callable[id] = 1;
  return undefined;
}

const allowed = new WeakMap<Draft, ReadonlySet<Helper>>();

function allowedHelpers(draft: Draft): ReadonlySet<Helper> {
  let helpers = allowed.get(draft);
  if (!helpers) {
    helpers = helpersFor(draft, capabilities(draft.environment));
    allowed.set(draft, helpers);
  }
  return helpers;
}

function helpersFor(draft: Draft, caps: ReadonlySet<Capability>): ReadonlySet<Helper> {
  const { type, expectedAttachType: given } = draft.input;
  const target = targetName(draft);
  const attach = given && effectiveAttachType(type, given);
  const helpers = helpersOf({ type, caps, attach, struct: type === 'struct_ops' ? target : undefined });
  if (attach === 'trace_iter' && target !== undefined && SOCKET_ITERATORS.has(target)) {
    return new Set([...helpers, ...SOCKET_OPTIONS]);
  }
  if (target !== 'tcp_congestion_ops' || memberName(draft) !== 'release') return helpers;
  // The socket is on its way out.
  return new Set([...helpers].filter((helper) => !SOCKET_OPTIONS.includes(helper)));
}

/** Iterators over sockets that they lock. @see net/ipv4/tcp_ipv4.c, bpf_iter_tcp_get_func_proto */
const SOCKET_ITERATORS: ReadonlySet<string> = new Set(['bpf_iter_tcp', 'bpf_iter_unix']);
const SOCKET_OPTIONS: readonly Helper[] = ['setsockopt', 'getsockopt'];

/** Name of what the program attaches to: a function, or the struct whose member it implements. */
function targetName({ input, environment }: Draft): string | undefined {
  const { attachTarget } = input;
  const btf = attachTarget?.btf ?? environment.kernelBtf;
  if (attachTarget === undefined || attachTarget.prog !== undefined || btf === undefined) return undefined;
  return attachTarget.btfId < btf.length ? btf.nameOf(attachTarget.btfId as BtfTypeId) : undefined;
}

/** Name of the member that a struct_ops program implements. */
function memberName({ input, environment }: Draft): string | undefined {
  const struct = environment.kernelBtf?.type((input.attachTarget?.btfId ?? 0) as BtfTypeId);
  const index = ATTACH_TYPES[input.expectedAttachType ?? 'cgroup_inet_ingress'].id;
  return struct?.kind === 'struct' ? struct.members[index]?.name : undefined;
}

function capabilities({ capabilities }: VerifyEnvironment): ReadonlySet<Capability> {
  const { bpf, perfmon, netAdmin, sysAdmin } = capabilities;
  const held = { bpf, perfmon, net_admin: netAdmin, sys_admin: sysAdmin };
  return new Set((Object.keys(held) as Capability[]).filter((name) => held[name]));
}

/** Says so when the caller could call the helper with more capabilities. */
function missingCapability(draft: Draft, name: Helper): string {
  const all = new Set<Capability>(['bpf', 'perfmon', 'net_admin', 'sys_admin']);
  return helpersFor(draft, all).has(name) ? ' without CAP_BPF and CAP_PERFMON' : '';
}
