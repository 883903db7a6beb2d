/** Declaration tags of a BTF by what they tag. */
import type { Btf, BtfTypeId } from '../../../btf/index.ts';

const declTagIndex = new WeakMap<Btf, Map<number, { component: number; name: string }[]>>();

/** The declaration tags of a type, in order. */
export function declTags(btf: Btf, target: BtfTypeId): readonly { component: number; name: string }[] {
  let index = declTagIndex.get(btf);
  if (index === undefined) {
    index = new Map();
    for (const id of btf.ids()) {
      if (btf.kind(id) !== 'decl_tag') continue;
      const { type, component, name } = btf.typeOf(id, 'decl_tag');
      const list = index.get(type);
      if (list === undefined) index.set(type, [{ component, name }]);
      else list.push({ component, name });
    }
    declTagIndex.set(btf, index);
  }
  return index.get(target) ?? [];
}
