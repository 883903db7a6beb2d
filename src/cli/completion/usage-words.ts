/** What may stand where in an object's command lines, read from its usage text: completion needs no table of its own. */

type Node =
  | { readonly kind: 'word' | 'value'; readonly text: string }
  | { readonly kind: 'all' | 'one'; readonly of: readonly Node[] }
  | { readonly kind: 'maybe'; readonly of: Node };

/** What may come next. */
export interface Next {
  readonly words: ReadonlySet<string>;
  /** The path of a file, too. */
  readonly files: boolean;
}

/** A command of an object: what may follow it, each of its words, and a value (a name, a number, a path). */
export interface CommandWords {
  first: Next;
  readonly afterWord: Map<string, Next>;
  afterValue: Next;
}

/** Values that are paths, by the names that usage texts give them. */
const PATHS = /^(OBJ|OBJECT|PATH|FILE|INPUT|OUTPUT|CGROUP|CGROUP_ROOT|[A-Z]+_(FILE|DIR))$/;
const NOTHING: Next = { words: new Set(), files: false };

function either(a: Next, b: Next): Next {
  return { words: new Set([...a.words, ...b.words]), files: a.files || b.files };
}

/** @param usage as an object's fact has it; lines that are no command lines are passed over */
export function commandWords(usage: string, object: string): ReadonlyMap<string, CommandWords> {
  const [forms = '', rest = ''] = usage.replace(/^Usage: /, '').split('\n\n');
  const named = definitions(rest);
  const commands = new Map<string, CommandWords>();
  const lines = forms.replaceAll(/\\?\n(?!\s+skep )/g, ' ').split('\n');
  for (const line of lines) {
    const nodes = parse(line.trim());
    const [program, name, command, ...tail] = nodes.kind === 'all' ? nodes.of : [nodes];
    if (!command || !isWord(program, 'skep') || !isWord(name, object)) continue;
    for (const word of wordsOf(command)) {
      const known = commands.get(word) ?? { first: NOTHING, afterWord: new Map(), afterValue: NOTHING };
      commands.set(word, known);
      known.first = either(known.first, walk({ kind: 'all', of: tail }, NOTHING, known, named, 0));
    }
  }
  return commands;
}

function isWord(node: Node | undefined, text: string): boolean {
  return node?.kind === 'word' && node.text === text;
}

function wordsOf(node: Node): readonly string[] {
  if (node.kind === 'word') return [node.text];
  return node.kind === 'one' ? node.of.flatMap(wordsOf) : [];
}

/** `MAP := { id MAP_ID | … }`, by name. */
function definitions(text: string): ReadonlyMap<string, Node> {
  const named = new Map<string, Node>();
  for (const part of text.split(/\n(?=\s*[A-Z_]+\s*:=)/)) {
    const found = /^\s*([A-Z_]+)\s*:=(.*)$/s.exec(part);
    if (found && found[1] !== 'OPTIONS') named.set(found[1]!, parse(found[2]!));
  }
  return named;
}

/** Definitions that name each other would not end. */
const DEEPEST = 8;

/** @param after what may follow the node. @returns what may stand where it begins */
function walk(
  node: Node,
  after: Next,
  command: CommandWords,
  named: ReadonlyMap<string, Node>,
  depth: number,
): Next {
  switch (node.kind) {
    case 'word':
      command.afterWord.set(node.text, either(command.afterWord.get(node.text) ?? NOTHING, after));
      return { words: new Set([node.text]), files: false };
    case 'value': {
      const meaning = named.get(node.text);
      if (meaning && depth < DEEPEST) return walk(meaning, after, command, named, depth + 1);
      command.afterValue = either(command.afterValue, after);
      return { words: new Set(), files: PATHS.test(node.text) };
    }
    case 'all':
      return node.of.reduceRight((next, part) => walk(part, next, command, named, depth), after);
    case 'one':
      return node.of.map((part) => walk(part, after, command, named, depth)).reduce(either, NOTHING);
    case 'maybe':
      return either(walk(node.of, after, command, named, depth), after);
    default:
      return node satisfies never;
  }
}

/** Reads the notation of usage texts: `{ a | b }`, `[c]`, words, and VALUES in capitals or `<angles>`. */
function parse(text: string): Node {
  const tokens = text.replaceAll('**', '').match(/[[\]{}|]|[^\s[\]{}|]+/g) ?? [];
  let at = 0;
  const choice = (): Node => {
    const parts: Node[] = [sequence()];
    while (tokens[at] === '|') {
      at++;
      parts.push(sequence());
    }
    return parts.length === 1 ? parts[0]! : { kind: 'one', of: parts };
  };
  const sequence = (): Node => {
    const parts: Node[] = [];
    for (let token = tokens[at]; token !== undefined && !'|]}'.includes(token); token = tokens[at]) {
      at++;
      if (token === '{' || token === '[') {
        const inner = choice();
        at++;
        parts.push(token === '{' ? inner : { kind: 'maybe', of: inner });
      } else if (!/^(\\|\.\.\.)$/.test(token)) parts.push(leaf(token.replace(/\.\.\.$/, '')));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'all', of: parts };
  };
  return choice();
}

function leaf(token: string): Node {
  if (/^<.*>$/.test(token) || /^[A-Z][A-Z0-9_:]*s?$/.test(token)) {
    return { kind: 'value', text: token.replace(/s$/, '') };
  }
  return { kind: 'word', text: token };
}
