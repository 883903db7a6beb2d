import { InputError } from '../../base/error.ts';
import type { Call } from '../grammar/call.ts';
import { absolute } from '../grammar/command-line.ts';

/** `fs ls [FOLDER]`. */
export async function listFolder(call: Call): Promise<void> {
  const { words, out } = call;
  const given = words.left > 0 ? words.take() : '/sys/fs/bpf';
  words.end();
  const { kernel } = await call.world();
  const entries = kernel.files.read_directory(absolute(call, given));
  if (entries === undefined) {
    throw new InputError('cli-fs', `can't list ${given}: there is no such folder in the kernel's names`);
  }
  out.json?.startArray();
  for (const { name, directory } of entries) {
    if (out.json) out.json.startObject().field('name', name).field('folder', directory).endObject();
    else out.print(`${name}${directory ? '/' : ''}\n`);
  }
  out.json?.endArray();
}
