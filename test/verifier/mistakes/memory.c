// SPDX-License-Identifier: Apache-2.0
/* Mistakes around map values, the stack and numbers. */
#include "mistakes.h"

/* The value may not be there. */
SEC("xdp")
int no_null_check(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	*count += 1;
	return XDP_PASS;
}

/* Tested the wrong way round. */
SEC("xdp")
int null_check_inverted(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (!count)
		__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}

/* The index comes from the packet, and the array has 16 slots. */
SEC("xdp")
int value_index(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (!table)
		return XDP_PASS;
	table->slot[ctx->rx_queue_index] = 1;
	return XDP_PASS;
}

/* The bound is one too large. */
SEC("xdp")
int value_index_off_by_one(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);
	__u32 i = ctx->rx_queue_index;

	if (!table || i > 16)
		return XDP_PASS;
	table->slot[i] = 1;
	return XDP_PASS;
}

/* A signed index is only compared with the upper bound. */
SEC("xdp")
int negative_index(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);
	long i = (int)ctx->rx_queue_index;

	hide(i);
	if (!table || i >= 16)
		return XDP_PASS;
	table->slot[i] = 1;
	return XDP_PASS;
}

/* Behind the end of the value. */
SEC("xdp")
int behind_value(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (!table)
		return XDP_PASS;
	return *(__u32 *)((char *)table + 68);
}

/* The pointer is moved by a number that is not known. */
SEC("xdp")
int unbounded_arithmetic(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);
	__u64 by = bpf_ktime_get_ns();

	if (!table)
		return XDP_PASS;
	return *((char *)table + by);
}

/* A local variable that was never written. */
SEC("xdp")
int uninitialised_stack(struct xdp_md *ctx)
{
	__u32 key;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	return count ? XDP_PASS : XDP_DROP;
}

struct pair {
	__u64 kind;
	__u64 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct pair);
	__type(value, __u64);
} by_kind SEC(".maps");

/* A member of a struct was never written. */
SEC("xdp")
int uninitialised_member(struct xdp_md *ctx)
{
	struct pair key;
	__u64 one = 1;

	/* key.kind is forgotten. */
	key.id = ctx->ingress_ifindex;
	bpf_map_update_elem(&by_kind, &key, &one, BPF_ANY);
	return XDP_PASS;
}

/* A register that was never written. */
SEC("xdp")
int uninitialised_register(struct xdp_md *ctx)
{
	__u64 value;

	asm volatile("%0 = r6" : "=r"(value));
	return value;
}

/* Arguments are gone after a call. */
SEC("xdp")
__attribute__((naked)) int clobbered_argument(void)
{
	asm volatile("call %[time]\n"
		     "r0 = *(u32 *)(r1 + 0)\n"
		     "exit\n" ::[time] "i"(BPF_FUNC_ktime_get_ns));
}

/* A buffer that is larger than the stack. */
SEC("xdp")
int stack_too_large(struct xdp_md *ctx)
{
	asm volatile("r1 = 0\n"
		     "*(u64 *)(r10 - 520) = r1\n" ::
			     : "r1");
	return XDP_PASS;
}

static __attribute__((noinline)) int deep(__u32 i)
{
	volatile char buffer[400];

	buffer[i & 255] = i;
	return buffer[0];
}

/* The frames of the functions together are larger than the stack. */
SEC("xdp")
int stack_of_functions(struct xdp_md *ctx)
{
	volatile char buffer[200];

	buffer[ctx->rx_queue_index & 127] = 1;
	return deep(ctx->rx_queue_index) + buffer[0];
}

/* An index into a local array without a bound. */
SEC("xdp")
int stack_index(struct xdp_md *ctx)
{
	volatile char buffer[16] = {};

	buffer[ctx->rx_queue_index] = 1;
	return buffer[0];
}

/* The length of a copy may be negative. */
SEC("tracepoint/syscalls/sys_enter_openat")
int negative_size(void *ctx)
{
	char buffer[64] = {};
	long size = bpf_get_current_pid_tgid();

	if (size > (long)sizeof(buffer))
		return 0;
	bpf_probe_read_kernel(buffer, size, ctx);
	return buffer[0];
}

/* The length of a copy has no bound. */
SEC("tracepoint/syscalls/sys_enter_openat")
int unbounded_size(void *ctx)
{
	char buffer[64] = {};
	__u32 size = bpf_get_prandom_u32();

	bpf_probe_read_kernel(buffer, size, ctx);
	return buffer[0];
}

/* The length of a copy is larger than the buffer. */
SEC("tracepoint/syscalls/sys_enter_openat")
int large_size(void *ctx)
{
	char buffer[16] = {};
	__u32 size = bpf_get_prandom_u32() & 31;

	bpf_probe_read_kernel(buffer, size, ctx);
	return buffer[0];
}

/* An address is masked. */
SEC("xdp")
int pointer_bits(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (!table)
		return XDP_PASS;
	asm volatile("%0 &= -16" : "+r"(table));
	return table->used;
}

/* The address of the context is kept in a map. */
SEC("xdp")
int stored_pointer(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (!count)
		return XDP_PASS;
	*count = (long)ctx;
	return XDP_PASS;
}

/* Eight bytes at an address that is a multiple of four. */
SEC("xdp")
int misaligned(struct xdp_md *ctx)
{
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (!table)
		return XDP_PASS;
	asm volatile("r1 = 1\n"
		     "lock *(u64 *)(%0 + 4) += r1\n" ::"r"(table)
		     : "r1");
	return XDP_PASS;
}

/* Shifts by as many bits as there are. */
SEC("xdp")
int wide_shift(struct xdp_md *ctx)
{
	__u64 value = ctx->rx_queue_index;

	asm volatile("%0 <<= 64" : "+r"(value));
	return value != 0;
}

/* The remainder of a division by nothing. */
SEC("xdp")
int zero_division(struct xdp_md *ctx)
{
	__u64 value = ctx->rx_queue_index;

	asm volatile("%0 %%= 0" : "+r"(value));
	return value != 0;
}

/* What the kernel's memory holds is read as if it were the program's. */
SEC("kprobe/do_unlinkat")
int plain_pointer(struct pt_regs *ctx)
{
	char *name = (char *)ctx->rsi;

	return name[0];
}

/* A constant of the program is written. */
const volatile __u32 limit = 5;

SEC("xdp")
int writes_constant(struct xdp_md *ctx)
{
	*(volatile __u32 *)&limit = ctx->rx_queue_index;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
