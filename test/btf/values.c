/* A map whose value has every shape that a BTF value can have, for comparing how it is printed. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color { RED, GREEN = 5, BLUE = -3 };
enum wide { LOW = 1, HIGH = 0x8000000000ULL };
struct value {
	unsigned char u8;
	signed char s8;
	unsigned short u16;
	short s16;
	unsigned int u32;
	int s32;
	unsigned long long u64;
	long long s64;
	_Bool flag;
	char letter;
	char text[8];
	char quoted[8];
	unsigned char bytes[4];
	enum color color;
	enum color unknown;
	enum wide wide;
	unsigned int b1 : 3;
	int b2 : 5;
	unsigned long long b3 : 40;
	void *pointer;
	void *null;
	int grid[2][3];
	struct {
		int inner;
	} named;
	union {
		int as_int;
		unsigned char as_bytes[4];
	};
	__int128 huge;
	const volatile int qualified;
	char binary[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct value);
} values SEC(".maps");

SEC("socket") int prog(struct __sk_buff *skb)
{
	int key = 0;
	return bpf_map_lookup_elem(&values, &key) != 0;
}
char _license[] SEC("license") = "GPL";
