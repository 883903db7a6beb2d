// SPDX-License-Identifier: Apache-2.0
/*
 * Maps of 10,000 entries: one operation a round, at places that a generator names, whose state the packet carries from run to
 * run. What the loop itself takes is in `keyloop` (32-bit numbers) and `wideloop` (keys of 16 bytes).
 */
#include "bench.h"

#define ENTRIES 10000
#define ROUNDS 256
#define NO_PREALLOC 1

#define MAP(name, kind, keytype, flags, entries)                                               \
	struct {                                                                               \
		__uint(type, kind);                                                            \
		__uint(max_entries, entries);                                                  \
		__uint(map_flags, flags);                                                      \
		__type(key, keytype);                                                          \
		__type(value, u64);                                                            \
	} name SEC(".maps")

struct wide {
	u32 word[4];
};

struct prefix {
	u32 bits;
	u32 addr;
};

MAP(cells, 2, u32, 0, ENTRIES);
MAP(own_cells, 6, u32, 0, ENTRIES);
MAP(numbers, 1, u32, 0, ENTRIES);
MAP(wides, 1, struct wide, 0, ENTRIES);
/* With room for one more. */
MAP(roomy, 1, u32, 0, 2 * ENTRIES);
MAP(roomy_wides, 1, struct wide, 0, 2 * ENTRIES);
MAP(lately, 9, u32, 0, ENTRIES);
MAP(full, 9, u32, 0, ENTRIES);
MAP(routes, 11, struct prefix, NO_PREALLOC, ENTRIES);

struct {
	__uint(type, 22);
	__uint(max_entries, ENTRIES);
	__type(value, u64);
} line SEC(".maps");

struct {
	__uint(type, 27);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/* The state of the generator is the packet's first word. */
#define MAPWORK(name)                                                                          \
	always_inline u64 name##_round(u32 random);                                            \
	SEC("xdp") int name(struct xdp_md *ctx)                                                \
	{                                                                                      \
		u32 *state = (u32 *)(long)ctx->data;                                           \
		u64 sum = 0;                                                                   \
		u32 random;                                                                    \
		if (state + 1 > (u32 *)(long)ctx->data_end)                                    \
			return 0;                                                              \
		random = *state;                                                               \
		SCALAR                                                                         \
		for (u32 i = 0; i < ROUNDS; i++) {                                             \
			random = random * 1664525 + 1013904223;                                \
			sum += name##_round(random);                                           \
		}                                                                              \
		*state = random;                                                               \
		asm volatile("" : "+r"(sum));                                                  \
		return 2;                                                                      \
	}                                                                                      \
	always_inline u64 name##_round(u32 random)

always_inline u32 among(u32 random)
{
	return ((u64)random * ENTRIES) >> 32;
}

always_inline struct wide wide_of(u32 number)
{
	struct wide key = { .word = { number, number ^ 0x5a5a, 7, ~number } };
	return key;
}

always_inline u64 get(void *map, const void *key)
{
	u64 *value = bpf_map_lookup_elem(map, key);
	return value ? *value : 0;
}

MAPWORK(keyloop)
{
	u32 key = among(random);
	asm volatile("" : : "r"(&key) : "memory");
	return key;
}

MAPWORK(wideloop)
{
	struct wide key = wide_of(among(random));
	asm volatile("" : : "r"(&key) : "memory");
	return key.word[0];
}

MAPWORK(array_cell)
{
	u32 key = among(random);
	u64 *cell = bpf_map_lookup_elem(&cells, &key);
	if (cell)
		(*cell)++;
	return key;
}

MAPWORK(percpu_cell)
{
	u32 key = among(random);
	u64 *cell = bpf_map_lookup_elem(&own_cells, &key);
	if (cell)
		(*cell)++;
	return key;
}

MAPWORK(hash4)
{
	u32 key = among(random);
	return get(&numbers, &key);
}

MAPWORK(hash4_hot)
{
	u32 key = 4321 + (random == 12345);
	return get(&numbers, &key);
}

MAPWORK(hash4_miss)
{
	u32 key = among(random) + 1000000;
	return get(&numbers, &key);
}

MAPWORK(hash4_update)
{
	u32 key = among(random);
	u64 value = random;
	return bpf_map_update_elem(&numbers, &key, &value, 0);
}

MAPWORK(hash4_insert_delete)
{
	u32 key = among(random) + 2000000;
	u64 value = random;
	bpf_map_update_elem(&roomy, &key, &value, 0);
	return bpf_map_delete_elem(&roomy, &key);
}

MAPWORK(hash16)
{
	struct wide key = wide_of(among(random));
	return get(&wides, &key);
}

MAPWORK(hash16_hot)
{
	struct wide key = wide_of(4321 + (random == 12345));
	return get(&wides, &key);
}

MAPWORK(hash16_miss)
{
	struct wide key = wide_of(among(random) + 1000000);
	return get(&wides, &key);
}

MAPWORK(hash16_update)
{
	struct wide key = wide_of(among(random));
	u64 value = random;
	return bpf_map_update_elem(&wides, &key, &value, 0);
}

MAPWORK(hash16_insert_delete)
{
	struct wide key = wide_of(among(random) + 2000000);
	u64 value = random;
	bpf_map_update_elem(&roomy_wides, &key, &value, 0);
	return bpf_map_delete_elem(&roomy_wides, &key);
}

MAPWORK(lru_hit)
{
	u32 key = among(random);
	return get(&lately, &key);
}

/* Each key is a new one, in a map that is full. */
MAPWORK(lru_evict)
{
	u32 key = random;
	u64 value = random;
	return bpf_map_update_elem(&full, &key, &value, 0);
}

MAPWORK(lpm)
{
	struct prefix key = { 32, random };
	return get(&routes, &key);
}

MAPWORK(ring_reserve)
{
	u64 *record = bpf_ringbuf_reserve(&ring, 64, 0);
	if (!record)
		return 0;
	for (u32 i = 0; i < 8; i++)
		record[i] = random;
	bpf_ringbuf_submit(record, 0);
	return 1;
}

MAPWORK(queue_push_pop)
{
	u64 value = random;
	bpf_map_push_elem(&line, &value, 0);
	return bpf_map_pop_elem(&line, &value);
}
