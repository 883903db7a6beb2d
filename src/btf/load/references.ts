/**
 * What Linux demands of the types that a type refers to: it follows them depth first, types of values to where their size
 * is known, pointers to where the next pointer or struct stands.
 *
 * @see kernel/bpf/btf.c, btf_resolve and behind it
 */
import type { BtfLog } from './log.ts';
import { isRegularInt, memberProblem, type Sizes } from './members.ts';
import { type BtfRefusal, refusal } from './refusal.ts';
import type { BtfSource, RawType } from './source.ts';

type Kind = RawType['kind'];
const kinds = (...names: Kind[]): ReadonlySet<Kind> => new Set(names);

const MODIFIERS = kinds('typedef', 'volatile', 'const', 'restrict', 'type_tag');
const COMPOSITES = kinds('struct', 'union');
/** Nothing may refer to them but what is about them. */
const SOURCES = kinds('var', 'decl_tag', 'datasec');
const SIZELESS = kinds('void', 'fwd', 'func', 'func_proto', 'decl_tag');
const SIZED = kinds('int', 'struct', 'union', 'enum', 'datasec', 'float', 'enum64');
/** Kinds that are followed. */
const FOLLOWED = kinds(...MODIFIERS, ...COMPOSITES, ...SOURCES, 'ptr', 'array', 'func');
const TAGGED = kinds('func', 'struct', 'union', 'var', 'typedef');
const POINTER = 8;
const MAX_DEPTH = 32;
const MOST = 0xffff_ffff;

/** Where following stops: nowhere special yet, at what a pointer needs, at what a value needs. */
type Mode = 'any' | 'pointer' | 'value';

interface Vertex {
  readonly type: RawType;
  /** Where a struct or a section goes on. */
  next: number;
}

/** What a step does: it is done with the type, goes on with another one, or has found what is wrong. */
type Step = 'done' | { readonly follow: RawType } | { readonly refused: BtfRefusal };

export class References implements Sizes {
  readonly source: BtfSource;
  readonly #log: BtfLog;
  readonly #state = new Map<number, 'visited' | 'resolved'>();
  /** What modifiers, pointers and variables come to, and sizes of arrays. */
  readonly #ids = new Map<number, number>();
  readonly #sizes = new Map<number, number>();
  #stack: Vertex[] = [];
  #mode: Mode = 'any';

  constructor(source: BtfSource, log: BtfLog) {
    this.source = source;
    this.#log = log;
  }

  /** Follows every type. */
  check(): BtfRefusal | undefined {
    const { source } = this;
    for (let id = source.firstId; id < source.endId; id++) {
      const type = source.type(id)!;
      const found =
        FOLLOWED.has(type.kind) && !this.#isResolved(id)
          ? this.#resolve(type)
          : type.kind === 'func_proto'
            ? this.#prototypeProblem(type)
            : undefined;
      if (found) return found;
    }
    return undefined;
  }

  #isResolved(id: number): boolean {
    return id < this.source.firstId || this.#state.get(id) === 'resolved';
  }

  #isSink({ kind }: RawType): boolean {
    switch (this.#mode) {
      case 'any':
        return !FOLLOWED.has(kind);
      case 'pointer':
        return !MODIFIERS.has(kind) && kind !== 'ptr';
      case 'value':
        return !MODIFIERS.has(kind) && kind !== 'array' && !COMPOSITES.has(kind);
    }
  }

  /** Whether the type has to be followed before what refers to it can go on. */
  #isOpen(type: RawType): boolean {
    return !this.#isSink(type) && !this.#isResolved(type.id);
  }

  sized(id: number): { readonly type: RawType; readonly size: number } | undefined {
    const { source } = this;
    let type = source.type(id);
    if (!type || SIZELESS.has(type.kind)) return undefined;
    let of = id;
    if (MODIFIERS.has(type.kind) || type.kind === 'var') {
      of = this.#resolvedId(id);
      type = source.type(of);
      if (!type || SIZELESS.has(type.kind)) return undefined;
    }
    if (SIZED.has(type.kind)) return { type, size: type.third };
    // An array behind a modifier has its size under its own id.
    if (type.kind === 'array') return { type, size: this.#arraySize(of) };
    return type.kind === 'ptr' ? { type, size: POINTER } : undefined;
  }

  #resolvedId(id: number): number {
    if (id >= this.source.firstId) return this.#ids.get(id) ?? 0;
    let type = this.source.type(id);
    while (type && MODIFIERS.has(type.kind)) type = this.source.type(type.third);
    return type?.id ?? 0;
  }

  #arraySize(id: number): number {
    if (id >= this.source.firstId) return this.#sizes.get(id) ?? 0;
    const array = this.source.type(id)!;
    const size = this.sized(this.source.extra(array, 0))?.size ?? 0;
    return size * this.source.extra(array, 2);
  }

  #push(type: RawType): 'deep' | 'loop' | undefined {
    if (this.#stack.length === MAX_DEPTH) return 'deep';
    if (type.id < this.source.firstId || this.#state.has(type.id)) return 'loop';
    this.#state.set(type.id, 'visited');
    this.#stack.push({ type, next: 0 });
    if (this.#mode === 'any') {
      if (type.kind === 'ptr') this.#mode = 'pointer';
      else if (COMPOSITES.has(type.kind) || type.kind === 'array') this.#mode = 'value';
    }
    return undefined;
  }

  #pop(id: number, size: number): Step {
    const { type } = this.#stack.pop()!;
    this.#ids.set(type.id, id);
    this.#sizes.set(type.id, size);
    this.#state.set(type.id, 'resolved');
    return 'done';
  }

  #resolve(start: RawType): BtfRefusal | undefined {
    this.#mode = 'any';
    this.#stack = [];
    let problem = this.#push(start);
    while (problem === undefined) {
      const vertex = this.#stack.at(-1);
      if (vertex === undefined) break;
      const step = this.#step(vertex);
      if (step === 'done') continue;
      if ('refused' in step) return step.refused;
      problem = this.#push(step.follow);
    }
    if (problem === undefined) {
      return this.#isWellResolved(start) ? undefined : this.#refuse(start, 'Invalid resolve state');
    }
    const words = problem === 'deep' ? `Exceeded max resolving depth:${MAX_DEPTH}` : 'Loop detected';
    this.#log.type(start, words);
    return { ...refusal(words, start.id), errno: problem === 'deep' ? 'E2BIG' : 'EEXIST' };
  }

  /** Modifiers and pointers came to a type that is neither modifier nor variable. */
  #isWellResolved(type: RawType): boolean {
    const behind = (): Kind | undefined => this.source.type(this.#resolvedId(type.id))?.kind;
    if (MODIFIERS.has(type.kind) || type.kind === 'ptr' || type.kind === 'var') {
      const kind = behind();
      return kind !== undefined && !MODIFIERS.has(kind) && kind !== 'var' && kind !== 'datasec';
    }
    if (type.kind !== 'array') return true;
    const element = this.sized(this.source.extra(type, 0));
    if (element === undefined || MODIFIERS.has(element.type.kind)) return false;
    return Math.imul(this.source.extra(type, 2), element.size) >>> 0 === this.#sizes.get(type.id);
  }

  #refuse(type: RawType, problem: string): BtfRefusal {
    this.#log.type(type, problem);
    return refusal(problem, type.id);
  }

  #fail(type: RawType, problem: string): Step {
    return { refused: this.#refuse(type, problem) };
  }

  #step(vertex: Vertex): Step {
    const { type } = vertex;
    switch (type.kind) {
      case 'typedef':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
        return this.#followOne(type, false);
      case 'ptr':
        return this.#followOne(type, true);
      case 'var':
        return this.#variable(type);
      case 'array':
        return this.#array(type);
      case 'struct':
      case 'union':
        return this.#composite(vertex);
      case 'func':
        return this.#function(type);
      case 'datasec':
        return this.#section(vertex);
      case 'decl_tag':
        return this.#tag(type);
      default:
        this.#log.basic(type, 'Unsupported resolve');
        return { refused: refusal('Unsupported resolve', type.id) };
    }
  }

  /** A modifier that came to a pointer while a value was followed: the pointer is still to be followed. */
  #pointerBehind(type: RawType): RawType | undefined {
    if (!MODIFIERS.has(type.kind)) return undefined;
    const behind = this.source.type(this.#resolvedId(type.id));
    return behind?.kind === 'ptr' && this.#isOpen(behind) ? behind : undefined;
  }

  #followOne(type: RawType, pointer: boolean): Step {
    const next = this.source.type(type.third);
    if (!next || SOURCES.has(next.kind)) return this.#fail(type, 'Invalid type_id');
    if (this.#isOpen(next)) return { follow: next };
    const behind = pointer ? this.#pointerBehind(next) : undefined;
    if (behind) return { follow: behind };
    const sized = this.sized(next.id);
    if (sized) return this.#pop(sized.type.id, 0);
    // A type without a size, or one behind modifiers.
    const followed = this.#isResolved(next.id) && FOLLOWED.has(next.kind);
    const end = followed ? this.source.type(this.#resolvedId(next.id)) : next;
    if (end?.kind !== 'void' && end?.kind !== 'fwd' && end?.kind !== 'func_proto') {
      return this.#fail(type, 'Invalid type_id');
    }
    return this.#pop(end.id, 0);
  }

  #variable(type: RawType): Step {
    const next = this.source.type(type.third);
    if (!next || SOURCES.has(next.kind)) return this.#fail(type, 'Invalid type_id');
    if (this.#isOpen(next)) return { follow: next };
    const behind = this.#pointerBehind(next);
    if (behind) return { follow: behind };
    const sized = this.sized(next.id);
    return sized ? this.#pop(sized.type.id, 0) : this.#fail(type, 'Invalid type_id');
  }

  #array(type: RawType): Step {
    const { source } = this;
    const isWrong = (next: RawType | undefined): next is undefined =>
      !next || SIZELESS.has(next.kind) || SOURCES.has(next.kind);
    const index = source.type(source.extra(type, 1));
    if (isWrong(index)) return this.#fail(type, 'Invalid index');
    if (this.#isOpen(index)) return { follow: index };
    const indexType = this.sized(index.id)?.type;
    if (indexType?.kind !== 'int' || !isRegularInt(source, indexType)) {
      return this.#fail(type, 'Invalid index');
    }
    const element = source.type(source.extra(type, 0));
    if (isWrong(element)) return this.#fail(type, 'Invalid elem');
    if (this.#isOpen(element)) return { follow: element };
    const sized = this.sized(element.id);
    if (!sized) return this.#fail(type, 'Invalid elem');
    if (sized.type.kind === 'int' && !isRegularInt(source, sized.type)) {
      return this.#fail(type, 'Invalid array of int');
    }
    const bytes = sized.size * source.extra(type, 2);
    if (bytes > MOST) return this.#fail(type, 'Array size overflows U32_MAX');
    return this.#pop(sized.type.id, bytes);
  }

  #composite(vertex: Vertex): Step {
    const { type } = vertex;
    const { source } = this;
    // The member for which another type was followed is looked at now.
    for (let i = Math.max(vertex.next - 1, 0); i < type.vlen; i++) {
      const member = source.type(source.extra(type, 3 * i + 1));
      let problem: string | undefined;
      if (!member || SIZELESS.has(member.kind) || SOURCES.has(member.kind)) problem = 'Invalid member';
      else if (this.#isOpen(member)) {
        vertex.next = i + 1;
        return { follow: member };
      } else problem = memberProblem(this, type, i);
      if (problem === undefined) continue;
      this.#log.type(type);
      // What is wrong with a type behind modifiers is said of that type.
      const behind = member && MODIFIERS.has(member.kind) ? this.sized(member.id) : undefined;
      this.#log.member(type, i, problem, behind?.type.id);
      return { refused: refusal(problem, type.id, i) };
    }
    return this.#pop(0, 0);
  }

  #function(type: RawType): Step {
    const { source } = this;
    const proto = source.type(type.third);
    if (proto?.kind !== 'func_proto') return this.#fail(type, 'Invalid type_id');
    for (let i = 0; i < proto.vlen; i++) {
      if (source.extra(proto, 2 * i) !== 0 || source.extra(proto, 2 * i + 1) === 0) continue;
      const problem = `Invalid arg#${i + 1}`;
      this.#log.type(type, problem);
      return { refused: refusal(problem, type.id, i) };
    }
    return this.#pop(type.third, 0);
  }

  #section(vertex: Vertex): Step {
    const { type } = vertex;
    const { source } = this;
    this.#mode = 'any';
    for (let i = vertex.next; i < type.vlen; i++) {
      const variable = source.type(source.extra(type, 3 * i));
      let problem: string | undefined;
      if (variable?.kind !== 'var') problem = 'Not a VAR kind member';
      else if (this.#isOpen(variable)) {
        vertex.next = i + 1;
        return { follow: variable };
      } else {
        const sized = this.sized(variable.third);
        if (!sized) problem = 'Invalid type';
        else if (source.extra(type, 3 * i + 2) < sized.size) problem = 'Invalid size';
      }
      if (problem === undefined) continue;
      this.#log.type(type);
      this.#log.variable(type, i, problem);
      return { refused: refusal(problem, type.id, i) };
    }
    return this.#pop(0, 0);
  }

  #tag(type: RawType): Step {
    const { source } = this;
    const next = source.type(type.third);
    if (!next || !TAGGED.has(next.kind)) return this.#fail(type, 'Invalid type_id');
    if (this.#isOpen(next)) return { follow: next };
    const component = source.extra(type, 0) | 0;
    if (component !== -1) {
      const parts =
        next.kind === 'var' || next.kind === 'typedef'
          ? 0
          : next.kind === 'func'
            ? source.type(next.third)!.vlen
            : next.vlen;
      if (component >>> 0 >= parts) return this.#fail(type, 'Invalid component_idx');
    }
    return this.#pop(next.id, 0);
  }

  /** A function's types must have sizes. */
  #prototypeProblem(type: RawType): BtfRefusal | undefined {
    const { source } = this;
    const sizeProblem = (id: number, problem: string): BtfRefusal | undefined => {
      const of = source.type(id);
      if (!of || SOURCES.has(of.kind)) return this.#refuse(type, problem);
      if (FOLLOWED.has(of.kind) && !this.#isResolved(id)) {
        const found = this.#resolve(of);
        if (found) return found;
      }
      return this.sized(id) ? undefined : this.#refuse(type, problem);
    };
    if (type.third !== 0) {
      const found = sizeProblem(type.third, 'Invalid return type');
      if (found) return found;
    }
    let count = type.vlen;
    if (count > 0 && source.extra(type, 2 * count - 1) === 0) {
      // The last one may stand for any others; then it has no name.
      if (source.extra(type, 2 * count - 2) !== 0) return this.#refuse(type, `Invalid arg#${count}`);
      count--;
    }
    for (let i = 0; i < count; i++) {
      const problem = `Invalid arg#${i + 1}`;
      const name = source.extra(type, 2 * i);
      const of = source.type(source.extra(type, 2 * i + 1));
      const named = name === 0 || (source.isNameOffset(name) && source.isIdentifier(name));
      if (!of || SOURCES.has(of.kind) || !named) return this.#refuse(type, problem);
      const found = sizeProblem(of.id, problem);
      if (found) return found;
    }
    return undefined;
  }
}
