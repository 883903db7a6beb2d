// SPDX-License-Identifier: Apache-2.0
/* Programs whose helpers call back: loops, walks over maps, a callback that is chosen while the program runs. */
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

struct xdp_md {
	u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_for_each_map_elem)(void *map, void *callback, void *ctx, u64 flags) = (void *)164;
static long (*bpf_loop)(u32 count, void *callback, void *ctx, u64 flags) = (void *)181;

struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} table SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, u64);
} cells SEC(".maps");

struct state {
	u64 sum;
	u32 stop;
};

static long add(u32 index, struct state *state)
{
	volatile u64 here = index * 3 + 1;
	state->sum += here;
	return index == state->stop;
}

static long multiply(u32 index, struct state *state)
{
	state->sum = state->sum * 31 + index;
	return 0;
}

SEC("xdp") int rounds(struct xdp_md *ctx)
{
	struct state state = { .stop = 1000 };
	long done = bpf_loop(100, add, &state, 0);
	struct state early = { .stop = 5 };
	done += bpf_loop(100, add, &early, 0);
	done += bpf_loop(0, add, &early, 0);
	return state.sum + early.sum + done;
}

SEC("xdp") int refused(struct xdp_md *ctx)
{
	struct state state = {};
	long flags = bpf_loop(4, add, &state, 1);
	long many = bpf_loop((1 << 23) + 1, add, &state, 0);
	return -flags * 1000 - many;
}

SEC("xdp") int chosen(struct xdp_md *ctx)
{
	struct state state = { .sum = 1, .stop = 1000 };
	void *callback = ctx->rx_queue_index ? (void *)add : (void *)multiply;
	bpf_loop(10, callback, &state, 0);
	return (state.sum & 0xffff) + 1;
}

static long nested(u32 index, struct state *state)
{
	struct state inner = { .stop = 1000 };
	bpf_loop(index, add, &inner, 0);
	state->sum += inner.sum;
	return 0;
}

SEC("xdp") int loops_in_loops(struct xdp_md *ctx)
{
	struct state state = {};
	bpf_loop(12, nested, &state, 0);
	return state.sum;
}

static long visit(void *map, u32 *key, u64 *value, struct state *state)
{
	state->sum += *key * 7 + *value;
	*value += 1;
	return *key == state->stop;
}

static long fill(u32 index, struct state *state)
{
	u32 key = index + 1;
	u64 value = key * key;
	bpf_map_update_elem(&table, &key, &value, 1);
	return 0;
}

SEC("xdp") int walk(struct xdp_md *ctx)
{
	struct state state = { .stop = 1000 };
	bpf_loop(7, fill, &state, 0);
	long visited = bpf_for_each_map_elem(&table, visit, &state, 0);
	visited += bpf_for_each_map_elem(&cells, visit, &state, 0) * 100;
	struct state early = { .stop = 3 };
	visited += bpf_for_each_map_elem(&cells, visit, &early, 0) * 10000;
	return state.sum + early.sum + visited;
}

char LICENSE[] SEC("license") = "GPL";
