/* CO-RE relocations of all 13 kinds, against fields and types that kernels have and lack. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#define P __attribute__((preserve_access_index))
struct list_head { struct list_head *next, *prev; } P;
struct task_struct___flav { int pid; int tgid; char comm[16]; struct task_struct___flav *group_leader; struct list_head tasks; unsigned in_execve:1; int nosuchfield; struct { long state; }; } P;
struct task_struct { int pid; char comm[16]; struct task_struct *group_leader; unsigned int __state; unsigned in_iowait:1;} P;
struct sk_buff { unsigned int len, data_len; __u16 protocol; __u8 pkt_type:3; __u8 cloned:1; __u8 ip_summed:2; union { struct { struct sk_buff *next; }; }; unsigned char *head; } P;
struct nosuch { int x; } P;
struct tcp_sock { unsigned short tcp_header_len; unsigned repair:1, frto:1; } P;
struct inet_sock { __u16 inet_num; } P;
union bpf_attr___x { int foo; } P;
enum bpf_map_type___x { BPF_MAP_TYPE_HASH___x = 77, BPF_MAP_TYPE_RINGBUF___y = 99, BPF_MAP_TYPE_NOPE___z = 3 };
typedef int (*bpf_throw_fn)(int);
typedef struct { int counter; } atomic_t;
typedef unsigned int nosuch_t;
typedef unsigned long size_t___q;
struct btf_enum64 { unsigned name_off, val_lo32, val_hi32; } P;
struct list_head___m { struct list_head *next, *prev; };
struct list_head___n { struct list_head *next; int prev; };
struct fdtable { unsigned max_fds; struct file **fd; } P;
struct rtable {int rt_genid;} P;
struct in6_addr { union { __u8 u6_addr8[16]; __u32 u6_addr32[4]; } in6_u; } P;
long out[64];
#define O(i, x) out[i] = (long)(x)
SEC("raw_tp/sched_switch") int p(unsigned long long *ctx) {
  struct task_struct___flav *t = (void*)ctx[1]; struct task_struct *u = (void*)ctx[2]; struct sk_buff *s=(void*)ctx[3];
  O(0, __builtin_preserve_field_info(t->pid, BPF_FIELD_BYTE_OFFSET));
  O(1, bpf_core_field_exists(t->nosuchfield)); O(2, bpf_core_field_exists(t->state)); O(3, bpf_core_field_exists(u->__state));
  O(4, bpf_core_field_size(u->comm)); O(5, __builtin_preserve_field_info(u->comm[3], BPF_FIELD_BYTE_OFFSET));
  O(6, BPF_CORE_READ_BITFIELD_PROBED(u, in_iowait)); O(7, BPF_CORE_READ_BITFIELD_PROBED(s, cloned)); O(8, BPF_CORE_READ_BITFIELD_PROBED(s, ip_summed));
  O(9, __builtin_preserve_field_info(u->pid, BPF_FIELD_SIGNED)); O(10, __builtin_preserve_field_info(s->len, BPF_FIELD_SIGNED));
  O(11, bpf_core_type_exists(struct task_struct___flav)); O(12, bpf_core_type_exists(struct nosuch)); O(13, bpf_core_type_exists(union bpf_attr___x));
  O(14, bpf_core_type_size(struct task_struct)); O(15, bpf_core_type_size(struct nosuch)); O(16, bpf_core_type_id_local(struct nosuch)); O(17, bpf_core_type_id_kernel(struct task_struct));
  O(18, bpf_core_enum_value_exists(enum bpf_map_type___x, BPF_MAP_TYPE_HASH___x)); O(19, bpf_core_enum_value(enum bpf_map_type___x, BPF_MAP_TYPE_RINGBUF___y)); O(20, bpf_core_enum_value_exists(enum bpf_map_type___x, BPF_MAP_TYPE_NOPE___z));
  O(21, bpf_core_type_exists(atomic_t)); O(22, bpf_core_type_exists(nosuch_t)); O(23, bpf_core_type_size(size_t___q)); O(24, bpf_core_type_exists(size_t___q));
  O(25, __builtin_preserve_type_info(*(struct list_head___m *)0, 2)); O(26, __builtin_preserve_type_info(*(struct list_head___n*)0, 2));
  O(27, __builtin_preserve_type_info(*(struct btf_enum64*)0, 2));
  if (bpf_core_field_exists(t->nosuchfield)) { int z; bpf_core_read(&z, sizeof z, &t->nosuchfield); O(28, z); }
  O(29, BPF_CORE_READ(s, next)); O(30, BPF_CORE_READ(t, group_leader, tasks.next)); O(31, BPF_CORE_READ(u, group_leader, pid));
  struct tcp_sock *ts=(void*)ctx[4]; O(32, BPF_CORE_READ_BITFIELD_PROBED(ts, repair)); O(33, BPF_CORE_READ_BITFIELD_PROBED(ts, frto)); O(34, BPF_CORE_READ(ts, tcp_header_len));
  struct in6_addr *a=(void*)ctx[5]; O(35, BPF_CORE_READ(a, in6_u.u6_addr32[2])); O(36, bpf_core_field_size(a->in6_u.u6_addr8)); O(37,bpf_core_field_offset(a[2].in6_u.u6_addr32[1]));
  struct fdtable *f=(void*)ctx[6]; O(38, BPF_CORE_READ(f, max_fds)); O(39, bpf_core_field_offset(f->fd)); O(40, bpf_core_field_exists(f[1]));
  struct rtable *r=(void*)ctx[7]; O(42, BPF_CORE_READ(r, rt_genid));
  return 0; }
char _license[] SEC("license") = "GPL";
