// SPDX-License-Identifier: Apache-2.0
/* Mistakes around objects of the kernel. */
#include "mistakes.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

struct ghost {
	int never;
} __attribute__((preserve_access_index));

extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;

struct holder {
	struct task_struct __attribute__((btf_type_tag("kptr"))) *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct holder);
} holders SEC(".maps");

/* A task that is looked up is not given back. */
SEC("tp_btf/sched_switch")
int leaked_task(__u64 *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	return task ? task->pid : 0;
}

/* A kernel function wants an object that stays; a pointer out of a map may be gone. */
SEC("tp_btf/sched_switch")
int untrusted_task(__u64 *ctx)
{
	struct holder *holder = bpf_map_lookup_elem(&holders, &zero);
	struct task_struct *task;

	if (!holder)
		return 0;
	task = holder->task;
	if (!task)
		return 0;
	bpf_task_release(task);
	return 0;
}

/* A member that is RCU-protected, in a program that sleeps, without bpf_rcu_read_lock(). */
SEC("syscall")
int no_rcu_lock(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *parent = bpf_task_acquire(task->real_parent);

	if (parent)
		bpf_task_release(parent);
	return 0;
}

/* The end inside an RCU section. */
SEC("syscall")
int held_rcu(void *ctx)
{
	bpf_rcu_read_lock();
	return 0;
}

/* The end with preemption disabled. */
SEC("tc")
int held_preemption(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	return 0;
}

/* A kernel object is written. */
SEC("tp_btf/sched_switch")
int writes_kernel(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];

	task->pid = 1;
	return 0;
}

/* A relocation to a type that the kernel does not have. */
SEC("tp_btf/sched_switch")
int missing_member(__u64 *ctx)
{
	struct ghost *ghost = (void *)ctx[1];

	return ghost->never;
}

char LICENSE[] SEC("license") = "GPL";
