// Everything that an object can say about maps, data, functions and externs. Built by build.sh.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct value {
  __u64 packets;
  __u64 bytes;
};

struct inner {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct value);
} counts SEC(".maps");

struct inner inner_one SEC(".maps"), inner_two SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct inner);
} outer SEC(".maps") = {.values = {[0] = &inner_one, [3] = &inner_two}};

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 5000);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
  __uint(max_entries, 8);
  __uint(map_extra, 3);
  __type(value, __u32);
} bloom SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
  __type(key, __u32);
  __type(value, __u32);
} pinned SEC(".maps");

int leaf(struct xdp_md *ctx);
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 2);
  __uint(key_size, 4);
  __array(values, int(void *));
} tails SEC(".maps") = {.values = {[1] = (void *)&leaf}};

const volatile __u32 threshold = 7;
const volatile __s64 signed_limit = -5;
const volatile _Bool verbose = 1;
const volatile char banner[8] = "skep";
const volatile __u16 custom SEC(".rodata.tuning") = 300;
struct value total = {.packets = 1, .bytes = 2};
__u64 seen;
static volatile int hidden_counter = 3;

struct task_struct {
  int pid;
} __attribute__((preserve_access_index));

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned CONFIG_HZ __kconfig __weak;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern int CONFIG_NO_SUCH_OPTION __kconfig __weak;
extern const void schedule __ksym;
extern const int no_such_symbol __ksym __weak;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;
extern void no_such_kfunc(int x) __ksym __weak;

static __attribute__((noinline)) int weigh(int x) {
  hidden_counter += x;
  return x * threshold;
}

__attribute__((noinline)) int grade(int x) {
  return x > 3 ? weigh(x) : custom;
}

static long step(__u32 index, void *ctx) {
  *(__u64 *)ctx += index;
  return 0;
}

SEC("xdp")
int main_prog(struct xdp_md *ctx) {
  __u32 key = 1;
  __u64 sum = 0;
  struct value *found = bpf_map_lookup_elem(&counts, &key);
  if (found)
    found->packets++;
  bpf_loop(4, step, &sum, 0);
  seen += sum;
  total.bytes += grade(ctx->data_end - ctx->data);
  bpf_tail_call(ctx, &tails, 1);
  return verbose ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int leaf(struct xdp_md *ctx) {
  seen += weigh(2);
  return signed_limit < 0 ? XDP_DROP : banner[0];
}

SEC("?xdp")
int on_demand(struct xdp_md *ctx) {
  return XDP_TX;
}

SEC("raw_tp/sys_enter")
int symbols(void *ctx) {
  seen = LINUX_KERNEL_VERSION + CONFIG_HZ + CONFIG_BPF_SYSCALL + CONFIG_NO_SUCH_OPTION;
  seen += (__u64)&schedule;
  if (&no_such_symbol)
    seen += 1;
  return 0;
}

SEC("syscall")
int kfuncs(void *ctx) {
  if (no_such_kfunc)
    no_such_kfunc(1);
  if (bpf_task_from_pid && bpf_task_release) {
    struct task_struct *task = bpf_task_from_pid(1);
    if (task)
      bpf_task_release(task);
  }
  return 0;
}

SEC("?lsm.s/file_open")
int sleepable(void *ctx) {
  return 0;
}

char _license[] SEC("license") = "GPL";
