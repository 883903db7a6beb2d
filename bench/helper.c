// SPDX-License-Identifier: Apache-2.0
/* Helpers in a loop: the processor's number, an array's element, random numbers, the clock. */
#include "bench.h"

struct {
	__uint(type, 2);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} cells SEC(".maps");

struct {
	__uint(type, 6);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} own_cells SEC(".maps");

#define ROUNDS 256

SEC("xdp") int helpers(struct xdp_md *ctx)
{
	u32 sum = 0;
	SCALAR
	for (u32 i = 0; i < ROUNDS; i++)
		sum += bpf_get_smp_processor_id() + i;
	/* Which processor it was does not matter. */
	asm volatile("" : "+r"(sum));
	return 1;
}

SEC("xdp") int array(struct xdp_md *ctx)
{
	SCALAR
	for (u32 i = 0; i < ROUNDS; i++) {
		u32 key = (i * 167) & 255;
		u64 *cell = bpf_map_lookup_elem(&cells, &key);
		if (cell)
			(*cell)++;
	}
	return 3;
}

SEC("xdp") int percpu(struct xdp_md *ctx)
{
	SCALAR
	for (u32 i = 0; i < ROUNDS; i++) {
		u32 key = (i * 167) & 255;
		u64 *cell = bpf_map_lookup_elem(&own_cells, &key);
		if (cell)
			(*cell)++;
	}
	return 3;
}

SEC("xdp") int random_numbers(struct xdp_md *ctx)
{
	u32 sum = 0;
	SCALAR
	for (u32 i = 0; i < ROUNDS; i++)
		sum |= bpf_get_prandom_u32() >> 31;
	asm volatile("" : "+r"(sum));
	return 1;
}

SEC("xdp") int clock(struct xdp_md *ctx)
{
	u64 last = 0;
	SCALAR
	for (u32 i = 0; i < ROUNDS; i++)
		last |= bpf_ktime_get_ns();
	asm volatile("" : "+r"(last));
	return 1;
}

/* A helper that is JavaScript in skep. */
SEC("xdp") int hostcalls(struct xdp_md *ctx)
{
	u64 sum = 0;
	SCALAR
	for (u32 i = 0; i < ROUNDS; i++)
		sum |= bpf_get_current_pid_tgid();
	asm volatile("" : "+r"(sum));
	return 1;
}
