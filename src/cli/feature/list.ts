import { InputError } from '../../base/error.ts';
import { attachTypeNames, helperNames, linkTypeNames, mapTypeNames, progTypeNames } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { Usage } from '../grammar/refusal.ts';

/** The names that skep knows, in the order of their numbers. Attach types begin with 0, the others with 1. */
const GROUPS: Readonly<Record<string, () => readonly string[]>> = {
  prog_types: () => ['unspec', ...progTypeNames],
  map_types: () => ['unspec', ...mapTypeNames],
  attach_types: () => attachTypeNames,
  link_types: () => ['unspec', ...linkTypeNames],
  helpers: () => ['bpf_unspec', ...helperNames.map((name) => `bpf_${name}`)],
};

/** `feature list_builtins GROUP`. */
export function listBuiltins({ words, out }: Call): void {
  if (words.left < 1) throw new Usage();
  const group = Object.keys(GROUPS).find((name) => words.accept(name));
  if (group === undefined) {
    throw new InputError(
      'cli-feature',
      "expected 'prog_types', 'map_types', 'attach_types', 'link_types' or 'helpers', " +
        `got: ${words.peek()}`,
    );
  }
  out.json?.startArray();
  for (const name of GROUPS[group]!()) {
    if (out.json) out.json.value(name);
    else out.print(`${name}\n`);
  }
  out.json?.endArray();
}
