/**
 * What programs do when they run: every program of Linux's selftests that BPF_PROG_TEST_RUN takes is loaded into both kernels,
 * run once on 64 zero bytes, and compared: what it returns, the packet, and what is in its maps and global variables.
 *
 *     npm run agree:runs [-- --filter REGEX] [--show N] [--corpora FOLDER]
 *
 * What depends on the machine (times, addresses, process ids) differs, and is printed with the others, by its cause: the
 * figure is a lower bound. A program that Linux does not run the same way three times is one of them; the second figure is
 * of the others. Programs that tell the processor's number agree where this process stays on the first (`taskset -c 0`).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bug, InputError } from '../src/base/error.ts';
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import { type LoadedObject, loadObject, type ObjectSpec, parseObject } from '../src/loader/index.ts';
import type { Fd, Kernel } from '../src/sys/index.ts';
import { DEFAULT_CORPORA, prepareCorpora } from './corpora.ts';

const { values } = parseArgs({
  options: {
    filter: { type: 'string' },
    show: { type: 'string', default: '1000' },
    corpora: { type: 'string', default: DEFAULT_CORPORA },
  },
});

const DATA = 64;
/** Types whose programs run on a packet, and those that take nothing. */
const ON_PACKETS = new Set([
  'xdp',
  'sched_cls',
  'sched_act',
  'socket_filter',
  'cgroup_skb',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
]);
const ON_NOTHING = new Set(['syscall', 'raw_tracepoint']);
const MOST_KEYS = 64;
/** Their values are ids, which depend on what was there before. */
const HOLDS_OBJECTS = /prog_array|_of_maps|struct_ops/;

/** What a run left: lines of text by what they are about. */
type Trace = Map<string, string>;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Everything that can be seen of a map. */
function contents(kernel: Kernel, object: LoadedObject, trace: Trace): void {
  for (const { name, fd, spec } of object.maps.values()) {
    if (HOLDS_OBJECTS.test(spec.type ?? '')) continue;
    try {
      trace.set(name, dump(kernel, fd));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
}

function dump(kernel: Kernel, map_fd: Fd): string {
  const lines: string[] = [];
  let key: Uint8Array | undefined;
  for (let i = 0; i < MOST_KEYS; i++) {
    key = kernel.bpf.map_get_next_key({ map_fd, ...(key && { key }) });
    if (key === undefined) break;
    const value = kernel.bpf.map_lookup_elem({ map_fd, key });
    if (value === undefined || value.some((byte) => byte !== 0))
      lines.push(`${hex(key)}=${value && hex(value)}`);
  }
  return lines.toSorted().join(' ');
}

/** @returns why it was not run, or what the run left */
function run(kernel: Kernel, spec: ObjectSpec, name: string): Trace | string {
  try {
    const object = loadObject(kernel, spec, { programs: [name] });
    try {
      const { fd, type } = object.program(name);
      const input = { data_in: new Uint8Array(DATA), data_size_out: 4 * DATA, repeat: 1 };
      const context =
        type === 'raw_tracepoint' ? { ctx_in: new Uint8Array(96) } : { ctx_in: new Uint8Array(256) };
      const result = kernel.bpf.prog_test_run({
        prog_fd: fd,
        ...(ON_PACKETS.has(type) ? input : context),
      });
      const trace: Trace = new Map([
        ['retval', String(result.retval | 0)],
        ['packet', hex(result.data_out)],
      ]);
      contents(kernel, object, trace);
      return trace;
    } finally {
      object.close();
    }
  } catch (error) {
    if (error instanceof InputError) return error.message;
    return `crash: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}

function* programs(objects: string): Generator<{ id: string; spec: ObjectSpec; name: string }> {
  for (const file of readdirSync(objects).toSorted()) {
    if (!file.endsWith('.bpf.o')) continue;
    const stem = file.replace('.bpf.o', '');
    let spec: ObjectSpec;
    try {
      spec = parseObject(new Uint8Array(readFileSync(join(objects, file))), stem);
    } catch (error) {
      if (error instanceof InputError || error instanceof Bug) continue;
      throw error;
    }
    for (const { name, type } of spec.programs.values()) {
      if (type !== undefined && (ON_PACKETS.has(type) || ON_NOTHING.has(type)))
        yield { id: `${stem}:${name}`, spec, name };
    }
  }
}

/** Why a run differs, as far as it can be told from the runs. */
type Cause = 'not loaded' | 'not the same twice on Linux' | 'addresses of kernel memory' | 'other';

/** How often Linux runs a program that differs, beside the first time. */
const AGAIN = 2;

/** Eight bytes that are an address of kernel memory: its upper half is all ones, but for what tells where. */
const isAddress = (word: string): boolean => /^.{10}(ff){3}$|^.{8}(ff){4}$|^.{12}ffff$/.test(word);

/** Whether texts differ only where Linux has addresses. */
function onlyAddresses(own: string, linux: string): boolean {
  const bytes = (text: string): string => text.replaceAll(/[0-9a-f]+=/g, '');
  const [ours, theirs] = [bytes(own), bytes(linux)];
  const words = theirs.match(/.{1,16}/g) ?? [];
  return words.every(
    (word, i) => isAddress(word) || word === ours.slice(16 * i, 16 * i + 16).padEnd(word.length, '0'),
  );
}

/** @param differing what of the trace differs */
function causeOf(
  spec: ObjectSpec,
  name: string,
  expected: Trace,
  found: Trace | string,
  differing: readonly string[],
): Cause {
  if (typeof found === 'string') return 'not loaded';
  for (let i = 0; i < AGAIN; i++) {
    const again = run(linux, spec, name);
    if (typeof again === 'string' || differing.some((what) => again.get(what) !== expected.get(what))) {
      return 'not the same twice on Linux';
    }
  }
  const addresses = differing.every(
    (what) => what !== 'retval' && onlyAddresses(found.get(what) ?? '', expected.get(what) ?? ''),
  );
  return addresses ? 'addresses of kernel memory' : 'other';
}

const status = linuxStatus();
if (!status.ok) {
  console.log(`skipped: ${status.reason}`);
  process.exit(0);
}
const corpora = await prepareCorpora(values.corpora);
const filter = values.filter === undefined ? undefined : new RegExp(values.filter);
using linux = openLinux();
const btf = linux.vmlinuxBtf();
const world = { cpus: linux.possibleCpus, release: linux.release, ...(btf && { btf }) };
using compiled = createKernel(world);
using interpreted = createKernel({ ...world, interpret: true });
let ran = 0;
let same = 0;
let shown = 0;
const refused = new Map<string, number>();
const causes = new Map<Cause, string[]>();
for (const { id, spec, name } of programs(corpora.objects)) {
  if (filter?.test(id) === false) continue;
  const expected = run(linux, spec, name);
  if (typeof expected === 'string') continue;
  ran++;
  const differences: string[] = [];
  const differing = new Set<string>();
  let last: Trace | string = '';
  for (const [how, kernel] of [
    ['compiled', compiled],
    ['interpreted', interpreted],
  ] as const) {
    const found = run(kernel, spec, name);
    if (differing.size === 0) last = found;
    if (typeof found === 'string') {
      const what = /(?:helper|kernel function) \w+/.exec(found)?.[0];
      if (what) refused.set(what, (refused.get(what) ?? 0) + 1);
      differences.push(`${how}: ${found.slice(0, 600)}`);
      break;
    }
    for (const [what, text] of expected) {
      const own = found.get(what);
      if (own !== text) differing.add(what);
      if (own !== text)
        differences.push(`${how}: ${what}: ${own?.slice(0, 200)} linux: ${text.slice(0, 200)}`);
    }
  }
  if (differences.length === 0) {
    same++;
    continue;
  }
  const cause = causeOf(spec, name, expected, last, [...differing]);
  causes.set(cause, [...(causes.get(cause) ?? []), id]);
  if (shown++ < Number(values.show)) console.log(`${id} (${cause})\n  ${differences.join('\n  ')}`);
}
for (const [cause, ids] of causes) console.log(`${ids.length} ${cause}: ${ids.join(' ')}`);
for (const [what, count] of [...refused].toSorted(([, a], [, b]) => b - a)) console.log(`${count} ${what}`);
const repeatable = ran - (causes.get('not the same twice on Linux')?.length ?? 0);
console.log(`figure runs_programs ${ran}`);
console.log(`figure runs_same_percent ${((100 * same) / Math.max(ran, 1)).toFixed(2)}`);
console.log(`figure runs_repeatable ${repeatable}`);
console.log(`figure runs_repeatable_same_percent ${((100 * same) / Math.max(repeatable, 1)).toFixed(2)}`);
if (ran === 0) process.exitCode = 1;
