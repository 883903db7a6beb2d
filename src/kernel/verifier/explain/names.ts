/** Names that a person gave things, out of the source lines that instructions came from. */

/** What a statement assigns to: `count` of `__u64 *count = lookup(…);`. */
export function assigned(line: string): string | undefined {
  return /(?:^|[^\w.>])([A-Za-z_]\w*(?:(?:->|\.)\w+)*)\s*=(?!=)/.exec(line)?.[1];
}

/** The last subscript: `i` of `table->slot[i] = 1`. */
export function subscript(line: string): string | undefined {
  return [...line.matchAll(/\[([^[\]]+)\]/g)].at(-1)?.[1]?.trim();
}

/** An argument of a call as it is written; the first one is 0. Calls that go on in the next line tell nothing. */
export function argumentText(line: string, callee: string, index: number): string | undefined {
  const start = line.indexOf(`${callee}(`);
  if (start < 0) return undefined;
  const found: string[] = [];
  let depth = 0;
  let text = '';
  for (const char of line.slice(start + callee.length + 1)) {
    if (char === ')' && depth === 0) return [...found, text][index]?.trim();
    if (char === ',' && depth === 0) {
      found.push(text);
      text = '';
      continue;
    }
    if (char === '(' || char === '[' || char === '{') depth++;
    if (char === ')' || char === ']' || char === '}') depth--;
    text += char;
  }
  return undefined;
}

/** Whether a text can stand in a condition as it is. */
export const isName = (text: string): boolean => /^[A-Za-z_]\w*(?:(?:->|\.)\w+)*$/.test(text);
