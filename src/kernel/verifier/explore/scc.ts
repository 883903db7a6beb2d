/** Loops: strongly connected components of the control flow between a program's instructions (Tarjan's algorithm, iterative). */

/**
 * @param successors slots that may run next in the same frame
 * @returns by slot: the component's number, from 1; 0 outside loops
 */
export function findLoops(slots: number, successors: (idx: number) => readonly number[]): Uint32Array {
  const component = new Uint32Array(slots);
  const order = new Uint32Array(slots);
  const low = new Uint32Array(slots);
  const open = new Uint8Array(slots);
  const path: number[] = [];
  let visited = 0;
  let components = 0;
  for (let root = 0; root < slots; root++) {
    if (order[root] !== 0) continue;
    const stack: { readonly at: number; next: number }[] = [];
    const enter = (at: number) => {
      order[at] = ++visited;
      low[at] = visited;
      open[at] = 1;
      path.push(at);
      stack.push({ at, next: 0 });
    };
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const { at } = top;
      const next = successors(at)[top.next++];
      if (next !== undefined) {
        if (order[next] === 0) enter(next);
        else if (open[next] === 1) low[at] = Math.min(low[at]!, order[next]!);
        continue;
      }
      stack.pop();
      const parent = stack.at(-1);
      if (parent !== undefined) low[parent.at] = Math.min(low[parent.at]!, low[at]!);
      if (low[at] !== order[at]) continue;
      const isLoop = path.at(-1) !== at || successors(at).includes(at);
      if (isLoop) components++;
      for (;;) {
        const member = path.pop()!;
        open[member] = 0;
        if (isLoop) component[member] = components;
        if (member === at) break;
      }
    }
  }
  return component;
}
