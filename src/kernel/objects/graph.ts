/**
 * Lists and trees of what programs allocate, in the kernel's memory: heads and nodes are laid out as Linux's, and each node
 * knows the head that owns it.
 *
 * @see include/linux/bpf.h, struct bpf_list_node_kern and struct bpf_rb_node_kern
 */
import { type Addr, type Memory, NULL } from '../memory/index.ts';

/** `struct list_head`, and the owner behind it in a node. Pointers are eight bytes, their upper half is zero. */
const LIST = { next: 0, prev: 8, owner: 16 } as const;
/** `struct rb_node` with its owner; a tree's root has the top and the leftmost node. */
const RB = { parent: 0, right: 8, left: 16, owner: 24 } as const;
const ROOT = { top: 0, leftmost: 8 } as const;
/** The lowest bit of a node's parent is its colour. */
const BLACK = 1;

type Side = 'left' | 'right';

/** A list. */
export class List {
  readonly #memory: Memory;
  readonly #head: Addr;

  /** @param head a head of zeros is an empty list, too */
  constructor(memory: Memory, head: Addr) {
    this.#memory = memory;
    this.#head = head;
    if (memory.readU32(head + LIST.next) === 0) this.#link(head, head);
  }

  #link(before: Addr, after: Addr): void {
    this.#memory.writeU64(before + LIST.next, BigInt(after));
    this.#memory.writeU64(after + LIST.prev, BigInt(before));
  }

  /** Puts a node in. @returns false when it is in a list already */
  push(node: Addr, end: 'front' | 'back'): boolean {
    if (this.#memory.readU32(node + LIST.owner) !== 0) return false;
    const before = end === 'front' ? this.#head : this.end('back', true);
    const after = end === 'front' ? this.end('front', true) : this.#head;
    this.#link(before, node);
    this.#link(node, after);
    this.#memory.writeU64(node + LIST.owner, BigInt(this.#head));
    return true;
  }

  /** The node at an end; `NULL` when there is none, or the head itself with `orHead`. */
  end(end: 'front' | 'back', orHead = false): Addr {
    const at = this.#memory.readU32(this.#head + (end === 'front' ? LIST.next : LIST.prev)) as Addr;
    return at === this.#head && !orHead ? NULL : at;
  }

  /** Takes the node at an end out. */
  pop(end: 'front' | 'back'): Addr {
    const node = this.end(end);
    if (node === NULL) return NULL;
    const memory = this.#memory;
    this.#link(memory.readU32(node + LIST.prev) as Addr, memory.readU32(node + LIST.next) as Addr);
    this.#link(node, node);
    memory.writeU64(node + LIST.owner, 0n);
    return node;
  }
}

/** A red-black tree: each step is the textbook's, so a tree has the shape that Linux's has. */
export class Tree {
  readonly #memory: Memory;
  readonly #root: Addr;

  constructor(memory: Memory, root: Addr) {
    this.#memory = memory;
    this.#root = root;
  }

  get top(): Addr {
    return this.#memory.readU32(this.#root + ROOT.top) as Addr;
  }
  get first(): Addr {
    return this.#memory.readU32(this.#root + ROOT.leftmost) as Addr;
  }

  owns(node: Addr): boolean {
    return this.#memory.readU32(node + RB.owner) === this.#root;
  }

  isFree(node: Addr): boolean {
    return this.#memory.readU32(node + RB.owner) === 0;
  }

  child(node: Addr, side: Side): Addr {
    return this.#memory.readU32(node + RB[side]) as Addr;
  }

  #setChild(node: Addr, side: Side, child: Addr): void {
    this.#memory.writeU64(node + RB[side], BigInt(child));
  }

  #parent(node: Addr): Addr {
    return (this.#memory.readU32(node + RB.parent) & ~BLACK) as Addr;
  }

  #isBlack(node: Addr): boolean {
    return node === NULL || (this.#memory.readU32(node + RB.parent) & BLACK) !== 0;
  }

  #set(node: Addr, parent: Addr, black: boolean): void {
    this.#memory.writeU64(node + RB.parent, BigInt(parent + (black ? BLACK : 0)));
  }

  #paint(node: Addr, black: boolean): void {
    this.#set(node, this.#parent(node), black);
  }

  /** Puts a node under a leaf's parent. @param leftmost whether the way to it led only to the left */
  insert(node: Addr, parent: Addr, side: Side, leftmost: boolean): void {
    this.#setChild(node, 'left', NULL);
    this.#setChild(node, 'right', NULL);
    this.#set(node, parent, false);
    if (parent === NULL) this.#memory.writeU64(this.#root + ROOT.top, BigInt(node));
    else this.#setChild(parent, side, node);
    if (leftmost) this.#memory.writeU64(this.#root + ROOT.leftmost, BigInt(node));
    this.#memory.writeU64(node + RB.owner, BigInt(this.#root));
    this.#balanceInserted(node);
  }

  #balanceInserted(inserted: Addr): void {
    let node = inserted;
    for (;;) {
      const parent = this.#parent(node);
      if (this.#isBlack(parent)) break;
      const above = this.#parent(parent);
      const side: Side = this.child(above, 'left') === parent ? 'left' : 'right';
      const other: Side = side === 'left' ? 'right' : 'left';
      const uncle = this.child(above, other);
      if (!this.#isBlack(uncle)) {
        this.#paint(parent, true);
        this.#paint(uncle, true);
        this.#paint(above, false);
        node = above;
        continue;
      }
      let child = node;
      let middle = parent;
      if (this.child(middle, other) === child) {
        this.#rotate(middle, side);
        [child, middle] = [middle, child];
      }
      this.#paint(middle, true);
      this.#paint(above, false);
      this.#rotate(above, other);
      break;
    }
    if (this.top !== NULL) this.#paint(this.top, true);
  }

  /** The child on the other side takes the node's place, and the node goes down to `side`. */
  #rotate(node: Addr, side: Side): void {
    const other: Side = side === 'left' ? 'right' : 'left';
    const risen = this.child(node, other);
    const inner = this.child(risen, side);
    this.#setChild(node, other, inner);
    if (inner !== NULL) this.#set(inner, node, this.#isBlack(inner));
    this.#replace(node, risen);
    this.#setChild(risen, side, node);
    this.#set(node, risen, this.#isBlack(node));
  }

  /** Puts `by` under the parent of `node`. */
  #replace(node: Addr, by: Addr): void {
    const parent = this.#parent(node);
    if (by !== NULL) this.#set(by, parent, this.#isBlack(by));
    if (parent === NULL) this.#memory.writeU64(this.#root + ROOT.top, BigInt(by));
    else this.#setChild(parent, this.child(parent, 'left') === node ? 'left' : 'right', by);
  }

  /** Takes a node out. */
  remove(node: Addr): void {
    if (this.first === node) {
      this.#memory.writeU64(this.#root + ROOT.leftmost, BigInt(this.#next(node)));
    }
    let gone = node;
    let child: Addr;
    let parent: Addr;
    let black = this.#isBlack(gone);
    if (this.child(node, 'left') === NULL || this.child(node, 'right') === NULL) {
      child = this.child(node, this.child(node, 'left') === NULL ? 'right' : 'left');
      parent = this.#parent(node);
      this.#replace(node, child);
    } else {
      gone = this.child(node, 'right');
      while (this.child(gone, 'left') !== NULL) gone = this.child(gone, 'left');
      black = this.#isBlack(gone);
      child = this.child(gone, 'right');
      parent = this.#parent(gone);
      if (parent === node) parent = gone;
      else {
        this.#replace(gone, child);
        this.#adopt(gone, 'right', this.child(node, 'right'));
      }
      this.#replace(node, gone);
      this.#adopt(gone, 'left', this.child(node, 'left'));
      this.#paint(gone, this.#isBlack(node));
    }
    if (black) this.#balanceRemoved(child, parent);
    this.#memory.writeU64(node + RB.parent, BigInt(node));
    this.#memory.writeU64(node + RB.owner, 0n);
  }

  #adopt(parent: Addr, side: Side, child: Addr): void {
    this.#setChild(parent, side, child);
    this.#set(child, parent, this.#isBlack(child));
  }

  #next(node: Addr): Addr {
    let next = this.child(node, 'right');
    if (next !== NULL) {
      while (this.child(next, 'left') !== NULL) next = this.child(next, 'left');
      return next;
    }
    let below = node;
    next = this.#parent(node);
    while (next !== NULL && this.child(next, 'right') === below) {
      below = next;
      next = this.#parent(next);
    }
    return next;
  }

  #balanceRemoved(child: Addr, above: Addr): void {
    let node = child;
    let parent = above;
    while (node !== this.top && this.#isBlack(node) && parent !== NULL) {
      const side: Side = this.child(parent, 'left') === node ? 'left' : 'right';
      const other: Side = side === 'left' ? 'right' : 'left';
      let sibling = this.child(parent, other);
      if (!this.#isBlack(sibling)) {
        this.#paint(sibling, true);
        this.#paint(parent, false);
        this.#rotate(parent, side);
        sibling = this.child(parent, other);
      }
      if (this.#isBlack(this.child(sibling, side)) && this.#isBlack(this.child(sibling, other))) {
        this.#paint(sibling, false);
        node = parent;
        parent = this.#parent(node);
        continue;
      }
      if (this.#isBlack(this.child(sibling, other))) {
        this.#paint(this.child(sibling, side), true);
        this.#paint(sibling, false);
        this.#rotate(sibling, other);
        sibling = this.child(parent, other);
      }
      this.#paint(sibling, this.#isBlack(parent));
      this.#paint(parent, true);
      this.#paint(this.child(sibling, other), true);
      this.#rotate(parent, side);
      node = this.top;
      break;
    }
    if (node !== NULL) this.#paint(node, true);
  }

  /** The nodes in order. */
  *nodes(): Iterable<Addr> {
    for (let node = this.first; node !== NULL; node = this.#next(node)) yield node;
  }
}

/** The nodes of a list whose head goes away. */
export function listNodes(memory: Memory, head: Addr): Addr[] {
  const list = new List(memory, head);
  const nodes: Addr[] = [];
  for (let node = list.pop('front'); node !== NULL; node = list.pop('front')) nodes.push(node);
  return nodes;
}

/** The nodes of a tree whose root goes away: none of them is in a tree any more. */
export function treeNodes(memory: Memory, root: Addr): Addr[] {
  const nodes = [...new Tree(memory, root).nodes()];
  for (const node of nodes) {
    memory.writeU64(node + RB.parent, BigInt(node));
    memory.writeU64(node + RB.owner, 0n);
  }
  return nodes;
}
