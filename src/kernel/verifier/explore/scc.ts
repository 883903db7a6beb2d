/** Loops: strongly connected components of the control flow between a program's instructions (Tarjan's algorithm, iterative). */
import { NONE } from './flow.ts';

/**
 * @param successors slots that may run next in the same frame, two for each slot
 * @returns by slot: the component's number, from 1; 0 outside loops
 */
export function findLoops(slots: number, successors: Int32Array): Uint32Array {
  const component = new Uint32Array(slots);
  const order = new Uint32Array(slots);
  const low = new Uint32Array(slots);
  const open = new Uint8Array(slots);
  const path = new Int32Array(slots);
  let pathLength = 0;
  // The way to the slot that is looked at, and how many successors of each on it were taken.
  const stack = new Int32Array(slots);
  const taken = new Uint8Array(slots);
  let depth = 0;
  let visited = 0;
  let components = 0;
  for (let root = 0; root < slots; root++) {
    if (order[root] !== 0) continue;
    let entering = root;
    for (;;) {
      if (entering !== NONE) {
        order[entering] = ++visited;
        low[entering] = visited;
        open[entering] = 1;
        path[pathLength++] = entering;
        stack[depth++] = entering;
        entering = NONE;
      }
      const at = stack[depth - 1]!;
      if (taken[at]! < 2) {
        const next = successors[2 * at + taken[at]!++]!;
        if (next === NONE) continue;
        if (order[next] === 0) entering = next;
        else if (open[next] === 1 && order[next]! < low[at]!) low[at] = order[next]!;
        continue;
      }
      depth--;
      if (depth > 0) {
        const parent = stack[depth - 1]!;
        if (low[at]! < low[parent]!) low[parent] = low[at]!;
      }
      if (low[at] === order[at]) {
        const isLoop =
          path[pathLength - 1] !== at || successors[2 * at] === at || successors[2 * at + 1] === at;
        if (isLoop) components++;
        for (let member = NONE; member !== at; ) {
          member = path[--pathLength]!;
          open[member] = 0;
          if (isLoop) component[member] = components;
        }
      }
      if (depth === 0) break;
    }
  }
  return component;
}
