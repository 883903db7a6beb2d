// SPDX-License-Identifier: Apache-2.0
/* Dynptrs, timers, reads that fail, stacks and callbacks. */
#include "out.h"
#include <bpf/bpf_core_read.h>

struct element {
	struct bpf_timer timer;
	__u64 count;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct element);
} timers SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

__u64 memory[8];

SEC("tc")
int dynptrs(struct __sk_buff *skb)
{
	struct bpf_dynptr local, record;
	__u64 value = 5, *place;

	PUT(bpf_dynptr_from_mem(memory, sizeof(memory), 1, &local));
	PUT(bpf_dynptr_read(&value, sizeof(value), &local, 0, 0));
	PUT(bpf_dynptr_from_mem(memory, sizeof(memory), 0, &local));
	PUT(bpf_dynptr_write(&local, 8, &value, sizeof(value), 0));
	PUT(bpf_dynptr_write(&local, 60, &value, sizeof(value), 0));
	PUT(bpf_dynptr_write(&local, 8, &value, sizeof(value), 1));
	PUT(bpf_dynptr_read(&value, sizeof(value), &local, 8, 0));
	PUT(value);
	PUT(bpf_dynptr_read(&value, sizeof(value), &local, 57, 0));
	PUT(bpf_dynptr_read(&value, sizeof(value), &local, 0, 1));
	place = bpf_dynptr_data(&local, 8, 8);
	PUT(place ? *place : -1);
	PUT(bpf_dynptr_data(&local, 64, 8) != 0);
	PUT(bpf_ringbuf_reserve_dynptr(&ring, 16, 0, &record));
	PUT(bpf_dynptr_write(&record, 0, &value, sizeof(value), 0));
	bpf_ringbuf_submit_dynptr(&record, 0);
	PUT(bpf_ringbuf_reserve_dynptr(&ring, 16, 1, &record));
	bpf_ringbuf_discard_dynptr(&record, 0);
	PUT(bpf_ringbuf_reserve_dynptr(&ring, 1 << 20, 0, &record));
	bpf_ringbuf_discard_dynptr(&record, 0);
	PUT(bpf_ringbuf_reserve_dynptr(&ring, 1 << 25, 0, &record));
	bpf_ringbuf_discard_dynptr(&record, 0);
	PUT(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA));
	return 0;
}

static int fire(void *map, __u32 *key, struct element *element)
{
	element->count++;
	out[NUMBERS - 1] = *key;
	return 0;
}

SEC("tc")
int timing(struct __sk_buff *skb)
{
	struct element *one;
	__u32 key = 1;

	one = bpf_map_lookup_elem(&timers, &key);
	if (!one)
		return 1;
	PUT(bpf_timer_start(&one->timer, 0, 0));
	PUT(bpf_timer_cancel(&one->timer));
	PUT(bpf_timer_set_callback(&one->timer, fire));
	PUT(bpf_timer_init(&one->timer, &timers, 5));
	PUT(bpf_timer_init(&one->timer, &timers, 1 << 10));
	PUT(bpf_timer_init(&one->timer, &timers, 1));
	PUT(bpf_timer_init(&one->timer, &timers, 1));
	PUT(bpf_timer_start(&one->timer, 0, 0));
	PUT(bpf_timer_set_callback(&one->timer, fire));
	PUT(bpf_timer_start(&one->timer, 1ULL << 50, 16));
	PUT(bpf_timer_start(&one->timer, 1ULL << 50, 0));
	PUT(bpf_timer_cancel(&one->timer));
	PUT(bpf_timer_cancel(&one->timer));
	PUT(bpf_timer_start(&one->timer, 1ULL << 50, 0));
	PUT(bpf_timer_set_callback(&one->timer, fire));
	PUT(bpf_timer_start(&one->timer, 1ULL << 50, 0));
	return 0;
}

static long visit(void *map, const void *key, void *value, void *ctx)
{
	*(__u64 *)ctx += 1;
	bpf_map_delete_elem(&table, key);
	return 0;
}

static long stop(__u64 i, void *ctx)
{
	return i == 3;
}

static long drain(struct bpf_dynptr *dynptr, void *ctx)
{
	return 0;
}

SEC("tc")
int callbacks(struct __sk_buff *skb)
{
	__u64 one = 1, seen = 0;
	__u32 key, i;

	for (i = 0; i < 3; i++) {
		key = i;
		bpf_map_update_elem(&table, &key, &one, BPF_ANY);
	}
	PUT(bpf_for_each_map_elem(&table, visit, &seen, 1));
	PUT(bpf_for_each_map_elem(&table, visit, &seen, 0));
	PUT(seen);
	PUT(bpf_for_each_map_elem(&table, visit, &seen, 0));
	PUT(bpf_loop(10, stop, 0, 0));
	PUT(bpf_loop(2, stop, 0, 0));
	PUT(bpf_loop(1 << 24, stop, 0, 0));
	PUT(bpf_loop(1, stop, 0, 1));
	PUT(bpf_user_ringbuf_drain(&records, drain, 0, 0));
	PUT(bpf_user_ringbuf_drain(&records, drain, 0, 8));
	return 0;
}

static char text[256];

#define SHOW(type, object, flags)                                                                           \
	({                                                                                                  \
		struct btf_ptr what = { &object, 0, 0 };                                                    \
		what.type_id = bpf_core_type_id_kernel(type);                                               \
		__builtin_memset(text, 0, sizeof(text));                                                    \
		PUT(bpf_snprintf_btf(text, sizeof(text), &what, sizeof(what), flags));                      \
		for (int i = 0; i < 18; i++)                                                                \
			out[next++ % NUMBERS] = ((__s64 *)text)[i];                                         \
	})

SEC("raw_tp")
int shows(void *ctx)
{
	struct bpf_insn insn = { .code = 1, .dst_reg = 2, .src_reg = 3, .off = -4, .imm = 5 };
	struct bpf_insn none = {};
	struct bpf_prog_info info = {};
	struct btf_ptr what = {};
	enum bpf_cmd command = BPF_MAP_DELETE_ELEM;
	__u32 next = 20;

	info.name[0] = 'f';
	info.name[1] = 'o';
	info.type = 3;
	info.load_time = 1ULL << 40;
	PUT(bpf_snprintf_btf(text, sizeof(text), &what, sizeof(what), 0));
	PUT(bpf_snprintf_btf(text, sizeof(text), &what, sizeof(what) - 4, 0));
	PUT(bpf_snprintf_btf(text, sizeof(text), &what, sizeof(what), 1 << 9));
	SHOW(struct bpf_insn, insn, 0);
	SHOW(struct bpf_insn, insn, BTF_F_COMPACT);
	SHOW(struct bpf_insn, insn, BTF_F_COMPACT | BTF_F_NONAME);
	SHOW(struct bpf_insn, none, BTF_F_COMPACT | BTF_F_ZERO);
	SHOW(struct bpf_insn, none, BTF_F_COMPACT);
	SHOW(struct bpf_prog_info, info, BTF_F_COMPACT);
	SHOW(enum bpf_cmd, command, 0);
	return 0;
}

SEC("raw_tp")
int reads(void *ctx)
{
	struct bpf_perf_event_value counted;
	struct bpf_pidns_info ns;
	char text[8] = {};
	__u64 value = 1;

	PUT(bpf_probe_read_kernel(&value, 8, (void *)42));
	PUT(value);
	PUT(bpf_probe_read_kernel(&value, 8, (void *)0xffff888000000000ULL - (1ULL << 45)));
	PUT(bpf_probe_read_kernel(&value, 8, (void *)0x8000000000000000ULL));
	PUT(bpf_probe_read_kernel(&value, 0, (void *)42));
	PUT(bpf_probe_read(&value, 8, (void *)42));
	PUT(bpf_probe_read_kernel_str(text, 8, (void *)42));
	PUT(bpf_probe_read_user(&value, 8, (void *)42));
	PUT(bpf_probe_read_user_str(text, 8, (void *)42));
	PUT(bpf_get_stack(ctx, text, 8, 1 << 20));
	PUT(bpf_get_stack(ctx, text, 7, 0));
	PUT(bpf_get_stack(ctx, text, 8, 1 << 11));
	PUT(bpf_perf_event_read(&events, 7));
	PUT(bpf_perf_event_read(&events, 0));
	PUT(bpf_perf_event_read(&events, 1ULL << 40));
	PUT(bpf_perf_event_read_value(&events, 0, &counted, sizeof(counted) - 8));
	PUT(bpf_perf_event_read_value(&events, 0, &counted, sizeof(counted)));
	PUT(bpf_perf_event_output(ctx, &events, 7, &value, 8));
	PUT(bpf_perf_event_output(ctx, &events, 0, &value, 8));
	PUT(bpf_get_ns_current_pid_tgid(1, 2, &ns, sizeof(ns)));
	PUT(bpf_get_current_ancestor_cgroup_id(1000));
	PUT(bpf_send_signal(1000) < 0);
	return 0;
}
