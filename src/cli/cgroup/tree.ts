import { InputError } from '../../base/error.ts';
import type { Kernel } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';
import { Failed } from '../grammar/refusal.ts';
import { openCgroup } from './open.ts';
import { CgroupPrograms, takeEffective } from './programs.ts';

/** `cgroup tree [CGROUP_ROOT] [effective]`. */
export async function showTree(call: Call): Promise<void> {
  const { words, out } = call;
  const given = words.left > 0 ? words.take() : undefined;
  const effective = takeEffective(call);
  const world = await call.world();
  const root = given ?? hierarchy(world.kernel);
  if (root === undefined) throw new InputError('cli-cgroup', "cgroup v2 isn't mounted");
  const programs = new CgroupPrograms(call, world, effective);
  if (out.json) out.json.startArray();
  else out.print(`CgroupPath\n${programs.heading}`);
  try {
    for (const { path, depth } of foldersBelow(call, world.kernel, root)) {
      const fd = openCgroup(call, world, path);
      const found = programs.of(fd, path);
      world.kernel.closeFd(fd);
      if (found.length === 0) continue;
      if (out.json) out.json.startObject().field('cgroup', path).name('programs').startArray();
      else out.print(`${path}\n`);
      for (const [type, result] of found) programs.show(type, result, depth > 0);
      out.json?.endArray().endObject();
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    out.failure(error);
    throw new Failed();
  } finally {
    out.json?.endArray();
  }
}

/** Where the cgroups of version 2 are; the embedded kernel has them where Linux has. */
function hierarchy(kernel: Kernel): string | undefined {
  if (kernel.name === 'embedded') return '/sys/fs/cgroup';
  const mounts = kernel.files.read_file('/proc/mounts');
  if (mounts === undefined) return undefined;
  for (const line of new TextDecoder().decode(mounts).split('\n')) {
    const [, folder, type] = line.split(' ');
    if (type === 'cgroup2') return folder;
  }
  return undefined;
}

/** A folder and all below it, each before what it holds. */
function* foldersBelow(
  call: Call,
  kernel: Kernel,
  path: string,
  depth = 0,
): Iterable<{ readonly path: string; readonly depth: number }> {
  const entries = kernel.files.read_directory(absolute(call, path));
  if (entries === undefined) {
    throw new InputError('cli-cgroup', `can't iterate over ${path}: No such file or directory`);
  }
  yield { path, depth };
  for (const { name, directory } of entries) {
    if (directory) yield* foldersBelow(call, kernel, `${path.replace(/\/$/, '')}/${name}`, depth + 1);
  }
}
