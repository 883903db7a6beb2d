/**
 * The functions behind tracepoints. Tracepoints of one class share a function, which has the class's name and the same
 * parameters as each tracepoint's own type.
 */
import type { Btf, BtfFuncProto, BtfTypeId } from '../../../btf/index.ts';

export const TEMPLATE_PREFIX = '__bpf_trace_';

/** Parameters of all of a kernel's templates: there are many types to look through, so once for each kernel. */
const signatures = new WeakMap<Btf, ReadonlySet<string>>();

/** Whether some template has these parameters. */
export function hasTemplate(btf: Btf, proto: BtfFuncProto): boolean {
  let found = signatures.get(btf);
  if (found === undefined) {
    found = findSignatures(btf);
    signatures.set(btf, found);
  }
  return found.has(signature(proto));
}

function signature({ params }: BtfFuncProto): string {
  return params.map(({ type }) => type).join(',');
}

const PREFIX_BYTES = new TextEncoder().encode(TEMPLATE_PREFIX);

/** Names are compared where they stand: to decode those of all functions would take longer than all else here. */
function findSignatures(btf: Btf): Set<string> {
  const found = new Set<string>();
  const { words, starts } = btf.table;
  for (let i = 0; i < starts.length; i++) {
    const id = (btf.firstId + i) as BtfTypeId;
    if (btf.kind(id) !== 'func') continue;
    const { bytes, at } = btf.strings.locate(words[starts[i]!]!);
    if (!PREFIX_BYTES.every((byte, k) => bytes[at + k] === byte)) continue;
    const proto = btf.type(btf.typeOf(id, 'func').type);
    if (proto.kind === 'func_proto') found.add(signature(proto));
  }
  return found;
}
