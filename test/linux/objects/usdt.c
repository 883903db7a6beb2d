/* Reads the arguments of a USDT probe. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "GPL";

__u64 runs;
__u64 cookie;
int arg_count;
long args[4];

SEC("usdt")
int count_usdt(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&runs, 1);
	cookie = bpf_usdt_cookie(ctx);
	arg_count = bpf_usdt_arg_cnt(ctx);
	bpf_usdt_arg(ctx, 0, &args[0]);
	bpf_usdt_arg(ctx, 1, &args[1]);
	bpf_usdt_arg(ctx, 2, &args[2]);
	bpf_usdt_arg(ctx, 3, &args[3]);
	return 0;
}
