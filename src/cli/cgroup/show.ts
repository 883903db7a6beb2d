import type { Call } from '../grammar/call.ts';
import { openCgroup } from './open.ts';
import { CgroupPrograms, takeEffective } from './programs.ts';

/** `cgroup show CGROUP [effective]`. */
export async function showCgroup(call: Call): Promise<void> {
  const { words, out } = call;
  words.need(1);
  const path = words.take();
  const programs = new CgroupPrograms(call, await call.world(), takeEffective(call));
  const found = programs.of(openCgroup(call, await call.world(), path), path);
  if (found.length === 0) return;
  if (out.json) out.json.startArray();
  else out.print(programs.heading);
  for (const [type, result] of found) programs.show(type, result, false);
  out.json?.endArray();
}
