// SPDX-License-Identifier: Apache-2.0
/* What has to hold when a program runs on several processors at once. Packets are Ethernet, IPv4, TCP or UDP. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

struct xdp_md {
	u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static long (*bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*bpf_spin_lock)(void *lock) = (void *)93;
static long (*bpf_spin_unlock)(void *lock) = (void *)94;
static void *(*bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *record, u64 flags) = (void *)132;

struct bpf_spin_lock {
	u32 val;
};

struct flow {
	u32 saddr, daddr, ports, proto;
};

struct locked {
	struct bpf_spin_lock lock;
	u32 packets;
	u64 bytes;
};

struct event {
	u64 number;
	u32 cpu;
	u32 ports;
};

struct {
	__uint(type, 2 /* array */);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

struct {
	__uint(type, 6 /* percpu_array */);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} each SEC(".maps");

struct {
	__uint(type, 1 /* hash */);
	__uint(max_entries, 8192);
	__type(key, struct flow);
	__type(value, u64);
} flows SEC(".maps");

struct {
	__uint(type, 5 /* percpu_hash */);
	__uint(max_entries, 8192);
	__type(key, struct flow);
	__type(value, u64);
} flows_each SEC(".maps");

struct {
	__uint(type, 9 /* lru_hash */);
	__uint(max_entries, 512);
	__type(key, struct flow);
	__type(value, u64);
} recent SEC(".maps");

struct {
	__uint(type, 2 /* array */);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct locked);
} pair SEC(".maps");

struct {
	__uint(type, 27 /* ringbuf */);
	__uint(max_entries, 65536);
} events SEC(".maps");

static __attribute__((always_inline)) int parse(struct xdp_md *ctx, struct flow *flow)
{
	u8 *data = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;

	if (data + 38 > end || *(u16 *)(data + 12) != 0x0008)
		return -1;
	flow->saddr = *(u32 *)(data + 26);
	flow->daddr = *(u32 *)(data + 30);
	flow->ports = *(u32 *)(data + 34);
	flow->proto = data[23];
	return 0;
}

/* Counters of all kinds: shared ones by atomic operations, a pair under a lock, and each processor's own. */
SEC("xdp") int count(struct xdp_md *ctx)
{
	u32 zero = 0, one = 1;
	u64 first = 1, bytes = ctx->data_end - ctx->data;
	struct flow flow;
	struct locked *both;
	u64 *value;

	if (parse(ctx, &flow))
		return 1;
	value = bpf_map_lookup_elem(&counters, &zero);
	if (value)
		__sync_fetch_and_add(value, 1);
	value = bpf_map_lookup_elem(&counters, &one);
	if (value)
		__sync_fetch_and_add(value, bytes);
	value = bpf_map_lookup_elem(&each, &zero);
	if (value)
		*value += 1;
	both = bpf_map_lookup_elem(&pair, &zero);
	if (both) {
		bpf_spin_lock(&both->lock);
		both->packets += 1;
		both->bytes += bytes;
		bpf_spin_unlock(&both->lock);
	}
	value = bpf_map_lookup_elem(&flows, &flow);
	if (!value) {
		u64 none = 0;
		bpf_map_update_elem(&flows, &flow, &none, 1 /* BPF_NOEXIST */);
		value = bpf_map_lookup_elem(&flows, &flow);
	}
	if (value)
		__sync_fetch_and_add(value, 1);
	value = bpf_map_lookup_elem(&flows_each, &flow);
	if (value)
		*value += 1;
	else
		bpf_map_update_elem(&flows_each, &flow, &first, 0);
	return 2;
}

/* An event for each packet, numbered over all processors; those that find no room are counted. */
SEC("xdp") int report(struct xdp_md *ctx)
{
	u32 zero = 0, one = 1;
	struct event *event;
	struct flow flow;
	u64 *number, *lost;

	number = bpf_map_lookup_elem(&counters, &zero);
	lost = bpf_map_lookup_elem(&counters, &one);
	if (parse(ctx, &flow) || !number || !lost)
		return 1;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(lost, 1);
		return 1;
	}
	event->number = __sync_fetch_and_add(number, 1);
	event->cpu = bpf_get_smp_processor_id();
	event->ports = flow.ports;
	bpf_ringbuf_submit(event, 0);
	return 2;
}

/* Inserts, deletes and looks up, far more flows than there is room for. */
SEC("xdp") int storm(struct xdp_md *ctx)
{
	struct flow flow;
	u64 value = 1;

	if (parse(ctx, &flow))
		return 1;
	bpf_map_update_elem(&recent, &flow, &value, 0);
	if (flow.ports & 0x100)
		bpf_map_delete_elem(&recent, &flow);
	bpf_map_update_elem(&flows, &flow, &value, 0);
	if (flow.ports & 0x200)
		bpf_map_delete_elem(&flows, &flow);
	flow.saddr ^= 1;
	return bpf_map_lookup_elem(&recent, &flow) ? 2 : 1;
}

/* Moves the packet's start. */
SEC("xdp") int grow(struct xdp_md *ctx)
{
	u8 *data, *end;

	if (bpf_xdp_adjust_head(ctx, -8))
		return 1;
	data = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (data + 22 > end)
		return 1;
	return data[0] | data[7] ? 0 : data[20] == 8 ? 2 : 3;
}

/* What is not done on several processors. */
SEC("tc") int moves(void *skb)
{
	return ((long (*)(void *, u16, u16))18)(skb, 0x0081, 7) ? 2 : 0;
}

char LICENSE[] SEC("license") = "GPL";
