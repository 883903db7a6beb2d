/** How the processes that have an object open are listed. */
import type { Owner } from '../world/owners.ts';
import type { JsonWriter } from './json-writer.ts';

/** A line of a description, its line break before it; nothing where no process has it. */
export function ownersText(owners: readonly Owner[] | undefined): string {
  if (!owners || owners.length === 0) return '';
  return `\n\tpids ${owners.map(({ pid, comm }) => `${comm}(${pid})`).join(', ')}`;
}

/** The member of a description in JSON. */
export function writeOwners(json: JsonWriter, owners: readonly Owner[] | undefined): void {
  if (!owners || owners.length === 0) return;
  json.name('pids').startArray();
  for (const { pid, comm } of owners) {
    json.startObject().field('pid', pid).field('comm', comm).endObject();
  }
  json.endArray();
}
