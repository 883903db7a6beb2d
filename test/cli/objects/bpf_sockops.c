/* Counts the connections that a control group's sockets make and take, as a first sockops program does. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} connections SEC(".maps");

SEC("sockops")
int bpf_sockop(struct bpf_sock_ops *ops)
{
	__u32 side;
	__u64 *count;

	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		side = 0;
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		side = 1;
		break;
	default:
		return 0;
	}
	count = bpf_map_lookup_elem(&connections, &side);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
