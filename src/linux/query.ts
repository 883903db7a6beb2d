import {
  type AttachType,
  attachTypeId,
  type Bpf,
  errnoId,
  type LinkId,
  type ProgId,
  QUERY_FLAGS,
} from '../sys/index.ts';
import { ATTR } from './attr.ts';
import type { Caller } from './call.ts';
import { failure } from './failure.ts';
import { u32s } from './scratch.ts';

const ENOSPC = errnoId('ENOSPC');
const E2BIG = errnoId('E2BIG');
const U32 = 4;
/** Enough for nearly everybody; the kernel says when it is not. */
const FIRST_ROOM = 64;

const WITH_LINKS: ReadonlySet<AttachType> = new Set<AttachType>([
  'tcx_ingress',
  'tcx_egress',
  'netkit_primary',
  'netkit_peer',
]);

const { attach_flags, prog_cnt, revision } = ATTR.prog_query.members;

export function queryCommands(caller: Caller): Pick<Bpf, 'prog_query'> {
  const { scratch } = caller;
  return {
    prog_query(attr) {
      const links = WITH_LINKS.has(attr.attach_type);
      const effective = ((attr.query_flags ?? 0) & QUERY_FLAGS.BPF_F_QUERY_EFFECTIVE) !== 0;
      // What is effective came from several cgroups, each with flags of its own: the kernel refuses to tell them.
      let flags = links || (attr.attach_type.startsWith('cgroup_') && !effective);
      for (let room = FIRST_ROOM; ; ) {
        scratch.reset();
        const ids = scratch.reserve(room * U32);
        const progFlags = scratch.reserve(flags ? room * U32 : 0);
        const linkIds = scratch.reserve(links ? room * U32 : 0);
        progFlags.bytes.fill(0);
        linkIds.bytes.fill(0);
        const result = caller.try('prog_query', {
          target: attr.target_fd ?? attr.target_ifindex ?? 0,
          attach_type: attachTypeId(attr.attach_type),
          query_flags: attr.query_flags ?? 0,
          prog_ids: ids.address,
          prog_cnt: room,
          prog_attach_flags: progFlags.address,
          link_ids: linkIds.address,
        });
        const { view } = scratch;
        const count = view.getUint32(prog_cnt.offset, true);
        if (result === -ENOSPC && count > room) {
          room = count;
          continue;
        }
        // Before Linux 6.0 there were no flags for each program.
        if (result === -E2BIG && flags) {
          flags = false;
          continue;
        }
        if (result < 0) throw failure('prog_query', attr, -result);
        return {
          attach_flags: view.getUint32(attach_flags.offset, true),
          prog_ids: u32s(ids, count) as ProgId[],
          prog_attach_flags: flags ? u32s(progFlags, count) : [],
          link_ids: links ? (u32s(linkIds, count) as LinkId[]) : [],
          revision: view.getBigUint64(revision.offset, true),
        };
      }
    },
  };
}
