/** What of an answer is compared: its output, its errors and its exit code, without what differs from run to run. */
import type { Answer } from './parity-bpftool-cases.ts';

type Mask = readonly [pattern: RegExp, text: string];

/** On both kernels: ids, times, addresses; what only later versions of bpftool print. */
const ALWAYS: readonly Mask[] = [
  [/^\d+: (?=\S+ {2})/gm, '#: '],
  [/"(id|btf_id|prog_id|map_id|inner_map_id|link_id)":( ?)\d+/g, '"$1":$2#'],
  [/\b(btf_id|prog|map_id|prog_id) \d+/g, '$1 #'],
  [/^( {4})?\d+ +(?=cgroup_)/gm, '$1# '],
  [/\b(generic|driver) id \d+/g, '$1 id #'],
  [/map_ids [\d,]+/g, 'map_ids #'],
  [/("map_ids":) ?\[[^\]]*\]/g, '$1#'],
  [/map\[id:\d+\]/g, 'map[id:#]'],
  // The id of a map, in the bytes of the instruction that loads it.
  [/^( {7}18 [0-9a-f]1 00 00) (?:[0-9a-f]{2} ){4}/gm, '$1 # '],
  [/^( {7}18 [0-9a-f]2 00 00) (?:[0-9a-f]{2} ){4}/gm, '$1 # '],
  [/^( {7}18 1[0-9a-f] 00 00) (?:[0-9a-f]{2} ){4}/gm, '$1 # '],
  [/^( {7}18 2[0-9a-f] 00 00) (?:[0-9a-f]{2} ){4}/gm, '$1 # '],
  [/("imm": ?\[)(?:"0x[0-9a-f]{2}",){4}((?:"0x[0-9a-f]{2}",){7}"0x[0-9a-f]{2}")/g, '$1#$2'],
  [/loaded_at \S+/g, 'loaded_at #'],
  [/"loaded_at":( ?)\d+/g, '"loaded_at":$1#'],
  [/(duration(?: \(average\))?): \d+ns/g, '$1: #ns'],
  [/"duration":( ?)\d+/g, '"duration":$1#'],
  [/run_time_ns \d+/g, 'run_time_ns #'],
  [/"run_time_ns":( ?)\d+/g, '"run_time_ns":$1#'],
  [/(call \S+)#-?\d+/g, '$1#'],
  [/,?\s*"orphaned":\s*(?:true|false)/g, ''],
  [/\bbpftool\b/g, 'skep'],
  [/\bv7\.\d+\.\d+\b/g, 'v#'],
];

/** On the embedded kernel also what a kernel makes of a program or map: sizes in memory and of machine code. */
const EMBEDDED: readonly Mask[] = [
  [/memlock \d+B/g, 'memlock #B'],
  [/"bytes_memlock":( ?)\d+/g, '"bytes_memlock":$1#'],
  [/jited \d+B/g, 'jited #B'],
  [/"bytes_jited":( ?)\d+/g, '"bytes_jited":$1#'],
  [/xlated \d+B/g, 'xlated #B'],
  [/"bytes_xlated":( ?)\d+/g, '"bytes_xlated":$1#'],
];

/** Errors and warnings; notes of libraries and hints are each tool's own. */
function errors(stderr: string): string {
  const usage = stderr.indexOf('Usage: ');
  const lines = (usage < 0 ? stderr : stderr.slice(0, usage))
    .split('\n')
    .filter((line) => /^(Error|Warning): /.test(line) && !line.includes('libbpf strict mode'));
  const text =
    usage < 0 ? '' : stderr.slice(usage).split('\n\nthere is no')[0]!.split('\n\ndid you mean')[0]!;
  return `${lines.join('\n')}\n${text}`;
}

/** An answer as text, to be compared with another's. */
export function comparable({ stdout, stderr, code, filter }: Answer, kernel: 'linux' | 'embedded'): string {
  let text = `exit ${code}\n${filter === undefined ? stdout : own(stdout, filter)}\n${errors(stderr)}`;
  for (const [pattern, replacement] of ALWAYS) text = text.replace(pattern, replacement);
  if (kernel === 'embedded') {
    for (const [pattern, replacement] of EMBEDDED) text = text.replace(pattern, replacement);
  }
  return text.trimEnd();
}

/** Of a listing of everything, what has a name that begins so: others work on the machine too. */
function own(stdout: string, prefix: string): string {
  if (stdout.startsWith('[')) {
    const all = JSON.parse(stdout) as readonly { readonly name?: string }[];
    return JSON.stringify(
      all.filter(({ name }) => name?.startsWith(prefix)),
      null,
      1,
    );
  }
  return stdout
    .split(/^(?=\d+: )/m)
    .filter((entry) => new RegExp(`^\\d+: \\S+  name ${prefix}`).test(entry))
    .join('');
}
