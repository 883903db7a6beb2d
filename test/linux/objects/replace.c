/* Replaces a function of another program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 runs;

SEC("freplace/replaceable")
int count_freplace(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&runs, 1);
	return 7;
}
