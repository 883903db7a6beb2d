/** What every named constant of bpf(2) has. */
export interface Fact {
  readonly id: number;
  /** First Linux version that has it (`4.18`). */
  readonly since: string;
}

/** Both ways through a table of facts. */
export interface FactIndex<N extends string> {
  /** In the order of their ids. */
  readonly names: readonly N[];
  readonly id: (name: N) => number;
  readonly name: (id: number) => N | undefined;
  readonly has: (name: string) => name is N;
}

export function index<N extends string>(table: Readonly<Record<N, Fact>>): FactIndex<N> {
  const names = (Object.keys(table) as N[]).sort((a, b) => table[a].id - table[b].id);
  const byId = new Map(names.map((name) => [table[name].id, name]));
  return {
    names,
    id: (name) => table[name].id,
    name: (id) => byId.get(id),
    has: (name): name is N => Object.hasOwn(table, name),
  };
}
