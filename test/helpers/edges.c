// SPDX-License-Identifier: Apache-2.0
/* What is done at the wrong time, or with what is not there. */
#include "out.h"

struct bpf_iter_bits {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_iter_task {
	__u64 opaque[3];
} __attribute__((aligned(8)));
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *bits, __u32 words) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, unsigned int flags) __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, __u32 start, __u32 end) __ksym;
extern int bpf_dynptr_copy(struct bpf_dynptr *to, __u32 to_off, struct bpf_dynptr *from, __u32 from_off,
			   __u32 size) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} row SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

static long change(void *map, const void *key, __u64 *value, void *ctx)
{
	__u64 more = *value + 100;
	__u32 other = *(__u32 *)key + 50;

	/* Replaced while it is visited, and one too many added. */
	PUT(bpf_map_update_elem(&table, key, &more, BPF_EXIST));
	PUT(bpf_map_update_elem(&table, key, &more, BPF_NOEXIST));
	PUT(bpf_map_update_elem(&table, &other, &more, BPF_EXIST));
	return 1;
}

static long inner(void *map, const void *key, __u64 *value, void *ctx)
{
	*value += 1;
	return 0;
}

static long outer(void *map, const void *key, __u64 *value, void *ctx)
{
	*value += 1000 * bpf_for_each_map_elem(&row, inner, 0, 0);
	return 0;
}

static long fill(__u64 i, void *ctx)
{
	__u32 key = i;
	__u64 value = i;

	*(long *)ctx = bpf_map_update_elem(&table, &key, &value, BPF_ANY);
	return *(long *)ctx != 0;
}

static long empty(__u64 i, void *ctx)
{
	__u32 key = i;

	*(long *)ctx += bpf_map_delete_elem(&table, &key);
	return 0;
}

#define LOOK(index)                                                                                         \
	({                                                                                                  \
		key = index;                                                                                \
		value = bpf_map_lookup_elem(&row, &key);                                                    \
		PUT(value ? *value : -1);                                                                   \
	})

SEC("tc")
int updates(struct __sk_buff *skb)
{
	long status = 0;
	__u32 key;
	__u64 *value;

	PUT(bpf_loop(9, fill, &status, 0));
	PUT(status);
	PUT(bpf_for_each_map_elem(&table, change, 0, 0));
	PUT(bpf_for_each_map_elem(&row, outer, 0, 0));
	LOOK(0);
	LOOK(1);
	LOOK(3);
	status = 0;
	PUT(bpf_loop(6, empty, &status, 0));
	PUT(status);
	PUT(bpf_for_each_map_elem(&table, inner, 0, 0));
	return 0;
}

SEC("tc")
int released(struct __sk_buff *skb)
{
	struct bpf_dynptr large, small, flagged;
	char buffer[8] = {};
	__u64 value = 7;

	PUT(bpf_ringbuf_reserve_dynptr(&records, 1 << 20, 0, &large));
	PUT(bpf_dynptr_is_null(&large));
	PUT((int)bpf_dynptr_size(&large));
	PUT(bpf_dynptr_read(&value, sizeof(value), &large, 0, 0));
	PUT(bpf_dynptr_read(&value, 0, &large, 0, 0));
	PUT(bpf_dynptr_write(&large, 0, &value, sizeof(value), 0));
	PUT(bpf_dynptr_data(&large, 0, 8) != 0);
	PUT(bpf_dynptr_adjust(&large, 0, 0));
	PUT(bpf_dynptr_slice(&large, 0, buffer, sizeof(buffer)) != 0);
	PUT(bpf_ringbuf_reserve_dynptr(&records, 8, 0, &small));
	PUT(bpf_dynptr_write(&small, 0, &value, sizeof(value), 0));
	PUT(bpf_dynptr_write(&small, 1, &value, sizeof(value), 0));
	PUT(bpf_dynptr_copy(&small, 0, &large, 0, 8));
	PUT(bpf_dynptr_copy(&large, 0, &small, 0, 8));
	PUT(bpf_dynptr_copy(&large, 0, &large, 0, 0));
	PUT(bpf_dynptr_copy(&large, 0, &large, 0, 1));
	PUT(bpf_dynptr_data(&small, 0, 8) != 0);
	PUT(bpf_dynptr_data(&small, 4, 8) != 0);
	PUT(bpf_ringbuf_reserve_dynptr(&records, 8, 1, &flagged));
	PUT(bpf_dynptr_is_null(&flagged));
	bpf_ringbuf_discard_dynptr(&large, 0);
	bpf_ringbuf_submit_dynptr(&small, 0);
	bpf_ringbuf_submit_dynptr(&flagged, BPF_RB_FORCE_WAKEUP);
	PUT(bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA));
	return 0;
}

#define BITS(words, count)                                                                                  \
	({                                                                                                  \
		struct bpf_iter_bits it;                                                                    \
		int *bit, seen = 0, i;                                                                      \
		PUT(bpf_iter_bits_new(&it, words, count));                                                  \
		for (i = 0; i < 8; i++) {                                                                   \
			bit = bpf_iter_bits_next(&it);                                                      \
			if (!bit)                                                                           \
				break;                                                                      \
			seen = 100 * seen + *bit;                                                           \
		}                                                                                           \
		PUT(seen);                                                                                  \
		bpf_iter_bits_destroy(&it);                                                                 \
	})

__u64 words[4] = { 0x8000000000000005ULL, 0, 2, 0x4000000000000000ULL };

SEC("tc")
int iterators(struct __sk_buff *skb)
{
	BITS(words, 1);
	BITS(words, 3);
	BITS(&words[1], 1);
	BITS(words, 0);
	BITS(words, 512);
	return 0;
}

SEC("syscall")
int tasks(void *ctx)
{
	struct bpf_iter_task it;

	bpf_rcu_read_lock();
	/* The threads of no process, and what is no order. */
	PUT(bpf_iter_task_new(&it, 0, 2));
	PUT(bpf_iter_task_next(&it) != 0);
	bpf_iter_task_destroy(&it);
	PUT(bpf_iter_task_new(&it, 0, 3));
	PUT(bpf_iter_task_next(&it) != 0);
	bpf_iter_task_destroy(&it);
	PUT(bpf_iter_task_new(&it, 0, 0));
	PUT(bpf_iter_task_next(&it) != 0);
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}
