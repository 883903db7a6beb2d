/* A program for each hook; each counts its runs. The attach matrix loads them one by one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* How often the program that was loaded ran, and what it saw. */
__u64 runs;
__u64 cookie;
/* Counted only if it is this process that fires, where the hook is everybody's; 0 counts all. */
__u32 only_pid;
/* What programs of networks answer. */
int answer;

#define COUNT() __sync_fetch_and_add(&runs, 1)

static __always_inline int mine(void)
{
	return !only_pid || (bpf_get_current_pid_tgid() >> 32) == only_pid;
}

#define NET(section, name, context, result) \
	SEC(section)                        \
	int name(struct context *ctx)       \
	{                                   \
		COUNT();                    \
		return result;              \
	}

NET("xdp", count_xdp, xdp_md, 2 /* XDP_PASS */)
NET("tcx/ingress", count_tcx, __sk_buff, -1 /* TCX_NEXT */)
NET("tcx/ingress", drop_tcx, __sk_buff, 2 /* TCX_DROP */)
NET("tcx/egress", count_tcx_egress, __sk_buff, -1)
NET("netkit/peer", count_netkit, __sk_buff, -1)
NET("tc", count_classifier, __sk_buff, 0 /* TC_ACT_OK */)
NET("lwt_in", count_lwt_in, __sk_buff, 0 /* BPF_OK */)
NET("lwt_out", count_lwt_out, __sk_buff, 0)
NET("lwt_xmit", count_lwt_xmit, __sk_buff, 0)
NET("lwt_seg6local", count_seg6local, __sk_buff, 0)
NET("socket", count_socket, __sk_buff, 0xffff)
NET("sk_reuseport", count_reuseport, sk_reuseport_md, 1 /* SK_PASS */)
NET("flow_dissector", count_dissector, __sk_buff, 129 /* BPF_FLOW_DISSECTOR_CONTINUE */)
NET("sk_lookup", count_lookup, bpf_sk_lookup, 1 /* SK_PASS */)
NET("cgroup_skb/ingress", count_skb_ingress, __sk_buff, 1)
NET("cgroup_skb/egress", count_skb_egress, __sk_buff, 1)
NET("cgroup/sock_create", count_sock_create, bpf_sock, 1)
NET("cgroup/sock_release", count_sock_release, bpf_sock, 1)
NET("cgroup/post_bind4", count_post_bind4, bpf_sock, 1)
NET("cgroup/post_bind6", count_post_bind6, bpf_sock, 1)
NET("cgroup/bind4", count_bind4, bpf_sock_addr, 1)
NET("cgroup/bind6", count_bind6, bpf_sock_addr, 1)
NET("cgroup/connect4", count_connect4, bpf_sock_addr, 1)
NET("cgroup/connect6", count_connect6, bpf_sock_addr, 1)
NET("cgroup/connect_unix", count_connect_unix, bpf_sock_addr, 1)
NET("cgroup/sendmsg4", count_sendmsg4, bpf_sock_addr, 1)
NET("cgroup/sendmsg6", count_sendmsg6, bpf_sock_addr, 1)
NET("cgroup/sendmsg_unix", count_sendmsg_unix, bpf_sock_addr, 1)
NET("cgroup/recvmsg4", count_recvmsg4, bpf_sock_addr, 1)
NET("cgroup/recvmsg6", count_recvmsg6, bpf_sock_addr, 1)
NET("cgroup/recvmsg_unix", count_recvmsg_unix, bpf_sock_addr, 1)
NET("cgroup/getpeername4", count_getpeername4, bpf_sock_addr, 1)
NET("cgroup/getpeername6", count_getpeername6, bpf_sock_addr, 1)
NET("cgroup/getpeername_unix", count_getpeername_unix, bpf_sock_addr, 1)
NET("cgroup/getsockname4", count_getsockname4, bpf_sock_addr, 1)
NET("cgroup/getsockname6", count_getsockname6, bpf_sock_addr, 1)
NET("cgroup/getsockname_unix", count_getsockname_unix, bpf_sock_addr, 1)
NET("cgroup/getsockopt", count_getsockopt, bpf_sockopt, 1)
NET("cgroup/setsockopt", count_setsockopt, bpf_sockopt, 1)
NET("cgroup/sysctl", count_sysctl, bpf_sysctl, 1)
NET("cgroup/dev", count_device, bpf_cgroup_dev_ctx, 1)
NET("sockops", count_sockops, bpf_sock_ops, 1)
NET("sk_msg", count_msg, sk_msg_md, 1 /* SK_PASS */)
NET("sk_skb/verdict", count_skb_verdict, __sk_buff, 1)
NET("sk_skb/stream_verdict", count_stream_verdict, __sk_buff, 1)

SEC("sk_skb/stream_parser")
int count_stream_parser(struct __sk_buff *skb)
{
	COUNT();
	return skb->len;
}

/* Asks for the packet's hash, which makes the kernel dissect its flow. */
SEC("tcx/ingress")
int ask_hash(struct __sk_buff *skb)
{
	bpf_set_hash_invalid(skb);
	bpf_get_hash_recalc(skb);
	return -1;
}

struct bpf_nf_ctx;
SEC("netfilter")
int count_netfilter(struct bpf_nf_ctx *ctx)
{
	COUNT();
	return 1; /* NF_ACCEPT */
}

SEC("perf_event")
int count_perf_event(void *ctx)
{
	COUNT();
	return 0;
}

#define TRACE(section, name)                            \
	SEC(section)                                    \
	int name(void *ctx)                             \
	{                                               \
		if (mine()) {                           \
			COUNT();                        \
			cookie = bpf_get_attach_cookie(ctx); \
		}                                       \
		return 0;                               \
	}

TRACE("tracepoint/syscalls/sys_enter_getppid", count_tracepoint)
TRACE("raw_tracepoint/sys_enter", count_raw_tracepoint)
TRACE("tp_btf/sys_enter", count_tp_btf)
TRACE("kprobe/do_nanosleep", count_kprobe)
TRACE("kretprobe/do_nanosleep", count_kretprobe)
TRACE("ksyscall/getppid", count_ksyscall)
TRACE("kprobe.multi/do_nanosleep", count_kprobe_multi)
TRACE("kretprobe.multi/do_nanosleep", count_kretprobe_multi)
TRACE("kprobe.session/do_nanosleep", count_kprobe_session)
TRACE("fentry/do_nanosleep", count_fentry)
TRACE("fexit/do_nanosleep", count_fexit)
TRACE("fentry.multi/do_nanosleep", count_fentry_multi)
TRACE("fmod_ret/bpf_fentry_test1", count_fmod_ret)
TRACE("lsm/file_open", count_lsm)
TRACE("uprobe", count_uprobe)
TRACE("uretprobe", count_uretprobe)
TRACE("uprobe.multi", count_uprobe_multi)
TRACE("uretprobe.multi", count_uretprobe_multi)
TRACE("uprobe.session", count_uprobe_session)

SEC("lsm_cgroup/socket_create")
int count_lsm_cgroup(void *ctx)
{
	COUNT();
	return 1;
}

SEC("lirc_mode2")
int count_lirc(unsigned int *sample)
{
	COUNT();
	return 0;
}

/* A function to be replaced, and what replaces it. */
__attribute__((noinline)) int replaceable(struct __sk_buff *skb)
{
	volatile int ret = 0;
	return ret;
}

SEC("tc")
int calls_replaceable(struct __sk_buff *skb)
{
	return replaceable(skb);
}

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} socket_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 128);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
} stacks SEC(".maps");

/* The stack of the last sample: an index into stacks. */
int kernel_stack = -1;
int user_stack = -1;

SEC("perf_event")
int sample_stacks(void *ctx)
{
	int at = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK | BPF_F_REUSE_STACKID);
	if (at >= 0)
		user_stack = at;
	at = bpf_get_stackid(ctx, &stacks, BPF_F_REUSE_STACKID);
	if (at >= 0)
		kernel_stack = at;
	COUNT();
	return 0;
}
