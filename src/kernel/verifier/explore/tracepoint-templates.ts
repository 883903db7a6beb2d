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

/**
 * A kernel has more than 100,000 types, and looking at each would take longer than most verifications. So the names are
 * searched for as text, which is fast, and the few that are found are looked up.
 */
function findSignatures(btf: Btf): Set<string> {
  const found = new Set<string>();
  const { words, starts } = btf.table;
  for (const name of templateNames(btf)) {
    for (const id of btf.nameIndex().find(name)) {
      const proto = words[starts[id - btf.firstId]! + 2] as BtfTypeId;
      if (btf.kind(id) === 'func' && btf.kind(proto) === 'func_proto') found.add(signatureOf(btf, proto));
    }
  }
  return found;
}

/** As {@link signature}, from the record: behind three words a name and a type for each parameter. */
function signatureOf({ table: { words, starts, firstId } }: Btf, proto: BtfTypeId): string {
  const at = starts[proto - firstId]!;
  const params: number[] = [];
  for (let i = 0; i < (words[at + 1]! & 0xffff); i++) params.push(words[at + 3 + 2 * i + 1]!);
  return params.join(',');
}

function templateNames({ strings }: Btf): Set<string> {
  const names = new Set<string>();
  for (let table: Btf['strings'] | undefined = strings; table; table = table.base) {
    // A character for each byte.
    const text = new TextDecoder('latin1').decode(table.bytes);
    for (let at = text.indexOf(TEMPLATE_PREFIX); at >= 0; at = text.indexOf(TEMPLATE_PREFIX, at + 1)) {
      names.add(text.slice(at, text.indexOf('\0', at)));
    }
  }
  return names;
}
