// CO-RE relocations of all 13 kinds, answered and failing, against any Linux. Built by build.sh.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head {
  struct list_head *next, *prev;
};
struct task_struct {
  int pid;
  int tgid;
  char comm[16];
  unsigned int flags;
  // Bitfields in the kernel, at a place that only its BTF knows.
  unsigned in_execve : 1;
  unsigned sched_reset_on_fork : 1;
  struct task_struct *parent;
  unsigned long no_such_field;
};
// A flavor: the name behind ___ is ours, the type is the kernel's.
struct task_struct___renamed {
  int tgid;
};
struct net_device {
  int ifindex;
  unsigned int mtu;
};
struct no_such_struct {
  int x;
};
// Narrower than the kernel's pointer-sized field: the load is widened.
struct mm_struct {
  unsigned int start_code;
};
#pragma clang attribute pop

enum bpf_map_type___x {
  BPF_MAP_TYPE_RINGBUF___x = 1000,
  BPF_MAP_TYPE_NO_SUCH___x = 1001,
};
enum no_such_enum { NO_SUCH_VALUE = 5 };
typedef unsigned int gfp_t;

unsigned long long out[40];
char comm[16];

SEC("raw_tp/sched_switch")
int fields(struct bpf_raw_tracepoint_args *ctx) {
  struct task_struct *task = (void *)ctx->args[1];
  out[0] = BPF_CORE_READ(task, pid);
  out[1] = BPF_CORE_READ(task, parent, tgid);
  out[2] = BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork);
  out[3] = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
  out[4] = bpf_core_field_exists(task->pid);
  out[5] = bpf_core_field_exists(task->no_such_field);
  out[6] = bpf_core_field_size(task->comm);
  out[7] = bpf_core_field_size(task->flags);
  if (bpf_core_field_exists(task->no_such_field))
    out[8] = BPF_CORE_READ(task, no_such_field);
  BPF_CORE_READ_STR_INTO(&comm, task, comm);
  out[9] = bpf_core_field_exists(struct task_struct___renamed, tgid);
  out[10] = bpf_core_field_offset(struct task_struct___renamed, tgid);
  out[11] = __builtin_preserve_field_info(task->pid, BPF_FIELD_SIGNED);
  out[12] = __builtin_preserve_field_info(task->flags, BPF_FIELD_SIGNED);
  out[13] = bpf_core_field_exists(struct no_such_struct, x);
  return 0;
}

SEC("raw_tp/sched_switch")
int types(void *ctx) {
  out[20] = bpf_core_type_exists(struct task_struct);
  out[21] = bpf_core_type_exists(struct no_such_struct);
  out[22] = bpf_core_type_size(struct task_struct);
  out[23] = bpf_core_type_size(struct no_such_struct);
  out[24] = bpf_core_type_id_local(struct task_struct);
  out[25] = bpf_core_type_id_kernel(struct task_struct);
  out[26] = bpf_core_type_id_kernel(struct no_such_struct);
  out[27] = bpf_core_type_matches(struct list_head);
  out[28] = bpf_core_type_matches(struct task_struct);
  out[29] = bpf_core_type_exists(gfp_t);
  out[30] = bpf_core_enum_value_exists(enum bpf_map_type___x, BPF_MAP_TYPE_RINGBUF___x);
  out[31] = bpf_core_enum_value_exists(enum bpf_map_type___x, BPF_MAP_TYPE_NO_SUCH___x);
  out[32] = bpf_core_enum_value(enum bpf_map_type___x, BPF_MAP_TYPE_RINGBUF___x);
  if (bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE))
    out[33] = bpf_core_enum_value(enum no_such_enum, NO_SUCH_VALUE);
  return 0;
}

// The offset stands in the instruction itself.
SEC("tp_btf/sched_switch")
int direct(unsigned long long *ctx) {
  struct task_struct *task = (void *)ctx[1];
  struct mm_struct *mm = (void *)ctx[1];
  out[34] = task->pid;
  out[35] = task->parent->tgid;
  out[36] = mm->start_code;
  return 0;
}

char _license[] SEC("license") = "GPL";
