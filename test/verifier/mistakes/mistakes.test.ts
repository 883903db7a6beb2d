/**
 * The classic mistakes of programs, and what their diagnosis says: what is wrong in one plain line, the instructions with
 * their source lines that made it so, and how to mend it.
 */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, test } from 'vitest';
import type { ProgramReport } from '../../../src/cli/verify/report.ts';
import { skep } from '../../cli/harness.ts';
import { linux } from '../../linux/support.ts';

/** What a program's diagnosis must say. Texts are parts. */
interface Mistake {
  readonly program: string;
  /** Linux's message. */
  readonly problem: string;
  readonly reason: string;
  readonly mend: string;
  /** Lines of source (parts) that the causes go through, in order. */
  readonly through?: readonly string[];
}

const PACKET: readonly Mistake[] = [
  {
    program: 'no_data_end',
    problem: 'R1 offset is outside of the packet',
    reason: 'no comparison with data_end says that so much is there',
    mend: 'if (data + 13 > data_end) return …',
    through: ['ctx->data;'],
  },
  {
    program: 'short_bound',
    problem: 'R1 offset is outside of the packet',
    reason: 'only 14 bytes (0 to 13) are known to be there',
    mend: 'if (data + 24 > data_end) return …; (line 22',
    through: ['ctx->data;', 'if (data + sizeof(struct ethhdr) > data_end)'],
  },
  {
    program: 'off_by_one',
    problem: 'R2 offset is outside of the packet',
    reason: 'byte 14 of the packet is used, and only 14 bytes (0 to 13)',
    mend: 'if (data + 15 > data_end) return …',
    through: ['if (data + 14 > data_end)'],
  },
  {
    program: 'wrong_way_round',
    problem: 'R1 offset is outside of the packet',
    reason: 'on the way that packets take which are too short',
    mend: 'turn the comparison of line 46',
    through: ['if (data + 14 <= data_end)'],
  },
  {
    program: 'variable_offset',
    problem: 'R1 offset is outside of the packet',
    reason: 'was moved in line 62 (payload = (void *)ip + ip->ihl * 4;) by a number from 0 to 60',
    mend: 'if ((void *)payload + 2 > data_end) return …',
    through: ['payload = (void *)ip + ip->ihl * 4;'],
  },
  {
    program: 'unbounded_offset',
    problem: 'R1 offset is outside of the packet',
    reason: 'comparisons with data_end count only where that is 65535 at most',
    mend: 'limit skip before it is added to the pointer in line 78',
    through: ['skip = *(__u32 *)data;', 'at = data + skip;'],
  },
  {
    program: 'stale_pointer',
    problem: "R6 invalid mem access 'scalar'",
    reason: 'bpf_skb_change_proto() may move the packet, which ends all pointers into it',
    mend: 'load data and data_end from the context again',
    through: ['skb->data;', 'if (data + sizeof(*eth) > data_end)', 'bpf_skb_change_proto('],
  },
  {
    program: 'packet_key',
    problem: 'R2 offset is outside of the packet',
    reason: 'bytes 0 to 3 of the packet are used',
    mend: 'if (data + 4 > data_end) return …',
  },
  {
    program: 'read_only_context',
    problem: 'invalid bpf_context access off=0 size=4',
    reason: "len of struct __sk_buff can't be written by programs of type sched_cls",
    mend: 'of this context may be written: mark',
  },
  {
    program: 'wide_context',
    problem: 'invalid bpf_context access off=12 size=8',
    reason: 'ingress_ifindex of struct xdp_md has 4 bytes, and 8 bytes at its offset 0 are read',
    mend: '4 bytes at once',
  },
  {
    program: 'filter_data',
    problem: 'invalid bpf_context access off=80 size=4',
    reason: "programs of type socket_filter don't have data_end",
    mend: 'bpf_skb_load_bytes()',
  },
];

const MEMORY: readonly Mistake[] = [
  {
    program: 'no_null_check',
    problem: "R0 invalid mem access 'map_value_or_null'",
    reason: 'count (r0) may be null here',
    mend: 'test the pointer for null after line 10 (__u64 *count = bpf_map_lookup_elem(&counts, &key);), before it is used: if (!count) return …',
    through: ['bpf_map_lookup_elem(&counts, &key)'],
  },
  {
    program: 'null_check_inverted',
    problem: "R2 invalid mem access 'scalar'",
    reason: 'line 23 (if (!count)) came this way because the pointer is null',
    mend: 'turn the test in line 23 (if (!count)) around',
    through: ['if (!count)'],
  },
  {
    program: 'value_index',
    problem: 'R0 unbounded memory access',
    reason:
      'ctx->rx_queue_index may be up to 0xffffffff, which reaches outside of a value of map tables (68 bytes)',
    mend: 'copy ctx->rx_queue_index into a variable i and test that before it is used: if (i > 15) return …',
    through: ['bpf_map_lookup_elem(&tables', 'table->slot[ctx->rx_queue_index] = 1;'],
  },
  {
    program: 'value_index_off_by_one',
    problem: 'R0 max value is outside of the allowed memory range',
    reason: 'i may be up to 16, which reaches outside of a value of map tables',
    mend: 'if (i > 15) return … (line 47 (if (!table || i > 16)) lets it be up to 16)',
    through: ['if (!table || i > 16)', 'table->slot[i] = 1;'],
  },
  {
    program: 'negative_index',
    problem: 'math between map_value pointer and register with unbounded min value is not allowed',
    reason: 'i, which is added to a pointer, may be negative',
    mend: 'if (i < 0 || i > 15) return …, or make it unsigned (line 61',
    through: ['if (!table || i >= 16)'],
  },
  {
    program: 'behind_value',
    problem: 'R1 min value is outside of the allowed memory range',
    reason: 'bytes 68 to 71 of a value of map tables are accessed, and it has 68 bytes',
    mend: 'declare map tables with a larger value',
    through: ['bpf_map_lookup_elem(&tables'],
  },
  {
    program: 'unbounded_arithmetic',
    problem: 'math between map_value pointer and register with unbounded min value',
    reason: 'by, which is added to a pointer, may be anything',
    mend: 'if (by < 0 || by > 67) return …, or make it unsigned',
    through: ['__u64 by = bpf_ktime_get_ns();'],
  },
  {
    program: 'uninitialised_register',
    problem: 'R6 !read_ok',
    reason: 'nothing was written to r6 on this path',
    mend: 'give the variable a value when it is declared',
  },
  {
    program: 'clobbered_argument',
    problem: 'R1 !read_ok',
    reason: 'a call made it unreadable',
    mend: 'keep the value in r6 to r9 or on the stack',
    through: ['call %[time]'],
  },
  {
    program: 'stack_too_large',
    problem: 'invalid write to stack R10 off=-520 size=8',
    reason: 'the stack is bytes -512 to -1',
    mend: 'per-CPU array map',
  },
  {
    program: 'stack_of_functions',
    problem: 'combined stack size of 2 calls is 608. Too large',
    reason: 'they take: stack_of_functions() 200, deep() 400 bytes',
    mend: 'per-CPU array map',
  },
  {
    program: 'stack_index',
    problem: 'invalid unbounded variable-offset write to stack R2',
    reason: 'ctx->rx_queue_index, an index into a local array, may be up to 0xffffffff',
    mend: 'with the size of the array',
    through: ['buffer[ctx->rx_queue_index] = 1;'],
  },
  {
    program: 'negative_size',
    problem: "R2 min value is negative, either use unsigned or 'var &= const'",
    reason: 'the size (r2) may be negative',
    mend: 'make it unsigned (__u32 size), or test both ends: if (size < 0 || size > 64) return … (line 189',
    through: ['long size = bpf_get_current_pid_tgid();', 'if (size > (long)sizeof(buffer))'],
  },
  {
    program: 'unbounded_size',
    problem: "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'",
    reason: 'the size (r2) may be up to 0xffffffff',
    mend: 'if (size > 64) return …',
    through: ['bpf_get_prandom_u32();'],
  },
  {
    program: 'large_size',
    problem: 'invalid write to stack R1 off=-16 size=31',
    reason: 'the size (r2) may be up to 31, more than there is room for',
    mend: 'if (size > 16) return …',
    through: ['bpf_get_prandom_u32() & 31;'],
  },
  {
    program: 'pointer_bits',
    problem: 'R0 bitwise operator &= on pointer prohibited',
    reason: 'holds an address, of which the bits are not known',
    mend: 'mask, shift or multiply the offset before it is added',
    through: ['bpf_map_lookup_elem(&tables'],
  },
  {
    program: 'misaligned',
    problem: 'misaligned value access off 0+0+4 size 8',
    reason: 'must be at a multiple of 8',
    mend: 'place the member at a multiple of its size',
  },
  { program: 'wide_shift', problem: 'invalid shift 64', reason: '0 to 63 bits', mend: 'less than the width' },
  {
    program: 'zero_division',
    problem: 'div by zero',
    reason: 'the constant 0',
    mend: 'a constant that is not 0',
  },
  {
    program: 'plain_pointer',
    problem: "R1 invalid mem access 'scalar'",
    reason: 'name (r1) is a number here',
    mend: 'bpf_probe_read_kernel(&value, sizeof(value), name)',
    through: ['ctx->rsi;'],
  },
  {
    program: 'writes_constant',
    problem: 'write into map forbidden',
    reason: 'a constant of the program is written',
    mend: 'declare the variable without const',
  },
];

/** Refused only of callers without CAP_PERFMON. */
const UNPRIVILEGED: readonly Mistake[] = [
  {
    program: 'uninitialised_stack',
    problem: 'invalid read from stack R2 off=-4 size=4',
    reason: 'the stack is read at fp-4, where nothing was written on this path',
    mend: 'give the variable a value when it is declared',
  },
  {
    program: 'uninitialised_member',
    problem: 'invalid read from stack R2 off -16+0 size 16',
    reason: 'the stack is read at fp-16, where nothing was written',
    mend: 'padding included: struct key key = {}',
  },
  {
    program: 'stored_pointer',
    problem: 'R6 leaks addr into map',
    reason: 'r6 holds an address of the kernel',
    mend: 'store a number',
  },
];

const CALLS: readonly Mistake[] = [
  {
    program: 'leaked_record',
    problem: 'would lead to reference leak',
    reason: 'what bpf_ringbuf_reserve() returned in line 9',
    mend: 'give it back with bpf_ringbuf_submit() or bpf_ringbuf_discard() before the end, also on the path through line 14',
    through: ['bpf_ringbuf_reserve(', 'if (!event)', 'if (ctx->rx_queue_index > 4)'],
  },
  {
    program: 'used_after_submit',
    problem: "R6 invalid mem access 'scalar'",
    reason: 'bpf_ringbuf_submit() in line 28 (bpf_ringbuf_submit(event, 0);) took the object back',
    mend: "don't use event after line 28",
    through: ['bpf_ringbuf_reserve(', 'if (!event)', 'bpf_ringbuf_submit(event, 0);'],
  },
  {
    program: 'submitted_twice',
    problem: 'R1 type=scalar expected=ringbuf_mem',
    reason: 'bpf_ringbuf_submit() in line 41 (bpf_ringbuf_submit(event, 0);) took the object back',
    mend: "don't use event after line 41",
  },
  {
    program: 'record_null_check',
    problem: 'R1 type=ringbuf_mem_or_null expected=ringbuf_mem',
    reason: 'event (r1) may be null here',
    mend: 'if (!event) return …',
  },
  {
    program: 'behind_record',
    problem: 'R0 min value is outside of the allowed memory range',
    reason: 'byte 12 of a ring buffer record is accessed, and it has 8 bytes',
    mend: 'ask for at least 13 in line 60',
  },
  {
    program: 'leaked_socket',
    problem: 'would lead to reference leak',
    reason: 'what bpf_sk_lookup_tcp() returned in line 76',
    mend: 'bpf_sk_release() before the end, also on the path through line 77 (if (sk))',
  },
  {
    program: 'held_lock',
    problem: 'cannot be used inside bpf_spin_lock-ed region',
    reason: 'the region that bpf_spin_lock() opened in line 90',
    mend: 'call bpf_spin_unlock() before the end',
    through: ['bpf_spin_lock(&value->lock);'],
  },
  {
    program: 'call_under_lock',
    problem: 'function calls are not allowed while holding a lock',
    reason: 'while the lock is held that bpf_spin_lock() took in line 103',
    mend: 'make the call before the lock is taken or after it is released',
    through: ['bpf_spin_lock(&value->lock);'],
  },
  {
    program: 'writes_lock',
    problem: 'bpf_spin_lock cannot be accessed directly by load/store',
    reason: 'the value has a bpf_spin_lock at offset 0',
    mend: 'leave the field to its own functions',
  },
  {
    program: 'wrong_helper',
    problem: 'program of this type cannot use helper bpf_skb_load_bytes#26',
    reason: "programs of type xdp can't call bpf_skb_load_bytes()",
    mend: 'use bpf_xdp_load_bytes(), or compare with data_end',
  },
  {
    program: 'unknown_helper',
    problem: 'invalid func unknown#9999',
    reason: 'helper functions are numbered 1 to',
    mend: 'check the number of the helper',
  },
  {
    program: 'wrong_argument',
    problem: 'R1 type=ctx expected=map_ptr',
    reason: 'argument 1 of bpf_map_lookup_elem() is a pointer to the context',
    mend: 'pass a map (&map)',
  },
  {
    program: 'number_argument',
    problem: 'R2 type=scalar expected=fp, pkt,',
    reason: 'argument 2 of bpf_map_delete_elem() is a number',
    mend: "pass the address of a key of the map's key type",
  },
  {
    program: 'wrong_map',
    problem: 'cannot pass map_type 1 into func bpf_ringbuf_output#130',
    reason: "can't work on a map of type hash",
    mend: 'pass a map of type ringbuf',
  },
  {
    program: 'no_return_value',
    problem: 'R0 !read_ok',
    reason: 'nothing was returned',
    mend: 'return a value on every path',
  },
  {
    program: 'return_range',
    problem: 'At program exit the register R0 has smin=7 smax=7 should have been in [0, 1]',
    reason: 'a program of type cgroup_inet4_connect may return 0 to 1',
    mend: 'in line 177 (return 7;)',
    through: ['return 7;'],
  },
  {
    program: 'return_unknown',
    problem: 'should have been in [0, 1]',
    reason: 'may return 0 to 1',
    mend: 'limit the value: return v > 1 ? 1 : v;',
    through: ['return ctx->user_port;'],
  },
  {
    program: 'large_loop',
    problem: 'The sequence of 8193 jumps is too complex',
    reason: 'are in the loop of lines 215 to 217: each round is judged anew',
    mend: 'bpf_loop() or bpf_for(), whose bodies are judged once',
  },
  {
    program: 'endless_loop',
    problem: 'unreachable insn 1',
    reason: 'no path from the start of the program leads to it',
    mend: 'code after an endless loop',
  },
  {
    program: 'jump_out',
    problem: 'jump out of range from insn 1 to 9',
    reason: 'a jump must stay inside it',
    mend: 'let every jump of hand-written assembly end in its own function',
  },
  {
    program: 'unreachable',
    problem: 'unreachable insn 2',
    reason: 'no path from the start of the program leads to it',
    mend: 'remove what can never run',
  },
  {
    program: 'no_exit',
    problem: 'last insn is not an exit or jmp',
    reason: "the function's end is reached without an exit",
    mend: 'end the function with a return',
  },
  {
    program: 'tail_call_type',
    problem: "tail_call is only allowed in functions that return 'int'.",
    reason: 'jump() can be left in its middle',
    mend: 'declare it as static int jump(…)',
  },
  {
    program: 'sleeps',
    problem: 'helper call might sleep in a non-sleepable prog',
    reason: 'bpf_copy_from_user() may sleep',
    mend: 'use bpf_probe_read_user()',
  },
  {
    program: 'too_deep',
    problem: 'the call stack of 9 frames is too deep',
    reason: '8 deep',
    mend: 'static __always_inline',
  },
  {
    program: 'global_argument',
    problem: "R1 invalid mem access 'mem_or_null'",
    reason: 'event (r1) may be null here: a global function is judged for every caller',
    mend: 'if (!event) return …, or declare that it never is: add __arg_nonnull',
  },
];

const LICENSE: readonly Mistake[] = [
  {
    program: 'gpl_helper',
    problem: 'cannot call GPL-restricted function from non-GPL compatible program',
    reason: 'this one\'s is "Proprietary"',
    mend: 'SEC("license") = "GPL"',
  },
];

/** Judged by the types of a kernel. */
const KERNEL: readonly Mistake[] = [
  {
    program: 'leaked_task',
    problem: 'would lead to reference leak',
    reason: 'what bpf_task_from_pid() returned in line 38',
    mend: 'give it back with bpf_task_release() before the end',
    through: ['bpf_task_from_pid(1);'],
  },
  {
    program: 'untrusted_task',
    problem: 'R1 must be referenced or trusted',
    reason: 'the object may be freed while the function works on it',
    mend: 'acquire the object first',
    through: ['task = holder->task;'],
  },
  {
    program: 'no_rcu_lock',
    problem: 'R1 must be a rcu pointer',
    reason: 'the object may be freed while the function works on it',
    mend: 'load the pointer in an RCU section',
    through: ['bpf_task_acquire(task->real_parent)'],
  },
  {
    program: 'held_rcu',
    problem: 'cannot be used inside bpf_rcu_read_lock-ed region',
    reason: 'the region that bpf_rcu_read_lock() opened in line 75',
    mend: 'call bpf_rcu_read_unlock() before the end',
    through: ['bpf_rcu_read_lock();'],
  },
  {
    program: 'held_preemption',
    problem: 'cannot be used inside bpf_preempt_disable-ed region',
    reason: 'the region that bpf_preempt_disable() opened in line 83',
    mend: 'call bpf_preempt_enable() before the end',
  },
  {
    program: 'writes_kernel',
    problem: 'only read is supported',
    reason: 'objects of the kernel are not written by programs',
    mend: 'copy what is there to a variable of the program',
  },
  {
    program: 'missing_member',
    problem: 'invalid func unknown#195896080',
    reason: 'a CO-RE relocation failed: instruction 1: <byte_off>',
    mend: 'bpf_core_field_exists(',
  },
];

const object = (name: string): string => fileURLToPath(new URL(`${name}.o`, import.meta.url));

function expectDiagnosis({ problem, reason, mend, through = [] }: Mistake, report: ProgramReport): void {
  expect(report).toMatchObject({ accepted: false });
  const { diagnosis } = report;
  expect(diagnosis?.problem).toContain(problem);
  expect(diagnosis?.reason).toContain(reason);
  expect(diagnosis?.suggestion).toContain(mend);
  expect(diagnosis?.at.source?.text).toBeDefined();
  let from = 0;
  const lines = diagnosis?.causes.map(({ source }) => source?.text ?? '') ?? [];
  for (const part of through) {
    const at = lines.findIndex((line, i) => i >= from && line.includes(part));
    expect(at, `${part} in ${lines.join(' | ')}`).toBeGreaterThanOrEqual(from);
    from = at;
  }
}

function mistakesOf(name: string, mistakes: readonly Mistake[], words: readonly string[] = []): void {
  let reports: readonly ProgramReport[] = [];
  beforeAll(async () => {
    const programs = mistakes.map(({ program }) => program);
    const { stdout } = await skep(['verify', object(name), ...programs, ...words, '--json']);
    reports = JSON.parse(stdout).programs;
  });
  it.each(mistakes)('$program', (mistake) => {
    expectDiagnosis(mistake, reports.find(({ program }) => program === mistake.program)!);
  });
}

describe('packets and contexts', () => mistakesOf('packet', PACKET));
describe('map values, the stack and numbers', () => mistakesOf('memory', MEMORY));
describe('without CAP_PERFMON', () => mistakesOf('memory', UNPRIVILEGED, ['--cap', 'bpf,net_admin']));
describe('helpers, references, loops and ends', () => mistakesOf('calls', CALLS));
describe('licences', () => mistakesOf('license', LICENSE));

describe.skipIf(linux?.vmlinuxBtf() === undefined)('objects of the kernel (needs its types)', () =>
  mistakesOf('kernel', KERNEL),
);

test('a person reads the plain sentence first', async () => {
  const { stdout } = await skep(['verify', object('memory'), 'no_null_check']);
  expect(stdout.split('\n').slice(0, 5)).toEqual([
    "no_null_check: refused: Register Type Safety: R0 invalid mem access 'map_value_or_null' (EACCES)",
    '  count (r0) may be null here: no path to this place tested it',
    '  where',
    '    memory.c:12  *count += 1; in no_null_check()',
    '      7: (79) r1 = *(u64 *)(r0 +0)  <-- error',
  ]);
});
