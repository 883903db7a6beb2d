// SPDX-License-Identifier: Apache-2.0
/*
 * What the benchmark programs share. Each is compiled twice: for BPF, as an XDP program over the packet, and natively, as
 * a function over the same bytes. The work is in WORK(name, bytes): `data` has at least that many bytes.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;

#define always_inline static inline __attribute__((always_inline))
#define noinline __attribute__((noinline))

#ifdef __bpf__

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static void *(*bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *record, u64 flags) = (void *)132;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;

#define WORK(name, bytes)                                                                      \
	always_inline u32 name##_work(u8 *data);                                               \
	SEC("xdp") int name(struct xdp_md *ctx)                                                \
	{                                                                                      \
		u8 *data = (u8 *)(long)ctx->data;                                              \
		if (data + (bytes) > (u8 *)(long)ctx->data_end)                                \
			return 0;                                                              \
		return name##_work(data);                                                      \
	}                                                                                      \
	always_inline u32 name##_work(u8 *data)

char LICENSE[] SEC("license") = "GPL";

#else

#define SEC(name)
#define WORK(name, bytes)                                                                      \
	always_inline u32 name##_work(u8 *data);                                               \
	noinline u32 name(u8 *data)                                                            \
	{                                                                                      \
		asm volatile("" ::: "memory");                                                 \
		return name##_work(data);                                                      \
	}                                                                                      \
	always_inline u32 name##_work(u8 *data)

#endif

/* Keeps the compiler from making one loop of two, or vectors of a loop that BPF has no vectors for. */
#define SCALAR _Pragma("clang loop vectorize(disable) interleave(disable) unroll(disable)")
