/* A classifier that lets everything pass, for tc, tcx and cgroups. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tc")
int pass(struct __sk_buff *skb)
{
	return 0;
}
