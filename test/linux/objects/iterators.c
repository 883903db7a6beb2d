/* Iterators over maps, elements, tasks and control groups: each writes a line for what it meets. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 runs;

#define KERNEL __attribute__((preserve_access_index))

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} KERNEL;
struct bpf_map {
	__u32 id;
} KERNEL;
struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
} KERNEL;
struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} KERNEL;
struct task_struct {
	int pid;
	int tgid;
} KERNEL;
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} KERNEL;
struct kernfs_node {
	__u64 id;
} KERNEL;
struct cgroup {
	struct kernfs_node *kn;
} KERNEL;
struct bpf_iter__cgroup {
	struct bpf_iter_meta *meta;
	struct cgroup *cgroup;
} KERNEL;

#define LINE(seq, format, ...)                                                          \
	({                                                                              \
		static const char text[] = format;                                      \
		__u64 args[] = { __VA_ARGS__ };                                         \
		bpf_seq_printf(seq, text, sizeof(text), args, sizeof(args));            \
	})

SEC("iter/bpf_map")
int list_maps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	if (map) {
		runs++;
		LINE(ctx->meta->seq, "map %u\n", map->id);
	}
	return 0;
}

SEC("iter/bpf_map_elem")
int list_elements(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;
	if (key && value) {
		runs++;
		LINE(ctx->meta->seq, "%u: %llu\n", *key, *value);
	}
	return 0;
}

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (task) {
		runs++;
		LINE(ctx->meta->seq, "task %u of %u\n", task->pid, task->tgid);
	}
	return 0;
}

SEC("iter/cgroup")
int list_cgroups(struct bpf_iter__cgroup *ctx)
{
	struct cgroup *cgroup = ctx->cgroup;
	if (cgroup) {
		runs++;
		LINE(ctx->meta->seq, "cgroup %llu\n", cgroup->kn->id);
	}
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");
