/** How the processes that have an object open are listed. */
import type { Owner } from '../world/owners.ts';
import type { JsonWriter } from './json-writer.ts';

/**
 * Lines of a description, each with its line break before it; nothing where no process has it.
 * @param cookie of a link to a perf event, which is told with its owners
 */
export function ownersText(owners: readonly Owner[] | undefined, cookie?: bigint): string {
  if (!owners || owners.length === 0) return '';
  const told = cookie === undefined ? '' : `\n\tbpf_cookie ${cookie}`;
  return `${told}\n\tpids ${owners.map(({ pid, comm }) => `${comm}(${pid})`).join(', ')}`;
}

/** The members of a description in JSON. @param cookie as in {@link ownersText} */
export function writeOwners(json: JsonWriter, owners: readonly Owner[] | undefined, cookie?: bigint): void {
  if (!owners || owners.length === 0) return;
  if (cookie !== undefined) json.field('bpf_cookie', cookie);
  json.name('pids').startArray();
  for (const { pid, comm } of owners) {
    json.startObject().field('pid', pid).field('comm', comm).endObject();
  }
  json.endArray();
}
