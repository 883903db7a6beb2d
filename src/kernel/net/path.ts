/**
 * Member paths of context fields (`rxq->dev->ifindex`, `cb<qdisc_skb_cb>.data`, `shinfo.gso_segs`), resolved once to
 * steps over addresses.
 */
import { Bug } from '../../base/error.ts';
import type { Memory } from '../memory/index.ts';
import { isKernelStruct, KERNEL_STRUCTS, type KernelStructName, SK_BUFF } from './structs.ts';

/** Where a path ends. */
export interface Place {
  /** Offsets after which a pointer is followed; the last offset is the member's in the last struct. */
  readonly hops: readonly number[];
  readonly offset: number;
  /** Bytes of the member. */
  readonly size: number;
  /** The struct begins at the skb's shared info. */
  readonly shinfo: boolean;
  /** What is done to the value. */
  readonly derive: 'value' | 'nonzero' | { readonly shift: number };
}

export function resolvePath(root: string, text: string): Place {
  const [, path, operator, operand] = /^(\S+)(?: (!=|<<) (\d+))?$/.exec(text) ?? [];
  if (path === undefined || !isKernelStruct(root)) throw new Bug(`context path ${root}: ${text}`);
  const derive: Place['derive'] =
    operator === '!=' ? 'nonzero' : operator === '<<' ? { shift: Number(operand) } : 'value';
  if (path.startsWith('shinfo.')) {
    return { ...walk('skb_shared_info', path.slice('shinfo.'.length)), shinfo: true, derive };
  }
  return { ...walk(root, path), shinfo: false, derive };
}

function walk(root: KernelStructName, path: string): Pick<Place, 'hops' | 'offset' | 'size'> {
  const hops: number[] = [];
  let struct = root;
  let offset = 0;
  const steps = path.split(/(->|\.)/);
  for (let i = 0; i < steps.length; i += 2) {
    const [, name, cast] = /^(\w+)(?:<(\w+)>)?$/.exec(steps[i]!) ?? [];
    const member = place(struct, name!);
    const last = i === steps.length - 1;
    if (last) return { hops, offset: offset + member.offset, size: member.size };
    offset += member.offset;
    const next =
      cast ??
      (steps[i + 1] === '->'
        ? KERNEL_STRUCTS[struct].points?.[name!]
        : KERNEL_STRUCTS[struct].holds?.[name!]);
    if (next === undefined || !isKernelStruct(next)) throw new Bug(`struct ${struct}: ${name} leads nowhere`);
    if (steps[i + 1] === '->') {
      hops.push(offset);
      offset = 0;
    }
    struct = next;
  }
  throw new Bug(`empty context path in struct ${root}`);
}

function place(struct: KernelStructName, name: string): { readonly offset: number; readonly size: number } {
  const { layout, inside } = KERNEL_STRUCTS[struct];
  const members = layout.members as Readonly<Record<string, { offset: number; size: number }>>;
  const nested = inside?.[name];
  if (nested) {
    const inner = place(nested[1], name);
    return { offset: members[nested[0]]!.offset + inner.offset, size: inner.size };
  }
  const member = members[name];
  if (!member) throw new Bug(`struct ${struct} has no member ${name}`);
  return member;
}

const HEAD = SK_BUFF.members.head.offset;
const END = SK_BUFF.members.end.offset;

/** The member's address in an object, or 0 when a pointer on the way is null. */
export function locate(memory: Memory, object: number, { hops, offset, shinfo }: Place): number {
  let addr = shinfo ? memory.readU32(object + HEAD) + memory.readU32(object + END) : object;
  for (const hop of hops) {
    addr = memory.readU32(addr + hop);
    if (addr === 0) return 0;
  }
  return addr + offset;
}
