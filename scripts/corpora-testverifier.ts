/**
 * Turns the cases of Linux's `test_verifier` from C initialisers into data: they are compiled, with the suite's own
 * `main` set aside, into a program that prints one JSON object a case.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** What the suite makes maps of, by the name of the member that lists where their fds go. */
export const FIXUPS = [
  'map_hash_8b',
  'map_hash_48b',
  'map_hash_16b',
  'map_array_48b',
  'map_sockmap',
  'map_sockhash',
  'map_xskmap',
  'map_stacktrace',
  'prog1',
  'prog2',
  'map_in_map',
  'cgroup_storage',
  'percpu_cgroup_storage',
  'map_spin_lock',
  'map_array_ro',
  'map_array_wo',
  'map_array_small',
  'sk_storage_map',
  'map_event_output',
  'map_reuseport_array',
  'map_ringbuf',
  'map_timer',
  'map_kptr',
] as const;
export type Fixup = (typeof FIXUPS)[number];

/** 0: not said. 3: accepted, and the log has the text. */
export type Expected = 0 | 1 | 2 | 3;

export interface TestVerifierCase {
  readonly descr: string;
  /** Hex. */
  readonly insns: string;
  readonly fixups: Partial<Record<Fixup, readonly number[]>>;
  readonly kfuncs: readonly { readonly name: string; readonly insn: number }[];
  readonly result: Expected;
  readonly result_unpriv: Expected;
  /** Texts, one behind the other, between tabs; empty for none. */
  readonly errstr: string;
  readonly errstr_unpriv: string;
  readonly insn_processed: number;
  readonly prog_type: number;
  readonly flags: number;
  readonly runs: number;
  readonly retvals: readonly { readonly retval: number; readonly unpriv: number; readonly data: string }[];
  readonly expected_attach_type: number;
  /** The function that a tracing or LSM program attaches to; empty for none. */
  readonly kfunc: string;
  /** Instruction and BTF type, by function. */
  readonly func_info: readonly (readonly [number, number])[];
  /** Hex; empty for none. */
  readonly btf_types: string;
  readonly btf_strings: string;
}

const fixupPrinters = FIXUPS.map((name) => `print_fixups("${name}", t->fixup_${name});`).join('\n\t\t');

const PROGRAM = `
#define main test_verifier_main
#include "test_verifier.c"
#undef main

static int first;
static void print_hex(const void *at, size_t size)
{
	const unsigned char *b = at;
	putchar('"');
	for (size_t i = 0; i < size; i++)
		printf("%02x", b[i]);
	putchar('"');
}
static void print_string(const char *s)
{
	putchar('"');
	for (; s && *s; s++) {
		if (*s == '"' || *s == '\\\\')
			printf("\\\\%c", *s);
		else if ((unsigned char)*s < ' ')
			printf("\\\\u%04x", *s);
		else
			putchar(*s);
	}
	putchar('"');
}
static void print_fixups(const char *name, const int *at)
{
	if (!*at)
		return;
	printf("%s\\"%s\\":[", first ? "" : ",", name);
	first = 0;
	for (int i = 0; i < MAX_FIXUPS && at[i]; i++)
		printf("%s%d", i ? "," : "", at[i]);
	putchar(']');
}
int main(void)
{
	printf("{\\"map_types\\":");
	print_hex(btf_raw_types, sizeof(btf_raw_types));
	printf(",\\"map_strings\\":");
	print_hex(btf_str_sec, sizeof(btf_str_sec));
	printf("}\\n");
	for (size_t n = 0; n < ARRAY_SIZE(tests); n++) {
		struct bpf_test *t = &tests[n];
		const struct bpf_insn *insns = t->insns;
		size_t len, words = 0;

		if (t->fill_helper) {
			t->fill_insns = calloc(MAX_TEST_INSNS, sizeof(struct bpf_insn));
			t->fill_helper(t);
			insns = t->fill_insns;
			len = t->prog_len;
		} else {
			len = probe_filter_length(t->insns);
		}
		printf("{\\"descr\\":");
		print_string(t->descr);
		printf(",\\"insns\\":");
		print_hex(insns, len * sizeof(*insns));
		printf(",\\"fixups\\":{");
		first = 1;
		${fixupPrinters}
		printf("},\\"kfuncs\\":[");
		for (int i = 0; i < MAX_FIXUPS && t->fixup_kfunc_btf_id[i].kfunc; i++) {
			printf("%s{\\"name\\":", i ? "," : "");
			print_string(t->fixup_kfunc_btf_id[i].kfunc);
			printf(",\\"insn\\":%d}", t->fixup_kfunc_btf_id[i].insn_idx);
		}
		printf("],\\"result\\":%d,\\"result_unpriv\\":%d,\\"errstr\\":", t->result, t->result_unpriv);
		print_string(t->errstr);
		printf(",\\"errstr_unpriv\\":");
		print_string(t->errstr_unpriv);
		printf(",\\"insn_processed\\":%u,\\"prog_type\\":%d,\\"flags\\":%d,\\"runs\\":%d,\\"retvals\\":[",
		       t->insn_processed, t->prog_type, t->flags, t->runs);
		for (int i = 0; i < (t->runs > 0 ? t->runs : 1); i++) {
			printf("%s{\\"retval\\":%u,\\"unpriv\\":%u,\\"data\\":", i ? "," : "",
			       t->retvals[i].retval, t->retvals[i].retval_unpriv);
			print_hex(t->retvals[i].data, TEST_DATA_LEN);
			putchar('}');
		}
		printf("],\\"expected_attach_type\\":%d,\\"kfunc\\":", t->expected_attach_type);
		print_string(t->kfunc);
		printf(",\\"func_info\\":[");
		for (int i = 0; i < t->func_info_cnt; i++)
			printf("%s[%u,%u]", i ? "," : "", t->func_info[i].insn_off, t->func_info[i].type_id);
		printf("],\\"btf_types\\":");
		if (t->btf_types[0])
			while (words < MAX_BTF_TYPES && t->btf_types[words] != BTF_END_RAW)
				words++;
		print_hex(t->btf_types, words * 4);
		printf(",\\"btf_strings\\":");
		print_hex(t->btf_strings, words ? sizeof(t->btf_strings) : 0);
		printf("}\\n");
		free(t->fill_insns);
	}
	return 0;
}
`;

/** Compiles and runs the converter. @returns why that is impossible here, or `undefined` */
export async function convertTestVerifier(source: string, into: string): Promise<string | undefined> {
  if (existsSync(into)) return undefined;
  const cc = ['gcc', 'clang-19', 'clang', 'cc'].find((name) => {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  if (cc === undefined) return 'no C compiler';
  const selftests = join(source, 'tools/testing/selftests/bpf');
  const work = mkdtempSync(join(tmpdir(), 'skep-testverifier-'));
  try {
    const cases = readdirSync(join(selftests, 'verifier')).filter((name) => name.endsWith('.c'));
    const list = cases.toSorted().map((name) => `#include "${join(selftests, 'verifier', name)}"\n`);
    for (const sub of ['verifier', 'bpf', 'asm']) mkdirSync(join(work, sub));
    // The tree's own include the architecture's, which are not unpacked.
    writeFileSync(join(work, 'asm/bitsperlong.h'), '#define __BITS_PER_LONG 64\n#define BITS_PER_LONG 64\n');
    writeFileSync(join(work, 'asm/errno.h'), '#include <asm-generic/errno.h>\n');
    writeFileSync(join(work, 'verifier/tests.h'), `#ifdef FILL_ARRAY\n${list.join('')}#endif\n`);
    for (const name of readdirSync(join(source, 'tools/lib/bpf')).filter((file) => file.endsWith('.h'))) {
      writeFileSync(join(work, 'bpf', name), readFileSync(join(source, 'tools/lib/bpf', name)));
    }
    writeFileSync(join(work, 'convert.c'), PROGRAM);
    const binary = join(work, 'convert');
    const tools = join(source, 'tools');
    execFileSync(
      cc,
      [
        '-w',
        '-O0',
        '-D_GNU_SOURCE',
        '-ffunction-sections',
        '-Wl,--gc-sections',
        `-I${work}`,
        `-I${selftests}`,
        `-I${tools}/include`,
        `-I${tools}/include/uapi`,
        join(work, 'convert.c'),
        '-o',
        binary,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const part = `${into}.part`;
    const out = createWriteStream(part);
    const child = spawn(binary, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [[code]] = await Promise.all([
      once(child, 'exit') as Promise<[number | null]>,
      pipeline(child.stdout, out),
    ]);
    if (code !== 0) return `the converter of the test_verifier cases ended with ${code}`;
    renameSync(part, into);
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The types that the suite gives its maps: the first line of what {@link convertTestVerifier} writes. Hex. */
export interface MapTypes {
  readonly map_types: string;
  readonly map_strings: string;
}

/** The lines that {@link convertTestVerifier} wrote: the maps' types, then a case each. */
export function readTestVerifier(file: string): {
  readonly types: MapTypes;
  readonly lines: readonly string[];
} {
  const [first = '', ...lines] = readFileSync(file, 'utf8').split('\n');
  return { types: JSON.parse(first) as MapTypes, lines: lines.filter((line) => line !== '') };
}
