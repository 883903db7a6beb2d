/** What programs allocate, count references to, and keep in lists and trees. @see kernel/bpf/helpers.c */
import type { BtfTypeId } from '../../../btf/index.ts';
import { trySizeOf } from '../../../btf/index.ts';
import { addr, err, s32 } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { type Addr, NULL } from '../../memory/index.ts';
import { List, Tree } from '../../objects/graph.ts';

/** The type's id is in the program's own BTF. */
export const bpf_obj_new_impl: HelperImpl = ({ kernel, program }, type) => {
  const btf = program.verified?.input.btf;
  return btf ? BigInt(kernel.heap.allocate(btf, Number(type) as BtfTypeId)) : 0n;
};

export const bpf_percpu_obj_new_impl: HelperImpl = ({ kernel, program }, type) => {
  const btf = program.verified?.input.btf;
  const size = btf && trySizeOf(btf, Number(type) as BtfTypeId);
  return size === undefined ? 0n : BigInt(kernel.heap.allocatePercpu(size));
};

const drop: HelperImpl = ({ kernel }, pointer) => {
  kernel.heap.drop(pointer);
  return 0n;
};
export const bpf_obj_drop_impl = drop;
export const bpf_percpu_obj_drop_impl = drop;

export const bpf_refcount_acquire_impl: HelperImpl = ({ kernel }, pointer) =>
  kernel.heap.acquire(pointer) ? pointer : 0n;

/** What can't go in, since it is in a list or tree already, is given up. */
const push =
  (end: 'front' | 'back'): HelperImpl =>
  ({ kernel, machine: { memory } }, head, node) => {
    if (new List(memory, addr(head)).push(addr(node), end)) return 0;
    kernel.heap.drop(BigInt(kernel.heap.baseOf(node)));
    return err('EINVAL');
  };
export const bpf_list_push_front_impl = push('front');
export const bpf_list_push_back_impl = push('back');

const pop =
  (end: 'front' | 'back'): HelperImpl =>
  ({ machine: { memory } }, head) =>
    BigInt(new List(memory, addr(head)).pop(end));
export const bpf_list_pop_front = pop('front');
export const bpf_list_pop_back = pop('back');

const look =
  (end: 'front' | 'back'): HelperImpl =>
  ({ machine: { memory } }, head) =>
    BigInt(new List(memory, addr(head)).end(end));
export const bpf_list_front = look('front');
export const bpf_list_back = look('back');

/** The program's function says whether the new node goes before one that is there. */
export const bpf_rbtree_add_impl: HelperImpl = ({ kernel, machine: { memory } }, root, node, less) => {
  const tree = new Tree(memory, addr(root));
  if (!tree.isFree(addr(node))) {
    kernel.heap.drop(BigInt(kernel.heap.baseOf(node)));
    return err('EINVAL');
  }
  let parent: Addr = NULL;
  let at = tree.top;
  let side: 'left' | 'right' = 'left';
  let leftmost = true;
  return {
    callback: less,
    next: (result) => {
      if (result !== undefined) {
        side = (result & 0xffff_ffffn) !== 0n ? 'left' : 'right';
        if (side === 'right') leftmost = false;
        at = tree.child(parent, side);
      }
      if (at !== NULL) {
        parent = at;
        return [node, BigInt(at)];
      }
      tree.insert(addr(node), parent, side, leftmost);
      return 0n;
    },
  };
};

export const bpf_rbtree_remove: HelperImpl = ({ machine: { memory } }, root, node) => {
  const tree = new Tree(memory, addr(root));
  if (!tree.owns(addr(node))) return 0n;
  tree.remove(addr(node));
  return node;
};

export const bpf_rbtree_first: HelperImpl = ({ machine: { memory } }, root) =>
  BigInt(new Tree(memory, addr(root)).first);
export const bpf_rbtree_root: HelperImpl = ({ machine: { memory } }, root) =>
  BigInt(new Tree(memory, addr(root)).top);

const child =
  (side: 'left' | 'right'): HelperImpl =>
  ({ machine: { memory } }, root, node) => {
    const tree = new Tree(memory, addr(root));
    return tree.owns(addr(node)) ? BigInt(tree.child(addr(node), side)) : 0n;
  };
export const bpf_rbtree_left = child('left');
export const bpf_rbtree_right = child('right');

export const bpf_throw: HelperImpl = (run, cookie) => run.raise(cookie);

export const bpf_map_sum_elem_count: HelperImpl = (run, map) => {
  let count = 0n;
  for (const _ of run.map(map).elements()) count += 1n;
  return count;
};

/** The bytes are the same; the program's view of them is another. */
export const bpf_rdonly_cast: HelperImpl = (_run, pointer) => pointer;

export const bpf_modify_return_test_tp: HelperImpl = (_run, nonce) => s32(nonce);
