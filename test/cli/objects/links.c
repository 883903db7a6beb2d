/* One program for each kind of link that an object attaches itself. None of them does anything. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tracepoint/syscalls/sys_enter_acct")
int on_tracepoint(void *ctx)
{
	return 0;
}

SEC("raw_tp/task_rename")
int on_raw_tracepoint(void *ctx)
{
	return 0;
}

SEC("tp_btf/task_rename")
int on_typed_tracepoint(__u64 *ctx)
{
	return 0;
}

SEC("xdp")
int on_packet(struct xdp_md *ctx)
{
	return XDP_PASS;
}
