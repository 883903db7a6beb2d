// SPDX-License-Identifier: Apache-2.0
/* Mistakes around helpers, what they acquire, loops and the ends of programs. */
#include "mistakes.h"

/* A record of the ring buffer is neither submitted nor discarded. */
SEC("xdp")
int leaked_record(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	event->pid = 1;
	if (ctx->rx_queue_index > 4)
		return XDP_DROP;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

/* A record is used after it was submitted. */
SEC("xdp")
int used_after_submit(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	bpf_ringbuf_submit(event, 0);
	event->pid = 1;
	return XDP_PASS;
}

/* A record is submitted twice. */
SEC("xdp")
int submitted_twice(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	bpf_ringbuf_submit(event, 0);
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

/* A record is submitted without asking whether there is one. */
SEC("xdp")
int record_null_check(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

/* Behind the end of a record. */
SEC("xdp")
int behind_record(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, 8, 0);

	if (!event)
		return XDP_PASS;
	event->name[4] = 0;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

/* A socket that was looked up is not given back. */
SEC("tc")
int leaked_socket(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;

	sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (sk)
		return sk->mark;
	return 0;
}

/* A lock is held at the end. */
SEC("tc")
int held_lock(struct __sk_buff *skb)
{
	struct guarded *value = bpf_map_lookup_elem(&shared, &zero);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->hits++;
	return 0;
}

/* A helper is called while a lock is held. */
SEC("tc")
int call_under_lock(struct __sk_buff *skb)
{
	struct guarded *value = bpf_map_lookup_elem(&shared, &zero);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->hits = bpf_get_prandom_u32();
	bpf_spin_unlock(&value->lock);
	return 0;
}

/* The lock itself is written. */
SEC("tc")
int writes_lock(struct __sk_buff *skb)
{
	struct guarded *value = bpf_map_lookup_elem(&shared, &zero);

	if (!value)
		return 0;
	*(volatile __u32 *)&value->lock = 0;
	return 0;
}

/* A helper that programs of this type don't have. */
SEC("xdp")
int wrong_helper(struct xdp_md *ctx)
{
	char name[16];

	bpf_skb_load_bytes(ctx, 0, name, sizeof(name));
	return name[0];
}

/* A helper's number that no Linux has. */
SEC("xdp")
int unknown_helper(struct xdp_md *ctx)
{
	long (*helper)(void *ctx) = (void *)9999;

	return helper(ctx);
}

/* An argument of the wrong kind: the address of a map's value where the map is meant. */
SEC("xdp")
int wrong_argument(struct xdp_md *ctx)
{
	__u32 key = 0;
	long (*lookup)(void *map, void *key) = (void *)BPF_FUNC_map_lookup_elem;

	return lookup(ctx, &key) != 0;
}

/* A number where a pointer is meant. */
SEC("xdp")
int number_argument(struct xdp_md *ctx)
{
	return bpf_map_delete_elem(&counts, (void *)(long)ctx->rx_queue_index);
}

/* The map has the wrong type for the helper. */
SEC("xdp")
int wrong_map(struct xdp_md *ctx)
{
	struct event event = {};

	return bpf_ringbuf_output(&counts, &event, sizeof(event), 0);
}

/* The end without an answer. */
SEC("xdp")
__attribute__((naked)) int no_return_value(void)
{
	asm volatile("exit");
}

/* An answer that the hook has no meaning for. */
SEC("cgroup/connect4")
int return_range(struct bpf_sock_addr *ctx)
{
	return 7;
}

/* The answer may be anything. */
SEC("cgroup/connect4")
int return_unknown(struct bpf_sock_addr *ctx)
{
	return ctx->user_port;
}

/* A loop without an end. */
SEC("xdp")
int endless_loop(struct xdp_md *ctx)
{
	asm volatile("1: goto 1b");
	return XDP_PASS;
}

/* The loop ends when the packet says so. */
SEC("xdp")
int unbounded_loop(struct xdp_md *ctx)
{
	__u32 count = ctx->rx_queue_index;
	__u64 sum = 0;

	for (__u32 i = 0; i < count; i++) {
		hide(i);
		sum += bpf_get_prandom_u32();
	}
	return sum & 1;
}

/* The loop is bounded, by a million rounds. */
SEC("xdp")
int large_loop(struct xdp_md *ctx)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 1000000; i++) {
		if (bpf_get_prandom_u32() & 1)
			bpf_ktime_get_ns();
		sum += i;
	}
	return sum & 1;
}

/* A jump behind the end. */
SEC("xdp")
__attribute__((naked)) int jump_out(void)
{
	asm volatile("r0 = 2\n"
		     "goto +7\n"
		     "exit\n");
}

/* Instructions that no path reaches. */
SEC("xdp")
__attribute__((naked)) int unreachable(void)
{
	asm volatile("r0 = 2\n"
		     "exit\n"
		     "r0 = 1\n"
		     "exit\n");
}

/* The last instruction is no exit. */
SEC("xdp")
__attribute__((naked)) int no_exit(void)
{
	asm volatile("r0 = 2\n");
}

static __attribute__((noinline)) void jump(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
}

/* A tail call out of a function that returns nothing. */
SEC("xdp")
int tail_call_type(struct xdp_md *ctx)
{
	jump(ctx);
	return XDP_PASS;
}

/* Sleeps where nothing may sleep. */
SEC("kprobe/do_unlinkat")
int sleeps(struct pt_regs *ctx)
{
	char name[16];

	bpf_copy_from_user(name, sizeof(name), (void *)ctx->rsi);
	return name[0];
}

static __attribute__((noinline)) int frame8(__u64 n) { hide(n); return n; }
static __attribute__((noinline)) int frame7(__u64 n) { hide(n); return frame8(n) + 1; }
static __attribute__((noinline)) int frame6(__u64 n) { hide(n); return frame7(n) + 1; }
static __attribute__((noinline)) int frame5(__u64 n) { hide(n); return frame6(n) + 1; }
static __attribute__((noinline)) int frame4(__u64 n) { hide(n); return frame5(n) + 1; }
static __attribute__((noinline)) int frame3(__u64 n) { hide(n); return frame4(n) + 1; }
static __attribute__((noinline)) int frame2(__u64 n) { hide(n); return frame3(n) + 1; }
static __attribute__((noinline)) int frame1(__u64 n) { hide(n); return frame2(n) + 1; }

/* Nine functions deep. */
SEC("xdp")
int too_deep(struct xdp_md *ctx)
{
	return frame1(ctx->rx_queue_index);
}

/* A global function gets a pointer and does not ask whether it is there. */
__attribute__((noinline)) int read_event(struct event *event)
{
	return event->pid;
}

SEC("xdp")
int global_argument(struct xdp_md *ctx)
{
	struct event event = {};

	return read_event(&event);
}

char LICENSE[] SEC("license") = "GPL";
