import type { Call } from '../grammar/call.ts';
import { Failed } from '../grammar/refusal.ts';
import { tableName, takeStructOps } from './select.ts';

const NAME = 15;
const TABLE = 32;

/** `struct_ops show [id ID | name NAME]`. */
export async function showStructOps(call: Call): Promise<void> {
  const { out } = call;
  const { maps, name } = await takeStructOps(call, false);
  const { kernel } = await call.world();
  out.json?.startArray();
  for (const { info } of maps) {
    const table = tableName(kernel, info);
    if (out.json) {
      out.json.startObject().field('id', info.id).field('name', info.name);
      out.json.field('kernel_struct_ops', table).endObject();
    } else out.print(`${info.id}: ${info.name.padEnd(NAME)} ${table.padEnd(TABLE)}\n`);
  }
  out.json?.endArray();
  if (name === undefined || maps.length > 0) return;
  if (!out.json) out.error(`no struct_ops found for ${name}`);
  throw new Failed();
}
