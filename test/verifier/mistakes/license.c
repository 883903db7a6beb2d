// SPDX-License-Identifier: Apache-2.0
/* A licence that does not allow what the program calls. */
#include "mistakes.h"

SEC("kprobe/do_unlinkat")
int gpl_helper(struct pt_regs *ctx)
{
	char name[16] = {};

	bpf_probe_read_kernel(name, sizeof(name), (void *)ctx->rsi);
	return name[0];
}

char LICENSE[] SEC("license") = "Proprietary";
