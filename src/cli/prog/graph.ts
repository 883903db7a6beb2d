/** A program's control flow as a graph in DOT, as `prog dump xlated PROG visual` draws it. */
import { hexText } from '../grammar/bytes.ts';
import type { ListedInsn, SourceLine } from './listing.ts';

const CLASS_JMP = 5;
const CLASS_JMP32 = 6;
const OP = { ja: 0x00, call: 0x80, exit: 0x90 } as const;
/** `BPF_JMP | BPF_CALL`, and the `src` that makes it a call of a function of the program. */
const CALL = 0x85;
const PSEUDO_CALL = 1;
/** Numbers of the blocks that stand for a function's beginning and its end. */
const ENTRY = 0;
const EXIT = 1;

interface Block {
  readonly number: number;
  readonly insns: readonly ListedInsn[];
}

const isJump = ({ slot }: ListedInsn): boolean =>
  (slot.code & 7) === CLASS_JMP || (slot.code & 7) === CLASS_JMP32;
const op = ({ slot }: ListedInsn): number => slot.code & 0xf0;
/** `gotol` has its distance in the immediate. */
const target = ({ index, slot }: ListedInsn): number =>
  index + 1 + ((slot.code & 7) === CLASS_JMP32 && (slot.code & 0xf0) === OP.ja ? slot.imm : slot.off);

/** Cuts at the starts: each part reaches to the next start. */
function cut(insns: readonly ListedInsn[], starts: ReadonlySet<number>): ListedInsn[][] {
  const parts: ListedInsn[][] = [];
  for (const insn of insns) {
    if (parts.length === 0 || starts.has(insn.index)) parts.push([]);
    parts.at(-1)!.push(insn);
  }
  return parts;
}

function blocksOf(insns: readonly ListedInsn[]): Block[] {
  const starts = new Set<number>();
  for (const insn of insns) {
    if (!isJump(insn) || op(insn) === OP.exit || op(insn) === OP.call) continue;
    starts.add(target(insn));
    if (op(insn) !== OP.ja) starts.add(insn.index + 1);
  }
  return cut(insns, starts).map((part, i) => ({ number: EXIT + 1 + i, insns: part }));
}

/** Where a block's end leads, by block number. */
function successors(block: Block, at: number, blocks: readonly Block[]): number[] {
  const last = block.insns.at(-1)!;
  const next = blocks[at + 1]?.number ?? EXIT;
  const goal = () => blocks.find(({ insns }) => insns[0]!.index === target(last))?.number ?? EXIT;
  if (!isJump(last) || op(last) === OP.call) return [next];
  if (op(last) === OP.exit) return [EXIT];
  return op(last) === OP.ja ? [goal()] : [next, goal()];
}

/** Characters that mean something in a record's label, in an instruction and in a line of source. */
const escapedInsn = (text: string): string => text.replace(/[<>|&]/g, (found) => `\\${found}`);
const escapedSource = (text: string): string => text.replace(/[\\"{}<>| ]/g, (found) => `\\${found}`);

/** What stands beside an instruction where it was asked for. */
export interface GraphOptions {
  readonly opcodes: boolean;
  readonly linum: boolean;
}

/** A line of a label, aligned to the left. */
const LINE_END = '\\l\\\n';
const LONGEST_PATH = 32;

/** The end of a long path, cut before a folder's name. */
function shortened(path: string): string {
  if (path.length <= LONGEST_PATH) return path;
  const slash = path.indexOf('/', path.length - LONGEST_PATH);
  const at = slash < 0 ? path.lastIndexOf('/') : slash < 3 ? 0 : slash;
  return at <= 0 ? path : `...${path.slice(at)}`;
}

function sourceLines(source: SourceLine, linum: boolean): string {
  if (source.text === '') return '';
  const file = shortened(source.file);
  const dots = file !== source.file ? '...' : '';
  const place = linum
    ? `; [${dots}${escapedSource(file.slice(dots.length))} line:${source.line} col:${source.column}]${LINE_END}`
    : '';
  return `${place}; ${escapedSource(source.text)}${LINE_END}`;
}

/** @param start where the block's function begins: instructions are counted from there */
function blockText(
  name: string,
  { insns }: Block,
  start: number,
  sources: Sources,
  { opcodes, linum }: GraphOptions,
): string {
  let text = '';
  let said: SourceLine | undefined;
  for (const insn of insns) {
    if (text !== '') text += '| ';
    if (insn.proto !== undefined) text += `; ${insn.proto}:${LINE_END}`;
    const source = sources(insn.index);
    if (source && source !== said) {
      text += sourceLines(source, linum);
      said = source;
    }
    text += `${insn.index - start}: ${escapedInsn(insn.text)}${LINE_END}`;
    if (opcodes) text += `\\ \\ \\ \\ ${hexText(insn.bytes)}${LINE_END}`;
  }
  // As bpftool, a block that ends in an instruction of two slots has the mark of a further row.
  const more = insns.at(-1)?.slots === 2 ? '| ' : '';
  return `\t${name} [shape=record,style=filled,label="{\\\n${text}${more}}"];\n\n`;
}

/** The line of source that an instruction comes from: that of the last instruction before it which has one. */
type Sources = (index: number) => SourceLine | undefined;

function sourcesOf(insns: readonly ListedInsn[]): Sources {
  const lines = new Map<number, SourceLine>();
  let last: SourceLine | undefined;
  for (const { index, source } of insns) {
    last = source ?? last;
    if (last) lines.set(index, last);
  }
  return (index) => lines.get(index);
}

/** The graph of all functions. */
export function graphText(insns: readonly ListedInsn[], options: GraphOptions): string {
  const starts = new Set<number>([0]);
  for (const insn of insns) {
    const { slot, index } = insn;
    if (slot.code === CALL && slot.src === PSEUDO_CALL) starts.add(index + 1 + slot.off);
  }
  const sources = sourcesOf(insns);
  let text = 'digraph "DOT graph for eBPF program" {\n';
  for (const [f, part] of cut(insns, starts).entries()) {
    const blocks = blocksOf(part);
    const name = (block: number) => `fn_${f}_bb_${block}`;
    const diamond = (block: number, label: string) =>
      `\t${name(block)} [shape=Mdiamond,style=filled,label="${label}"];\n\n`;
    const edge = (from: number, to: number) =>
      `\t${name(from)}:s -> ${name(to)}:n [style="solid,bold", color=black, weight=10, constraint=true];\n`;
    text += `subgraph "cluster_${f}" {\n\tstyle="dashed";\n\tcolor="black";\n\tlabel="func_${f} ()";\n`;
    text += diamond(ENTRY, 'ENTRY');
    for (const block of blocks) {
      text += blockText(name(block.number), block, part[0]!.index, sources, options);
    }
    text += diamond(EXIT, 'EXIT');
    text += edge(ENTRY, EXIT + 1);
    for (const [at, block] of blocks.entries()) {
      for (const to of successors(block, at, blocks)) text += edge(block.number, to);
    }
    text += `\t${name(ENTRY)}:s -> ${name(EXIT)}:n [style="invis", constraint=true];\n}\n`;
  }
  return `${text}}\n`;
}
