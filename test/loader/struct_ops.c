// A congestion control whose functions are programs. Built by build.sh.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sock;
struct ack_sample;
struct tcp_congestion_ops {
  unsigned (*ssthresh)(struct sock *sk);
  void (*cong_avoid)(struct sock *sk, unsigned ack, unsigned acked);
  unsigned (*undo_cwnd)(struct sock *sk);
  char name[16];
} __attribute__((preserve_access_index));

SEC("struct_ops/ssthresh") unsigned skep_ssthresh(unsigned long long *ctx) {
  return 2;
}
SEC("struct_ops/cong_avoid") void skep_cong_avoid(unsigned long long *ctx) {}
SEC("struct_ops/undo_cwnd") unsigned skep_undo_cwnd(unsigned long long *ctx) {
  return 10;
}

SEC(".struct_ops.link") struct tcp_congestion_ops skep_cc = {
    .ssthresh = (void *)skep_ssthresh,
    .cong_avoid = (void *)skep_cong_avoid,
    .undo_cwnd = (void *)skep_undo_cwnd,
    .name = "skep_cc",
};

char _license[] SEC("license") = "GPL";
