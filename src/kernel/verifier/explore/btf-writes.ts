/** Members of kernel objects that programs may write, by program type and operations struct. */
import { type Btf, type BtfTypeId, resolve, resolveType, trySizeOf } from '../../../btf/index.ts';
import type { Draft } from '../structure/draft.ts';
import { programType } from './access-context.ts';
import type { Explorer } from './explorer.ts';

interface WriteRules {
  readonly struct: string;
  /** Another name of the same layout. */
  readonly alias?: string;
  /** Paths of members; empty: all of the struct. */
  readonly members: readonly string[];
  /** Members of which a part may be written at any offset. */
  readonly inside: readonly string[];
}

const CONNECTION: WriteRules = { struct: 'nf_conn', alias: 'nf_conn___init', members: ['mark'], inside: [] };

/** @see net/ipv4/bpf_tcp_ca.c, net/bpf/bpf_dummy_struct_ops.c */
const STRUCT_OPS: Readonly<Record<string, WriteRules>> = {
  tcp_congestion_ops: {
    struct: 'tcp_sock',
    members: [
      'inet_conn.icsk_inet.sk.sk_pacing_rate',
      'inet_conn.icsk_inet.sk.sk_pacing_status',
      'inet_conn.icsk_ca_priv',
      'inet_conn.icsk_ack.pending',
      'snd_cwnd',
      'snd_cwnd_cnt',
      'snd_cwnd_stamp',
      'snd_ssthresh',
      'ecn_flags',
      'app_limited',
    ],
    inside: ['inet_conn.icsk_ca_priv'],
  },
  bpf_dummy_ops: { struct: 'bpf_dummy_ops_state', members: [], inside: [] },
};

function rulesOf(draft: Draft): WriteRules | undefined {
  const { input, environment } = draft;
  switch (programType(draft)) {
    case 'sched_cls':
    case 'sched_act':
    case 'xdp':
      return CONNECTION;
    case 'struct_ops': {
      const btf = input.attachTarget?.btf ?? environment.kernelBtf;
      const target = btf?.type((input.attachTarget?.btfId ?? 0) as BtfTypeId);
      return target?.kind === 'struct' ? STRUCT_OPS[target.name] : undefined;
    }
    default:
      return undefined;
  }
}

function refuse(ex: Explorer, problem: string, reason: string): never {
  ex.refuse('read-only-memory', problem, { reason });
}

/** Checks a store into an object of the kernel. @param name of its struct */
export function checkObjectWrite(ex: Explorer, btf: Btf, name: string, off: number, size: number): void {
  const rules = rulesOf(ex.draft);
  if (rules === undefined || (rules.struct !== name && rules.alias !== name)) {
    refuse(ex, 'only read is supported', 'objects of the kernel are not written by programs');
  }
  const id = btf.find(rules.struct, 'struct');
  const total = id === undefined ? 0 : (trySizeOf(btf, id) ?? 0);
  if (rules.members.length === 0) {
    if (off + size <= total) return;
    refuse(
      ex,
      `write access for struct ${name} at off ${off} with size ${size}`,
      'the store ends behind the struct',
    );
  }
  for (const path of rules.members) {
    const place = id === undefined ? undefined : memberAt(btf, id, path);
    if (place === undefined || off < place.start || off >= place.end) continue;
    if (off !== place.start && !rules.inside.includes(path)) continue;
    if (off + size <= place.end) return;
    refuse(
      ex,
      `write access at off ${off} with size ${size} beyond the member of ${name} ended at ${place.end}`,
      `the store is longer than ${path}`,
    );
  }
  const names = rules.members.map((path) => path.slice(path.lastIndexOf('.') + 1));
  refuse(
    ex,
    `no write support to ${name} at off ${off}`,
    `of struct ${name} programs may write ${names.join(', ')}`,
  );
}

function memberAt(btf: Btf, struct: BtfTypeId, path: string): { start: number; end: number } | undefined {
  let id = resolve(btf, struct);
  let start = 0;
  for (const name of path.split('.')) {
    const found = named(btf, id, name);
    if (found === undefined) return undefined;
    start += found.offset;
    id = resolve(btf, found.type);
  }
  return { start, end: start + (trySizeOf(btf, id) ?? 0) };
}

/** A member by name; members of anonymous structs and unions count as the struct's own. */
function named(btf: Btf, struct: BtfTypeId, name: string): { type: BtfTypeId; offset: number } | undefined {
  const type = btf.type(struct);
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  for (const member of type.members) {
    const offset = member.bitOffset >> 3;
    if (member.name === name) return { type: member.type, offset };
    if (member.name !== '') continue;
    const inner = resolveType(btf, member.type);
    if (inner.kind !== 'struct' && inner.kind !== 'union') continue;
    const found = named(btf, resolve(btf, member.type), name);
    if (found !== undefined) return { type: found.type, offset: offset + found.offset };
  }
  return undefined;
}
