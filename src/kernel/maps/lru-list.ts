/**
 * Which element of an LRU map gives way to a new one, as Linux decides it: approximately the least recently used, by lists
 * that elements move between when room is needed, not when they are used. A use only sets a mark.
 *
 * With a common list each CPU has a stock of free elements and a list of those that it put in lately; with lists of their
 * own (`BPF_F_NO_COMMON_LRU`) the CPUs share nothing.
 *
 * @see kernel/bpf/bpf_lru_list.c
 */

/** Index of an element; -1 is none. */
type Node = number;
const NONE = -1;

/** A doubly linked ring: its head is a node of its own behind the elements. */
type List = number;

interface LruLists {
  readonly active: List;
  readonly inactive: List;
  readonly free: List;
  activeCount: number;
  inactiveCount: number;
  /** Where the next rotation of the inactive list begins. */
  rotation: number;
}

interface LocalLists {
  readonly free: List;
  readonly pending: List;
  /** The CPU that is robbed first when all else is empty. */
  steal: number;
}

const STATE = { active: 0, inactive: 1, free: 2, localFree: 3, pending: 4 } as const;
type State = (typeof STATE)[keyof typeof STATE];

/** Elements that a CPU takes from the common list at once, at most, and that are looked at for it. */
const LOCAL_FREE_TARGET = 128;
/** The same for CPUs with lists of their own. */
const PERCPU_FREE_TARGET = 4;

export interface LruOptions {
  readonly elements: number;
  readonly cpus: number;
  /** `BPF_F_NO_COMMON_LRU`. */
  readonly percpu: boolean;
  /** Takes an element out of the hash table. @returns false when it is not in it */
  readonly evict: (node: Node) => boolean;
}

export class Lru {
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  readonly #state: Uint8Array;
  readonly #marked: Uint8Array;
  readonly #cpu: Uint16Array;
  readonly #lists: readonly LruLists[];
  readonly #locals: readonly LocalLists[];
  readonly #options: LruOptions;
  /** Elements that are looked at in one go. */
  readonly #scans: number;
  /** Elements that are wanted in one go. */
  readonly #target: number;

  constructor(options: LruOptions) {
    const { elements, cpus, percpu } = options;
    this.#options = options;
    this.#scans = percpu ? PERCPU_FREE_TARGET : LOCAL_FREE_TARGET;
    const share = Math.floor(Math.floor(elements / cpus) / 2);
    this.#target = percpu ? PERCPU_FREE_TARGET : Math.min(Math.max(share, 1), LOCAL_FREE_TARGET);
    const heads = percpu ? 3 * cpus : 3 + 2 * cpus;
    this.#next = new Int32Array(elements + heads);
    this.#prev = new Int32Array(elements + heads);
    this.#state = new Uint8Array(elements);
    this.#marked = new Uint8Array(elements);
    this.#cpu = new Uint16Array(elements);
    let head = elements;
    const list = (): List => {
      this.#next[head] = head;
      this.#prev[head] = head;
      return head++;
    };
    const lists = (): LruLists => {
      const inactive = list();
      const rest = { activeCount: 0, inactiveCount: 0, rotation: inactive };
      return { inactive, active: list(), free: list(), ...rest };
    };
    this.#lists = Array.from({ length: percpu ? cpus : 1 }, lists);
    this.#locals = percpu
      ? []
      : Array.from({ length: cpus }, (_, cpu) => ({ free: list(), pending: list(), steal: cpu }));
    const each = percpu ? elements / cpus : elements;
    for (let node = 0; node < elements; node++) {
      const cpu = percpu ? Math.floor(node / each) : 0;
      this.#state[node] = STATE.free;
      this.#cpu[node] = cpu;
      this.#insert(node, this.#lists[cpu]!.free);
    }
  }

  /** The element was used. */
  use(node: Node): void {
    this.#marked[node] = 1;
  }

  /** An element for a CPU to put in, taken from another if need be; -1 where all are in other hands. */
  take(cpu: number): Node {
    return this.#options.percpu ? this.#takeOwn(this.#lists[cpu]!) : this.#takeCommon(cpu);
  }

  /** The element is in use no more. */
  give(node: Node): void {
    if (this.#state[node] === STATE.pending) {
      this.#state[node] = STATE.localFree;
      this.#marked[node] = 0;
      this.#moveTo(node, this.#locals[this.#cpu[node]!]!.free);
      return;
    }
    this.#move(this.#listsOf(node), node, STATE.free);
  }

  #listsOf(node: Node): LruLists {
    return this.#lists[this.#options.percpu ? this.#cpu[node]! : 0]!;
  }

  #takeOwn(lists: LruLists): Node {
    this.#rotate(lists);
    if (this.#next[lists.free] === lists.free) {
      this.#shrink(lists, PERCPU_FREE_TARGET, lists.free, STATE.free);
    }
    const node = this.#first(lists.free);
    if (node === NONE) return NONE;
    this.#move(lists, node, STATE.inactive);
    return node;
  }

  #takeCommon(cpu: number): Node {
    const local = this.#locals[cpu]!;
    let node = this.#popFree(local);
    if (node === NONE) {
      this.#restock(local);
      node = this.#popFree(local);
    }
    if (node === NONE) node = this.#steal(local);
    if (node === NONE) return NONE;
    this.#state[node] = STATE.pending;
    this.#cpu[node] = cpu;
    this.#marked[node] = 0;
    this.#insert(node, local.pending);
    return node;
  }

  /** Takes from the CPUs in turn what is free, or was put in last. */
  #steal(local: LocalLists): Node {
    const { cpus } = this.#options;
    const first = local.steal;
    let steal = first;
    let node = NONE;
    do {
      const victim = this.#locals[steal]!;
      node = this.#popFree(victim);
      if (node === NONE) node = this.#popPending(victim);
      steal = (steal + 1) % cpus;
    } while (node === NONE && steal !== first);
    local.steal = steal;
    return node;
  }

  #popFree(local: LocalLists): Node {
    const node = this.#first(local.free);
    if (node !== NONE) this.#unlink(node);
    return node;
  }

  #popPending(local: LocalLists): Node {
    for (const force of [false, true]) {
      for (let node = this.#prev[local.pending]!; node !== local.pending; node = this.#prev[node]!) {
        if ((this.#marked[node] && !force) || !this.#options.evict(node)) continue;
        this.#unlink(node);
        return node;
      }
    }
    return NONE;
  }

  /** Fills a CPU's stock from the common list. */
  #restock(local: LocalLists): void {
    const lists = this.#lists[0]!;
    for (let node = this.#prev[local.pending]!; node !== local.pending; ) {
      const before = this.#prev[node]!;
      this.#enter(lists, node, this.#marked[node] ? STATE.active : STATE.inactive);
      node = before;
    }
    this.#rotate(lists);
    let taken = 0;
    for (let node = this.#next[lists.free]!; node !== lists.free && taken < this.#target; taken++) {
      const after = this.#next[node]!;
      this.#state[node] = STATE.localFree;
      this.#moveTo(node, local.free);
      node = after;
    }
    if (taken < this.#target) this.#shrink(lists, this.#target - taken, local.free, STATE.localFree);
  }

  #rotate(lists: LruLists): void {
    if (lists.inactiveCount < lists.activeCount) this.#rotateActive(lists);
    this.#rotateInactive(lists);
  }

  /** Lets those go to the inactive that were not used since. */
  #rotateActive(lists: LruLists): void {
    const first = this.#next[lists.active]!;
    let node = this.#prev[lists.active]!;
    for (let i = 0; i < this.#scans && node !== lists.active; i++) {
      const before = this.#prev[node]!;
      const last = node === first;
      this.#move(lists, node, this.#marked[node] ? STATE.active : STATE.inactive);
      if (last) return;
      node = before;
    }
  }

  /** Lets those go to the active that were used since. */
  #rotateInactive(lists: LruLists): void {
    const { inactive } = lists;
    if (this.#next[inactive] === inactive) return;
    let last = this.#next[lists.rotation]!;
    if (last === inactive) last = this.#next[last]!;
    let node = lists.rotation;
    let before = node;
    for (let i = 0; i < this.#scans; ) {
      if (node === inactive) {
        node = this.#prev[node]!;
        continue;
      }
      before = this.#prev[node]!;
      if (this.#marked[node]) this.#move(lists, node, STATE.active);
      if (node === last) break;
      node = before;
      i++;
    }
    lists.rotation = before;
  }

  #shrink(lists: LruLists, wanted: number, to: List, state: State): void {
    if (this.#shrinkInactive(lists, wanted, to, state) > 0) return;
    // All were used: the oldest goes nevertheless.
    const from = this.#next[lists.inactive] === lists.inactive ? lists.active : lists.inactive;
    for (let node = this.#prev[from]!; node !== from; node = this.#prev[node]!) {
      if (!this.#options.evict(node)) continue;
      this.#leave(lists, node, to, state);
      return;
    }
  }

  #shrinkInactive(lists: LruLists, wanted: number, to: List, state: State): number {
    let taken = 0;
    let node = this.#prev[lists.inactive]!;
    for (let i = 0; i < this.#scans && node !== lists.inactive; i++) {
      const before = this.#prev[node]!;
      if (this.#marked[node]) {
        this.#move(lists, node, STATE.active);
      } else if (this.#options.evict(node)) {
        this.#leave(lists, node, to, state);
        taken += 1;
        if (taken === wanted) break;
      }
      node = before;
    }
    return taken;
  }

  /** From one of the lists to another, or to its front. */
  #move(lists: LruLists, node: Node, to: State): void {
    if (this.#state[node] !== to) {
      this.#count(lists, node, -1);
      this.#state[node] = to;
      this.#count(lists, node, 1);
    }
    this.#marked[node] = 0;
    if (lists.rotation === node) lists.rotation = this.#prev[node]!;
    const list = to === STATE.active ? lists.active : to === STATE.inactive ? lists.inactive : lists.free;
    this.#moveTo(node, list);
  }

  /** From a CPU's list to one of the common lists. */
  #enter(lists: LruLists, node: Node, to: State): void {
    this.#state[node] = to;
    this.#count(lists, node, 1);
    this.#marked[node] = 0;
    this.#moveTo(node, to === STATE.active ? lists.active : lists.inactive);
  }

  /** Out of the lists, to be taken. */
  #leave(lists: LruLists, node: Node, to: List, state: State): void {
    if (lists.rotation === node) lists.rotation = this.#prev[node]!;
    this.#count(lists, node, -1);
    this.#state[node] = state;
    this.#moveTo(node, to);
  }

  #count(lists: LruLists, node: Node, by: number): void {
    if (this.#state[node] === STATE.active) lists.activeCount += by;
    if (this.#state[node] === STATE.inactive) lists.inactiveCount += by;
  }

  #first(list: List): Node {
    const node = this.#next[list]!;
    return node === list ? NONE : node;
  }

  #unlink(node: Node): void {
    const next = this.#next[node]!;
    const prev = this.#prev[node]!;
    this.#next[prev] = next;
    this.#prev[next] = prev;
  }

  #insert(node: Node, list: List): void {
    const next = this.#next[list]!;
    this.#next[list] = node;
    this.#prev[node] = list;
    this.#next[node] = next;
    this.#prev[next] = node;
  }

  #moveTo(node: Node, list: List): void {
    this.#unlink(node);
    this.#insert(node, list);
  }
}
