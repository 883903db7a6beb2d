/* Counts system calls by process, from a section whose name says no type: the command line does. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} my_syn_counts SEC(".maps");

SEC("tracer")
int my_tcp_syn_tracer(void *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	__u64 one = 1;
	__u64 *count = bpf_map_lookup_elem(&my_syn_counts, &process);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&my_syn_counts, &process, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
