import { InputError } from '../../base/error.ts';
import { isAttachType } from '../../sys/attach-types.ts';
import { PROG_LOAD_FLAGS } from '../../sys/flags.ts';
import type { ProgLoadAttr, ProgLoadResult } from '../../sys/kernel.ts';
import { LIMITS } from '../../sys/limits.ts';
import { isProgType, type ProgType } from '../../sys/prog-types.ts';
import { isKfuncImplemented } from '../kfuncs/callable.ts';
import { ProgArrayMap } from '../maps/index.ts';
import type { BtfObject } from '../objects/btf-object.ts';
import { Program, type ProgramFacts } from '../objects/program.ts';
import { effectiveAttachType, PROGRAMS } from '../programs/index.ts';
import { isRejection, type ProgramInput, type VerifiedProgram, verify } from '../verifier/index.ts';
import { type Call, checkName, fail, openFile } from './failure.ts';
import { mapFacts } from './map-facts.ts';
import type { KernelState } from './state.ts';
import { programTag } from './tag.ts';

/** Types that need no capability where unprivileged BPF is enabled. */
const UNPRIVILEGED: ReadonlySet<ProgType> = new Set<ProgType>(['socket_filter', 'cgroup_skb']);
const KNOWN_FLAGS = Object.values(PROG_LOAD_FLAGS).reduce((all, bit) => all | bit, 0);

/** What `expected_attach_type` 0 is called; for most types it says nothing. */
const UNSPECIFIED = 'cgroup_inet_ingress';

export function progLoad(state: KernelState, attr: ProgLoadAttr): ProgLoadResult {
  const name = attr.prog_name ?? '';
  const call: Call = {
    command: 'prog_load',
    doing: `loading ${attr.prog_type} program${name && ` '${name}'`}`,
  };
  checkAttributes(state, call, attr);
  checkName(call, name);
  // Linux looks at the BTF only when there are records that refer to it.
  const described = [attr.func_info, attr.line_info, attr.core_relos].some((records) => records?.length);
  const btf = described ? openFile(state, call, 'btf', attr.prog_btf_fd).object : undefined;
  const input = programInput(state, call, attr, name, btf);
  const logLevel = attr.log_level ?? 0;
  const verified = verify(input, {
    map: (fd) => {
      const object = state.objectAt(fd);
      if (object === undefined) return 'bad-fd';
      const map = state.maps.get(object.id);
      if (map !== object) return 'not-a-map';
      // Maps have one owner, who may do now what he might when he made them.
      return state.capabilities.perfmon ? mapFacts(map) : { ...mapFacts(map), unprivileged: true };
    },
    kernelBtf: state.kernelBtf,
    capabilities: state.capabilities,
    kernelVersion: state.release,
    logLevel,
    cpus: state.cpus,
    helperImplemented: state.helperImplemented,
    kfuncImplemented: isKfuncImplemented,
  });
  const log = cutLog(call, attr, verified.log);
  if (isRejection(verified)) {
    const { problem, reason, hint, line, insn, errno } = verified;
    const where = line ? ` (${line.file}:${line.line})` : '';
    const sentence = `instruction ${insn}${where}: ${problem}: ${reason}${hint === undefined ? '' : `; ${hint}`}`;
    throw fail(call, errno, sentence, log);
  }
  const program = publish(state, call, attr, verified, btf);
  return { fd: state.fds.open(program), log };
}

function checkAttributes(state: KernelState, call: Call, attr: ProgLoadAttr): void {
  const { bpf, netAdmin, perfmon } = state.capabilities;
  const flags = attr.prog_flags ?? 0;
  if (flags & ~KNOWN_FLAGS) {
    const unknown = (flags & ~KNOWN_FLAGS) >>> 0;
    throw fail(call, 'EINVAL', `the program flags 0x${unknown.toString(16)} are not known`);
  }
  if (!bpf && !state.unprivileged) throw fail(call, 'EPERM', 'the caller lacks CAP_BPF');
  const count = attr.insns.length / 8;
  if (!Number.isInteger(count)) {
    throw fail(call, 'EINVAL', `${attr.insns.length} bytes are no whole number of 8-byte instructions`);
  }
  const most = bpf ? LIMITS.BPF_MAXINSNS_PRIVILEGED : LIMITS.BPF_MAXINSNS;
  if (count === 0) throw fail(call, 'E2BIG', 'the program has no instructions');
  if (count > most) throw fail(call, 'E2BIG', `the program has ${count} instructions, more than ${most}`);
  if (!isProgType(attr.prog_type)) {
    throw fail(call, 'EINVAL', `there is no program type ${String(attr.prog_type)}`);
  }
  if (!bpf && !UNPRIVILEGED.has(attr.prog_type)) throw fail(call, 'EPERM', 'the caller lacks CAP_BPF');
  const facts = PROGRAMS[attr.prog_type];
  if (facts.capabilities.includes('net_admin') && !netAdmin) {
    throw fail(call, 'EPERM', 'the caller lacks CAP_NET_ADMIN');
  }
  if (facts.capabilities.includes('perfmon') && !perfmon) {
    throw fail(call, 'EPERM', 'the caller lacks CAP_PERFMON');
  }
  if (attr.prog_ifindex) {
    throw fail(call, 'EINVAL', 'no device takes programs: prog_ifindex is for hardware offload');
  }
  checkAttach(call, attr);
}

function checkAttach(call: Call, attr: ProgLoadAttr): void {
  const facts = PROGRAMS[attr.prog_type];
  const given = attr.expected_attach_type;
  if (given !== undefined && !isAttachType(given)) {
    throw fail(call, 'EINVAL', `there is no attach type ${String(given)}`);
  }
  if (effectiveAttachType(attr.prog_type, given ?? UNSPECIFIED) === undefined) {
    const known = facts.attachTypes.join(', ') || 'none';
    throw fail(
      call,
      'EINVAL',
      `expected_attach_type is ${given ?? UNSPECIFIED}, but the type takes: ${known}`,
    );
  }
  if (facts.needsBtfTarget && !attr.attach_btf_id) {
    throw fail(call, 'EINVAL', `a ${attr.prog_type} program names its target by attach_btf_id`);
  }
}

function programInput(
  state: KernelState,
  call: Call,
  attr: ProgLoadAttr,
  name: string,
  btf: BtfObject | undefined,
): ProgramInput {
  if (btf?.isKernel) throw fail(call, 'EACCES', "the kernel's own BTF can't describe a program");
  const records = (bytes: Uint8Array | undefined, recSize: number | undefined, usual: number) =>
    bytes && bytes.length > 0 ? { bytes, recSize: recSize ?? usual } : undefined;
  const funcInfo = records(attr.func_info, attr.func_info_rec_size, 8);
  const lineInfo = records(attr.line_info, attr.line_info_rec_size, 16);
  const attach = effectiveAttachType(attr.prog_type, attr.expected_attach_type ?? UNSPECIFIED);
  return {
    name,
    type: attr.prog_type,
    ...(attach !== undefined && attach !== UNSPECIFIED && { expectedAttachType: attach }),
    insns: attr.insns.slice(),
    license: attr.license,
    flags: attr.prog_flags ?? 0,
    ...(btf && { btf: btf.btf }),
    ...(funcInfo && { funcInfo }),
    ...(lineInfo && { lineInfo }),
    ...(attr.fd_array && { fdArray: attr.fd_array }),
    ...(attr.attach_btf_id && { attachTarget: attachTarget(state, call, attr) }),
  };
}

/** What the id of the target is in: a program's types, a given BTF object, or the kernel's own. */
function attachTarget(
  state: KernelState,
  call: Call,
  attr: ProgLoadAttr,
): NonNullable<ProgramInput['attachTarget']> {
  const btfId = attr.attach_btf_id ?? 0;
  if (attr.attach_prog_fd) {
    return { btfId, prog: openFile(state, call, 'prog', attr.attach_prog_fd).object.verified };
  }
  if (attr.attach_btf_obj_fd) {
    const object = openFile(state, call, 'btf', attr.attach_btf_obj_fd).object;
    if (!object.isKernel) throw fail(call, 'EINVAL', "attach_btf_obj_fd is not BTF of the kernel's");
    return { btfId, btf: object.btf };
  }
  return { btfId };
}

function publish(
  state: KernelState,
  call: Call,
  attr: ProgLoadAttr,
  verified: VerifiedProgram,
  btf: BtfObject | undefined,
): Program {
  const facts: ProgramFacts = {
    type: attr.prog_type,
    expectedAttachType: verified.input.expectedAttachType,
    name: verified.input.name,
    gplCompatible: verified.gplCompatible,
    tag: programTag(attr.insns),
    loadTime: state.clock.boottime(),
    flags: verified.input.flags,
    funcInfo: attr.func_info?.slice() ?? new Uint8Array(0),
    lineInfo: attr.line_info?.slice() ?? new Uint8Array(0),
    attachBtfId: attr.attach_btf_id ?? 0,
    ifindex: 0,
    kernelBtf: state.kernelBtf,
  };
  const maps = verified.maps.map(({ id }) => state.maps.get(id)!);
  for (const map of maps) {
    if (map instanceof ProgArrayMap && !map.fits(facts)) {
      const reason = `${map.label} holds programs of another type, attach type or flags, which this one can't call`;
      throw fail(call, 'EINVAL', reason);
    }
  }
  const program = state.progs.publish(new Program(facts, verified, maps, btf, state.variable));
  for (const fd of attr.fd_array?.slice(0, attr.fd_array_cnt ?? 0) ?? []) {
    const object = state.objectAt(fd);
    const map = object && state.maps.get(object.id);
    if (map !== undefined && map === object) program.bind(map);
  }
  return program;
}

/** What of the log fits. @throws InputError `ENOSPC` where it does not */
function cutLog(call: Call, attr: ProgLoadAttr, log: string): string {
  if (!attr.log_level || attr.log_size === undefined || log.length < attr.log_size) return log;
  throw new InputError(
    'kernel-prog-load',
    `${call.doing}: the log has ${log.length + 1} bytes and log_size is ${attr.log_size} (ENOSPC)`,
    { errno: 'ENOSPC', detail: log.slice(log.length - attr.log_size + 1) },
  );
}
