// SPDX-License-Identifier: Apache-2.0
/* Kernel functions. */
#include "out.h"
#include <bpf/bpf_core_read.h>

#define private(name) SEC(".bss." #name) __attribute__((aligned(8)))
#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))

/* Of the kernel's own types. */
struct cpumask {
	unsigned long bits[1];
};
struct bpf_cpumask {
	struct cpumask cpumask;
};
/* Of newer headers. */
struct bpf_list_head {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_list_node {
	__u64 opaque[3];
} __attribute__((aligned(8)));
struct bpf_rb_root {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_rb_node {
	__u64 opaque[4];
} __attribute__((aligned(8)));
struct bpf_refcount {
	__u32 opaque[1];
} __attribute__((aligned(4)));
struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));

extern int bpf_strcmp(const char *a, const char *b) __ksym;
extern int bpf_strchr(const char *s, char c) __ksym;
extern int bpf_strchrnul(const char *s, char c) __ksym;
extern int bpf_strnchr(const char *s, unsigned long count, char c) __ksym;
extern int bpf_strrchr(const char *s, char c) __ksym;
extern int bpf_strlen(const char *s) __ksym;
extern int bpf_strnlen(const char *s, unsigned long count) __ksym;
extern int bpf_strspn(const char *s, const char *accept) __ksym;
extern int bpf_strcspn(const char *s, const char *reject) __ksym;
extern int bpf_strstr(const char *s, const char *other) __ksym;
extern int bpf_strnstr(const char *s, const char *other, unsigned long count) __ksym;

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, __u32 start, __u32 end) __ksym;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr) __ksym;
extern _Bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr *ptr, struct bpf_dynptr *clone) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;
extern int bpf_dynptr_copy(struct bpf_dynptr *to, __u32 to_off, struct bpf_dynptr *from, __u32 from_off,
			   __u32 size) __ksym;

extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *object, void *meta) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta,
				    __u64 off) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta,
				   __u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       _Bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta,
			       __u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern void bpf_throw(__u64 cookie) __ksym;

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(__u32 cpu, struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_clear_cpu(__u32 cpu, struct bpf_cpumask *mask) __ksym;
extern _Bool bpf_cpumask_test_cpu(__u32 cpu, const struct cpumask *mask) __ksym;
extern _Bool bpf_cpumask_test_and_set_cpu(__u32 cpu, struct bpf_cpumask *mask) __ksym;
extern __u32 bpf_cpumask_first(const struct cpumask *mask) __ksym;
extern __u32 bpf_cpumask_first_zero(const struct cpumask *mask) __ksym;
extern __u32 bpf_cpumask_weight(const struct cpumask *mask) __ksym;
extern _Bool bpf_cpumask_empty(const struct cpumask *mask) __ksym;

static const char hello[] = "hello, world";
static const char ell[] = "ell";

SEC("tc")
int strings(struct __sk_buff *skb)
{
	const char *bad = (const char *)42, *far = (const char *)0xffff888000000000ULL - (1ULL << 45);

	PUT(bpf_strcmp(hello, hello));
	PUT(bpf_strcmp(hello, ell));
	PUT(bpf_strcmp(ell, hello));
	PUT(bpf_strcmp(hello, bad));
	PUT(bpf_strcmp(far, hello));
	PUT(bpf_strchr(hello, 'o'));
	PUT(bpf_strchr(hello, 'z'));
	PUT(bpf_strchr(hello, 0));
	PUT(bpf_strchrnul(hello, 'z'));
	PUT(bpf_strnchr(hello, 3, 'o'));
	PUT(bpf_strnchr(hello, 5, 'o'));
	PUT(bpf_strrchr(hello, 'o'));
	PUT(bpf_strrchr(hello, 'z'));
	PUT(bpf_strlen(hello));
	PUT(bpf_strlen(bad));
	PUT(bpf_strnlen(hello, 5));
	PUT(bpf_strspn(hello, ell));
	PUT(bpf_strspn(ell, hello));
	PUT(bpf_strcspn(hello, ell));
	PUT(bpf_strstr(hello, ell));
	PUT(bpf_strstr(ell, hello));
	PUT(bpf_strnstr(hello, ell, 3));
	PUT(bpf_strnstr(hello, ell, 4));
	PUT(bpf_strstr(hello, bad));
	return 0;
}

__u64 memory[8];

SEC("tc")
int dynptrs(struct __sk_buff *skb)
{
	struct bpf_dynptr packet, local, clone, none;
	char buffer[16] = {}, *bytes;

	PUT(bpf_dynptr_from_skb(skb, 1, &none));
	PUT(bpf_dynptr_is_null(&none));
	PUT(bpf_dynptr_size(&none));
	PUT(bpf_dynptr_clone(&none, &clone));
	PUT(bpf_dynptr_adjust(&none, 0, 1));
	PUT(bpf_dynptr_from_skb(skb, 0, &packet));
	PUT(bpf_dynptr_is_null(&packet));
	PUT(bpf_dynptr_is_rdonly(&packet));
	PUT(bpf_dynptr_size(&packet));
	PUT(bpf_dynptr_adjust(&packet, 12, 40));
	PUT(bpf_dynptr_size(&packet));
	PUT(bpf_dynptr_adjust(&packet, 20, 10));
	PUT(bpf_dynptr_adjust(&packet, 0, 100));
	bytes = bpf_dynptr_slice(&packet, 0, buffer, sizeof(buffer));
	PUT(bytes ? bytes[0] : -1);
	PUT(bpf_dynptr_slice(&packet, 20, buffer, sizeof(buffer)) != 0);
	PUT(bpf_dynptr_from_mem(memory, sizeof(memory), 0, &local));
	PUT(bpf_dynptr_copy(&local, 8, &packet, 0, 16));
	PUT(memory[1]);
	PUT(bpf_dynptr_copy(&local, 60, &packet, 0, 16));
	PUT(bpf_dynptr_copy(&packet, 0, &local, 0, 8));
	return 0;
}

struct item {
	__u64 key;
	struct bpf_list_node list;
	struct bpf_rb_node tree;
	struct bpf_refcount refs;
};

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_list_head head __contains(item, list);
private(B) struct bpf_spin_lock tree_lock;
private(B) struct bpf_rb_root root __contains(item, tree);

static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct item, tree)->key < container_of(b, struct item, tree)->key;
}

static const __u32 keys[8] = { 5, 3, 8, 1, 9, 2, 7, 4 };

static int add(__u32 key, _Bool twice)
{
	struct item *item, *other;
	int status;

	item = bpf_obj_new_impl(bpf_core_type_id_local(struct item), 0);
	if (!item)
		return -1;
	item->key = key;
	other = bpf_refcount_acquire_impl(item, 0);
	bpf_spin_lock(&tree_lock);
	status = bpf_rbtree_add_impl(&root, &item->tree, less, 0, 0);
	bpf_spin_unlock(&tree_lock);
	if (!other)
		return -2;
	if (twice) {
		bpf_spin_lock(&tree_lock);
		status = bpf_rbtree_add_impl(&root, &other->tree, less, 0, 0);
		bpf_spin_unlock(&tree_lock);
		return status;
	}
	bpf_spin_lock(&lock);
	status += bpf_list_push_back_impl(&head, &other->list, 0, 0);
	bpf_spin_unlock(&lock);
	return status;
}

SEC("tc")
int graphs(struct __sk_buff *skb)
{
	struct bpf_rb_node *node;
	struct bpf_list_node *link;
	struct item *item;
	int i;

	for (i = 0; i < 8; i++)
		out[i] = add(keys[i & 7], 0);
	out[8] = add(6, 1);
	for (i = 0; i < 12; i++) {
		bpf_spin_lock(&tree_lock);
		node = bpf_rbtree_first(&root);
		if (!node) {
			bpf_spin_unlock(&tree_lock);
			out[10 + i] = -1;
			continue;
		}
		node = bpf_rbtree_remove(&root, node);
		bpf_spin_unlock(&tree_lock);
		if (!node)
			continue;
		item = container_of(node, struct item, tree);
		out[10 + i] = item->key;
		bpf_obj_drop_impl(item, 0);
	}
	for (i = 0; i < 10; i++) {
		bpf_spin_lock(&lock);
		link = i & 1 ? bpf_list_pop_front(&head) : bpf_list_pop_back(&head);
		bpf_spin_unlock(&lock);
		if (!link) {
			out[30 + i] = -1;
			continue;
		}
		item = container_of(link, struct item, list);
		out[30 + i] = item->key;
		bpf_obj_drop_impl(item, 0);
	}
	return 0;
}

SEC("tc")
int numbers(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	__s64 sum = 0;
	int *i;

	PUT(bpf_iter_num_new(&it, 5, 3));
	PUT(bpf_iter_num_next(&it) != 0);
	bpf_iter_num_destroy(&it);
	PUT(bpf_iter_num_new(&it, 0, 1 << 24));
	bpf_iter_num_destroy(&it);
	PUT(bpf_iter_num_new(&it, -2147483647 - 1, -2147483647 + 2));
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	bpf_iter_num_destroy(&it);
	PUT(sum);
	return 0;
}

SEC("syscall")
int masks(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	const struct cpumask *view = (void *)mask;

	if (!mask)
		return 1;
	PUT(bpf_cpumask_empty(view));
	bpf_cpumask_set_cpu(0, mask);
	bpf_cpumask_set_cpu(100000, mask);
	PUT(bpf_cpumask_test_cpu(0, view));
	PUT(bpf_cpumask_test_cpu(100000, view));
	PUT(bpf_cpumask_weight(view));
	PUT(bpf_cpumask_first(view));
	PUT(bpf_cpumask_first_zero(view));
	PUT(bpf_cpumask_test_and_set_cpu(0, mask));
	bpf_cpumask_clear_cpu(0, mask);
	PUT(bpf_cpumask_empty(view));
	bpf_cpumask_release(mask);
	return 0;
}

static __attribute__((noinline)) int deep(struct __sk_buff *skb)
{
	PUT(1);
	if (skb->len > 10)
		bpf_throw(7);
	PUT(2);
	return 0;
}

SEC("tc")
int exception(struct __sk_buff *skb)
{
	deep(skb);
	PUT(3);
	return 1;
}

/* What it leaves in the list and in the tree ends with the maps. */
SEC("tc")
int leave(struct __sk_buff *skb)
{
	int i;

	for (i = 0; i < 8; i++)
		out[i] = add(keys[i & 7], 0);
	return 0;
}
