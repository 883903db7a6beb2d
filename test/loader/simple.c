// What every compiler builds the same: a hash map in libbpf's legacy layout, data of each kind, a static and a global
// subprogram. Built by build.sh with several compilers.
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define noinline __attribute__((noinline))

struct bpf_map_def {
  u32 type, key_size, value_size, max_entries, map_flags;
};
struct bpf_map_def SEC("maps") counts = {1, 4, 8, 16, 0};

static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;

u32 factor = 5, other = 6;
static volatile u32 offset;
const volatile u32 threshold = 7;

static noinline int first(int a) {
  return a * factor + offset;
}
static noinline int second(int a) {
  return first(a) + other;
}
noinline int third(int a) {
  return a * threshold;
}

SEC("xdp") int count(void *ctx) {
  u32 key = 1;
  u64 *value = bpf_map_lookup_elem(&counts, &key);
  if (value)
    return second(*value) + third(key) + first(key);
  return 2;
}

SEC("xdp") int pass(void *ctx) {
  return third(3) ? 2 : 1;
}

char _license[] SEC("license") = "GPL";
