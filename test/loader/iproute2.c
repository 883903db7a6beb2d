// An object as iproute2's users write it: struct bpf_elf_map, tail calls by section name, a map of maps by ids.
// Built by build.sh.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
  __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_elf_map SEC("maps") jumps = {
    .type = BPF_MAP_TYPE_PROG_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 4, .id = 42};
struct bpf_elf_map SEC("maps") inner = {
    .type = BPF_MAP_TYPE_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 1, .id = 7, .inner_idx = 2};
struct bpf_elf_map SEC("maps") outer = {
    .type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .size_key = 4, .size_value = 4, .max_elem = 3, .inner_id = 7, .inner_idx = -1};
struct bpf_elf_map SEC("maps") shared = {
    .type = BPF_MAP_TYPE_ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = 2};

SEC("42/0") int tail_zero(struct __sk_buff *skb) {
  return 1;
}

SEC("42/0x3") int tail_three(struct __sk_buff *skb) {
  return 3;
}

SEC("ingress") int classify(struct __sk_buff *skb) {
  __u32 key = 2, zero = 0;
  void *map = bpf_map_lookup_elem(&outer, &key);
  __u64 *on = bpf_map_lookup_elem(&shared, &zero);
  if (map && on && *on)
    bpf_tail_call(skb, &jumps, 3);
  return 0;
}

char _license[] SEC("license") = "GPL";
