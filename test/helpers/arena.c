// SPDX-License-Identifier: Apache-2.0
/* Pages that programs share with user space. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Of newer headers. */
#define __ulong(name, val) enum { unique_##name = val } name
#define __arena __attribute__((address_space(1)))

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, 33);
	__uint(map_flags, 1 << 10);
	__uint(max_entries, 8);
	__ulong(map_extra, 1ull << 44);
} arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 pages, int node,
					   __u64 flags) __ksym __weak;
extern void bpf_arena_free_pages(void *map, void __arena *ptr, __u32 pages) __ksym __weak;

/* What user space asks, and what it is answered. */
__u32 pages;
__u64 at;
__u64 answer;

SEC("syscall")
int allocate(void *ctx)
{
	unsigned int __arena *page;

	page = bpf_arena_alloc_pages(&arena, (void __arena *)at, pages, -1, 0);
	answer = (__u64)page;
	if (page)
		*page = 0x12345678;
	return 0;
}

SEC("syscall")
int release(void *ctx)
{
	/* The verifier wants the program to use the arena. */
	unsigned int __arena *first = (unsigned int __arena *)at;

	answer = *first;
	bpf_arena_free_pages(&arena, (void __arena *)at, pages);
	return 0;
}

SEC("syscall")
int load(void *ctx)
{
	unsigned int __arena *word = (unsigned int __arena *)at;

	bpf_arena_free_pages(&arena, (void __arena *)at, 0);
	answer = *word;
	return 0;
}

SEC("syscall")
int store(void *ctx)
{
	unsigned int __arena *word = (unsigned int __arena *)at;

	bpf_arena_free_pages(&arena, (void __arena *)at, 0);
	*word = pages;
	return 0;
}
