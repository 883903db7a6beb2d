import type { Call } from '../grammar/call.ts';

const MOUNTS = '/proc/mounts';
/** What a token of a mount allows, and the mount's option that says so. */
const DELEGATED = {
  allowed_cmds: 'delegate_cmds',
  allowed_maps: 'delegate_maps',
  allowed_progs: 'delegate_progs',
  allowed_attachs: 'delegate_attachs',
} as const;
const PER_LINE = 4;
const WIDTH = 20;

/** A BPF file system that delegates: tokens that are made of it allow so much. */
interface Delegation {
  readonly folder: string;
  /** By what is allowed; names, `any`, or numbers that have none. */
  readonly allowed: ReadonlyMap<string, readonly string[]>;
}

/** `token show`: the BPF file systems of which tokens can be made. An embedded kernel has no file of mounts, and none. */
export async function showTokens(call: Call): Promise<void> {
  const { words, out } = call;
  words.end();
  const { kernel } = await call.world();
  const mounts = new TextDecoder().decode(kernel.files.read_file(MOUNTS));
  out.json?.startArray();
  for (const { folder, allowed } of delegations(mounts)) {
    if (out.json) {
      out.json.startObject().field('token_info', folder);
      for (const [what, names] of allowed) {
        out.json.name(what).startArray();
        for (const name of names) out.json.value(name);
        out.json.endArray();
      }
      out.json.endObject();
    } else out.print(delegationText(folder, allowed));
  }
  out.json?.endArray();
}

function delegationText(folder: string, allowed: Delegation['allowed']): string {
  const parts = [...allowed].map(([what, names]) => {
    const cells = names.map((name, i) => `${i % PER_LINE === 0 ? '\n\t  ' : ''}${name.padEnd(WIDTH)}`);
    return `\n\t${what}:${cells.join('')}`;
  });
  return `token_info  ${folder}${parts.join('')}\n`;
}

/** @param mounts as `/proc/mounts` has them: device, folder, type, options */
export function* delegations(mounts: string): Iterable<Delegation> {
  for (const line of mounts.split('\n')) {
    const [, folder = '', type = '', text = ''] = line.split(' ');
    const options = text.split(',');
    const values = Object.entries(DELEGATED).map(([what, option]) => {
      const value = options.find((one) => one.startsWith(`${option}=`))?.slice(option.length + 1);
      return [what, value] as const;
    });
    if (!type.startsWith('bpf') || values.every(([, value]) => value === undefined)) continue;
    const allowed = new Map(values.map(([what, value = '']) => [what, value.split(':').filter(Boolean)]));
    yield { folder: unescaped(folder), allowed };
  }
}

/** Blanks stand as `\040`. */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));
}
