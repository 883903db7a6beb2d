/**
 * Writes a control-flow graph as WebAssembly's structured control: from the dominator tree, as Norman Ramsey's
 * "Beyond Relooper" (ICFP 2022) does, with a list of work in place of recursion.
 *
 * A block that several jumps reach stands behind a `block` that its dominator opens; a loop's head is in a `loop`; a block
 * that one jump reaches is written where the jump is. The code of a tree never falls out of its end.
 */
import { type Graph, NOWHERE } from './graph.ts';
import type { ByteWriter } from './wasm/bytes.ts';
import { OP, TYPE } from './wasm/opcodes.ts';

/** Writes what the blocks hold. */
export interface BlockWriter {
  readonly out: ByteWriter;
  /** All instructions of the block but a jump at its end. */
  body(block: number): void;
  /** What the head of a loop does each time around. */
  loopHead(block: number): void;
  /** Leaves an i32 on the stack: whether the jump at the block's end is taken (or, negated, is not). */
  condition(block: number, negated: boolean): void;
  /** Ends the function: the block's last instruction is an exit. */
  exit(block: number): void;
  /** Control would leave the function's instructions. */
  nowhere(block: number): void;
  /** The local that tells a dispatcher where to go. */
  readonly dispatchLocal: number;
}

const TREE = 0;
const END = 1;
const GO = 2;

export function writeStructured(graph: Graph, writer: BlockWriter): void {
  new Structure(graph, writer).write();
}

class Structure {
  readonly #graph: Graph;
  readonly #writer: BlockWriter;
  readonly #out: ByteWriter;
  /** By block: the blocks that it dominates immediately and that need a label, the last in order first. */
  readonly #labelled: readonly (readonly number[])[];
  /** By block: depth of the label behind which it stands, and of its loop. */
  readonly #blockDepth: Int32Array;
  readonly #loopDepth: Int32Array;
  /** Labels that are open. */
  #depth = 0;
  /** Triples: from which block, to which, and what to do. The last is done first. */
  readonly #work: number[] = [];

  constructor(graph: Graph, writer: BlockWriter) {
    this.#graph = graph;
    this.#writer = writer;
    this.#out = writer.out;
    const { blocks, order, idom, merges } = graph;
    const labelled: number[][] = blocks.map(() => []);
    for (let i = order.length - 1; i > 0; i--) {
      const block = order[i]!;
      if (merges[block] === 1) labelled[idom[block]!]!.push(block);
    }
    this.#labelled = labelled;
    this.#blockDepth = new Int32Array(blocks.length);
    this.#loopDepth = new Int32Array(blocks.length);
  }

  write(): void {
    const entry = this.#graph.order[0]!;
    const redirect = this.#graph.redirects.get(0);
    if (redirect) this.#choose(redirect.index);
    this.#work.push(entry, entry, TREE);
    while (this.#work.length > 0) {
      const action = this.#work.pop()!;
      const to = this.#work.pop()!;
      const from = this.#work.pop()!;
      if (action === TREE) this.#tree(to);
      else if (action === GO) this.#go(from, to);
      else {
        this.#out.u8(OP.end);
        this.#depth--;
      }
    }
    // For the validator: no tree falls out of its end.
    this.#out.u8(OP.unreachable);
  }

  #open(op: number): number {
    this.#out.u8(op);
    this.#out.u8(TYPE.none);
    return this.#depth++;
  }

  #tree(block: number): void {
    const { loops } = this.#graph;
    if (loops[block] === 1) {
      this.#loopDepth[block] = this.#open(OP.loop);
      this.#work.push(block, block, END);
    }
    for (const merge of this.#labelled[block]!) {
      this.#blockDepth[merge] = this.#open(OP.block);
      this.#work.push(merge, merge, TREE, merge, merge, END);
    }
    if (loops[block] === 1) this.#writer.loopHead(block);
    this.#writer.body(block);
    this.#leave(block);
  }

  #leave(from: number): void {
    const { blocks } = this.#graph;
    const { end, taken, next, targets } = blocks[from]!;
    switch (end) {
      case 'exit':
        this.#writer.exit(from);
        return;
      case 'goto':
        this.#go(from, next);
        return;
      case 'dispatch':
        this.#out.u8(OP.local_get);
        this.#out.u32(this.#writer.dispatchLocal);
        this.#out.u8(OP.br_table);
        this.#out.u32(targets.length - 1);
        for (const target of targets) this.#out.u32(this.#labelOf(from, target));
        return;
      case 'branch':
        this.#branch(from, taken, next);
        return;
    }
  }

  #branch(from: number, taken: number, next: number): void {
    const writer = this.#writer;
    if (this.#isPlainLabel(from, taken)) {
      writer.condition(from, false);
      this.#out.u8(OP.br_if);
      this.#out.u32(this.#labelOf(from, taken));
      this.#go(from, next);
    } else if (this.#isPlainLabel(from, next)) {
      writer.condition(from, true);
      this.#out.u8(OP.br_if);
      this.#out.u32(this.#labelOf(from, next));
      this.#go(from, taken);
    } else {
      writer.condition(from, false);
      this.#open(OP.if);
      // What falls through comes behind the end of what is taken, which never reaches it.
      this.#work.push(from, next, GO, from, from, END, from, taken, GO);
    }
  }

  /** Goes to a block for good: a branch to its label, or its code itself. */
  #go(from: number, to: number): void {
    if (to === NOWHERE) {
      this.#writer.nowhere(from);
      return;
    }
    this.#chooseFor(to);
    const target = this.#through(to);
    if (this.#hasLabel(from, target)) {
      this.#out.u8(OP.br);
      this.#out.u32(this.#labelOf(from, target));
    } else this.#work.push(from, target, TREE);
  }

  #through(to: number): number {
    return this.#graph.redirects.get(to)?.dispatcher ?? to;
  }

  #chooseFor(to: number): void {
    const redirect = this.#graph.redirects.get(to);
    if (redirect) this.#choose(redirect.index);
  }

  #choose(index: number): void {
    this.#out.u8(OP.i32_const);
    this.#out.s32(index);
    this.#out.u8(OP.local_set);
    this.#out.u32(this.#writer.dispatchLocal);
  }

  #isBack(from: number, to: number): boolean {
    const { rank } = this.#graph;
    return rank[to]! <= rank[from]!;
  }

  #hasLabel(from: number, to: number): boolean {
    return this.#graph.merges[to] === 1 || this.#isBack(from, to);
  }

  /** Whether one `br` gets there. */
  #isPlainLabel(from: number, to: number): boolean {
    return to !== NOWHERE && !this.#graph.redirects.has(to) && this.#hasLabel(from, to);
  }

  #labelOf(from: number, to: number): number {
    const at = this.#isBack(from, to) ? this.#loopDepth[to]! : this.#blockDepth[to]!;
    return this.#depth - 1 - at;
  }
}
