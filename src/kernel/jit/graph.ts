/**
 * The control-flow graph of one function: its basic blocks in reverse postorder with their immediate dominators, made
 * reducible. Everything is iterative and, for graphs as compilers make them, linear in the number of instructions.
 */
import type { Insn } from '../../isa/index.ts';
import type { InsnProof } from '../verifier/index.ts';

/** A successor that is no block: control leaves the function's instructions there, which verified programs don't. */
export const NOWHERE = -1;

export interface Block {
  /** Slots of the instructions, `last` is where control may go elsewhere; both -1 for a dispatcher. */
  readonly first: number;
  readonly last: number;
  /** Where a jump that is taken goes; `NOWHERE` for what only falls through or ends. */
  taken: number;
  /** Where control goes else. */
  next: number;
  /** How the block ends. */
  readonly end: 'exit' | 'goto' | 'branch' | 'dispatch';
  /** Of a dispatcher: the blocks that it chooses from. */
  readonly targets: readonly number[];
}

export interface Graph {
  readonly blocks: readonly Block[];
  /** Blocks in reverse postorder; the entry is first. Unreachable ones are not in it. */
  readonly order: readonly number[];
  /** By block: its place in `order`. */
  readonly rank: Int32Array;
  /** By block: its immediate dominator; the entry's is itself. */
  readonly idom: Int32Array;
  /** By block: 1 when a jump goes back to it. */
  readonly loops: Uint8Array;
  /** By block: 1 when several forward jumps reach it, so that it needs a label. */
  readonly merges: Uint8Array;
  /** By block: the dispatcher that jumps to it go through and which of its targets it is; empty in reducible graphs. */
  readonly redirects: ReadonlyMap<number, { readonly dispatcher: number; readonly index: number }>;
}

export interface FunctionRange {
  /** Slots, the end exclusive. */
  readonly start: number;
  readonly end: number;
}

export function buildGraph(
  insns: readonly (Insn | undefined)[],
  range: FunctionRange,
  proofs: ReadonlyMap<number, InsnProof>,
): Graph {
  const blocks = findBlocks(insns, range, proofs);
  const first = analyse(blocks, new Map());
  if (first.irreducible.length === 0) return first.graph;
  return analyse(blocks, addDispatchers(blocks, first)).graph;
}

/** Where an instruction sends control: slots, or `NOWHERE`. */
interface Flow {
  readonly end: Block['end'] | undefined;
  readonly taken: number;
  readonly next: number;
}

function flowOf(insn: Insn, slot: number, proof: InsnProof | undefined): Flow {
  const after = slot + (insn.kind === 'ldimm64' ? 2 : 1);
  switch (insn.kind) {
    case 'exit':
      return { end: 'exit', taken: NOWHERE, next: NOWHERE };
    case 'ja':
      return { end: 'goto', taken: NOWHERE, next: after + insn.off };
    case 'may_goto':
      return { end: 'branch', taken: after + insn.off, next: after };
    case 'jmp':
      if (proof?.branch === 'never' || insn.off === 0) return { end: 'goto', taken: NOWHERE, next: after };
      if (proof?.branch === 'always') return { end: 'goto', taken: NOWHERE, next: after + insn.off };
      return { end: 'branch', taken: after + insn.off, next: after };
    default:
      return { end: undefined, taken: NOWHERE, next: after };
  }
}

function findBlocks(
  insns: readonly (Insn | undefined)[],
  { start, end }: FunctionRange,
  proofs: ReadonlyMap<number, InsnProof>,
): Block[] {
  const size = end - start;
  const inside = (slot: number) => slot >= start && slot < end && insns[slot] !== undefined;
  // Reachable slots, and those that begin a block: bits 1 and 2.
  const marks = new Uint8Array(size);
  const work = [start];
  if (inside(start)) marks[0]! |= 2;
  while (work.length > 0) {
    let slot = work.pop()!;
    while (inside(slot) && (marks[slot - start]! & 1) === 0) {
      marks[slot - start]! |= 1;
      const flow = flowOf(insns[slot]!, slot, proofs.get(slot));
      if (flow.end !== undefined) {
        for (const to of [flow.taken, flow.next]) if (inside(to)) marks[to - start]! |= 2;
      }
      if (flow.taken !== NOWHERE) work.push(flow.taken);
      slot = flow.next;
    }
  }
  const blockAt = new Int32Array(size).fill(NOWHERE);
  let count = 0;
  for (let i = 0; i < size; i++) if (marks[i] === 3) blockAt[i] = count++;
  const target = (slot: number) => (inside(slot) ? blockAt[slot - start]! : NOWHERE);
  const blocks: Block[] = [];
  for (let i = 0; i < size; i++) {
    if (marks[i] !== 3) continue;
    const first = start + i;
    let last = first;
    let flow = flowOf(insns[last]!, last, proofs.get(last));
    while (flow.end === undefined && inside(flow.next) && marks[flow.next - start] === 1) {
      last = flow.next;
      flow = flowOf(insns[last]!, last, proofs.get(last));
    }
    let { end: kind = 'goto' } = flow;
    const taken = target(flow.taken);
    const next = target(flow.next);
    if (kind === 'branch' && taken === next && insns[last]!.kind === 'jmp') kind = 'goto';
    blocks.push({ first, last, end: kind, taken: kind === 'branch' ? taken : NOWHERE, next, targets: [] });
  }
  return blocks;
}

type Redirects = ReadonlyMap<number, { readonly dispatcher: number; readonly index: number }>;

interface Analysis {
  readonly graph: Graph;
  /** Blocks that something jumps back to without being dominated by them. */
  readonly irreducible: readonly number[];
}

/** The blocks that control can go to from one, as they stand behind redirections. */
function successors(blocks: readonly Block[], redirects: Redirects, from: number): readonly number[] {
  const block = blocks[from]!;
  if (block.end === 'dispatch') return block.targets;
  const through = (to: number) => redirects.get(to)?.dispatcher ?? to;
  if (block.end === 'branch') {
    // The way that falls through is visited last, so that it comes first in reverse postorder.
    const found: number[] = [];
    if (block.taken !== NOWHERE) found.push(through(block.taken));
    if (block.next !== NOWHERE) found.push(through(block.next));
    return found;
  }
  return block.next === NOWHERE ? [] : [through(block.next)];
}

function analyse(blocks: readonly Block[], redirects: Redirects): Analysis {
  const count = blocks.length;
  const entry = redirects.get(0)?.dispatcher ?? 0;
  const edges = blocks.map((_, i) => successors(blocks, redirects, i));
  const order = reversePostorder(edges, entry);
  const rank = new Int32Array(count).fill(-1);
  for (const [i, block] of order.entries()) rank[block] = i;
  const loops = new Uint8Array(count);
  const merges = new Uint8Array(count);
  const preds: number[][] = blocks.map(() => []);
  // Descending rank, so that a dominator's search goes a step for each predecessor of a chain.
  for (let i = order.length - 1; i >= 0; i--) {
    const from = order[i]!;
    for (const to of edges[from]!) {
      if (rank[to]! <= i) loops[to] = 1;
      else preds[to]!.push(from);
    }
  }
  const idom = dominators(order, rank, preds);
  for (const block of order) if (preds[block]!.length > 1) merges[block] = 1;
  for (const block of blocks) for (const to of block.targets) merges[to] = 1;
  const irreducible = findIrreducible(edges, order, rank, idom);
  return { graph: { blocks, order, rank, idom, loops, merges, redirects }, irreducible };
}

function reversePostorder(edges: readonly (readonly number[])[], entry: number): number[] {
  const seen = new Uint8Array(edges.length);
  const next = new Int32Array(edges.length);
  const postorder: number[] = [];
  const path = [entry];
  seen[entry] = 1;
  while (path.length > 0) {
    const at = path[path.length - 1]!;
    const to = edges[at]![next[at]!++];
    if (to === undefined) {
      postorder.push(at);
      path.pop();
    } else if (seen[to] === 0) {
      seen[to] = 1;
      path.push(to);
    }
  }
  return postorder.reverse();
}

/** In a reducible graph the edges back change nothing about dominance, so one pass in order is enough. */
function dominators(
  order: readonly number[],
  rank: Int32Array,
  preds: readonly (readonly number[])[],
): Int32Array {
  const idom = new Int32Array(rank.length).fill(-1);
  idom[order[0]!] = order[0]!;
  for (let i = 1; i < order.length; i++) {
    const block = order[i]!;
    let dominator = -1;
    for (const pred of preds[block]!) {
      if (dominator < 0) dominator = pred;
      let other = pred;
      while (other !== dominator) {
        if (rank[other]! > rank[dominator]!) other = idom[other]!;
        else dominator = idom[dominator]!;
      }
    }
    idom[block] = dominator;
  }
  return idom;
}

function findIrreducible(
  edges: readonly (readonly number[])[],
  order: readonly number[],
  rank: Int32Array,
  idom: Int32Array,
): number[] {
  const back: [from: number, to: number][] = [];
  for (const from of order)
    for (const to of edges[from]!) if (rank[to]! <= rank[from]!) back.push([from, to]);
  if (back.length === 0) return [];
  const { enter, leave } = treeIntervals(order, idom);
  return back.flatMap(([from, to]) => (enter[to]! <= enter[from]! && leave[from]! <= leave[to]! ? [] : [to]));
}

/** Numbers the dominator tree: a block dominates another when its interval holds the other's. */
function treeIntervals(order: readonly number[], idom: Int32Array): { enter: Int32Array; leave: Int32Array } {
  const children: number[][] = Array.from(idom, () => []);
  for (let i = 1; i < order.length; i++) children[idom[order[i]!]!]!.push(order[i]!);
  const enter = new Int32Array(idom.length);
  const leave = new Int32Array(idom.length);
  let clock = 0;
  const work = [order[0]!];
  while (work.length > 0) {
    const at = work.pop()!;
    if (at < 0) {
      leave[~at] = clock++;
      continue;
    }
    enter[at] = clock++;
    work.push(~at);
    for (const child of children[at]!) work.push(child);
  }
  return { enter, leave };
}

/**
 * Gives each region of several entries that control can circle in one entry: a dispatcher, which all jumps to the
 * region's entries and to its loops' heads go through. What is left of the region then has no circles.
 */
function addDispatchers(blocks: Block[], { graph, irreducible }: Analysis): Redirects {
  const { order, rank } = graph;
  const edges = blocks.map((_, i) => successors(blocks, new Map(), i));
  const component = components(edges, order);
  const wild = new Set(irreducible.map((block) => component[block]!));
  const targets = new Map<number, Set<number>>([...wild].map((id) => [id, new Set<number>()]));
  for (const from of order) {
    for (const to of edges[from]!) {
      if (component[from] !== component[to] || rank[to]! <= rank[from]!) {
        targets.get(component[to]!)?.add(to);
      }
    }
  }
  targets.get(component[order[0]!]!)?.add(order[0]!);
  const redirects = new Map<number, { dispatcher: number; index: number }>();
  for (const set of targets.values()) {
    const list = [...set];
    const dispatcher = blocks.length;
    blocks.push({ first: -1, last: -1, end: 'dispatch', taken: NOWHERE, next: NOWHERE, targets: list });
    for (const [index, block] of list.entries()) redirects.set(block, { dispatcher, index });
  }
  return redirects;
}

/** Strongly connected components, by Tarjan's algorithm without recursion. */
function components(edges: readonly (readonly number[])[], order: readonly number[]): Int32Array {
  const index = new Int32Array(edges.length).fill(-1);
  const low = new Int32Array(edges.length);
  const component = new Int32Array(edges.length).fill(-1);
  const next = new Int32Array(edges.length);
  const stack: number[] = [];
  const path: number[] = [];
  let clock = 0;
  let found = 0;
  const enter = (at: number) => {
    index[at] = low[at] = clock++;
    stack.push(at);
    path.push(at);
  };
  enter(order[0]!);
  while (path.length > 0) {
    const at = path[path.length - 1]!;
    const to = edges[at]![next[at]!++];
    if (to !== undefined) {
      if (index[to]! < 0) enter(to);
      else if (component[to]! < 0) low[at] = Math.min(low[at]!, index[to]!);
      continue;
    }
    path.pop();
    const parent = path[path.length - 1];
    if (parent !== undefined) low[parent] = Math.min(low[parent]!, low[at]!);
    if (low[at] !== index[at]) continue;
    for (;;) {
      const member = stack.pop()!;
      component[member] = found;
      if (member === at) break;
    }
    found++;
  }
  return component;
}
