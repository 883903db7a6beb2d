// SPDX-License-Identifier: Apache-2.0
/* Strings, numbers and formats. */
#include "out.h"

static const char numbers[8][24] = {
	"12x", "  -0x7f", "077", "0", "", "99999999999999999999", "-9223372036854775808", "0xg",
};
static const char abc[] = "abc";
char text[64];

SEC("tc")
int parse(struct __sk_buff *skb)
{
	long value;
	unsigned long uvalue;
	int i;

	for (i = 0; i < 8; i++) {
		value = 77;
		out[8 * i] = bpf_strtol(numbers[i], sizeof(numbers[i]), 0, &value);
		out[8 * i + 1] = value;
		uvalue = 77;
		out[8 * i + 2] = bpf_strtoul(numbers[i], sizeof(numbers[i]), 0, &uvalue);
		out[8 * i + 3] = uvalue;
		value = 77;
		out[8 * i + 4] = bpf_strtol(numbers[i], sizeof(numbers[i]), 16, &value);
		out[8 * i + 5] = value;
		out[8 * i + 6] = bpf_strtol(numbers[i], sizeof(numbers[i]), 10, &value);
		out[8 * i + 7] = bpf_strtol(numbers[i], 2, 7, &value);
	}
	return 0;
}

SEC("tc")
int compare(struct __sk_buff *skb)
{
	char own[4] = "abd";

	PUT(bpf_strncmp(own, sizeof(own), abc));
	own[2] = 'c';
	PUT(bpf_strncmp(own, sizeof(own), abc));
	own[1] = 0;
	PUT(bpf_strncmp(own, sizeof(own), abc));
	PUT(bpf_strncmp(own, 1, abc));
	return 0;
}

#define FORMAT(size, format, ...)                                             \
	({                                                                    \
		static const char fmt[] = format;                             \
		__u64 args[] = { __VA_ARGS__ };                               \
		PUT(bpf_snprintf(text, size, fmt, args, sizeof(args)));       \
		PUT(*(__s64 *)text);                                          \
		PUT(*(__s64 *)(text + 8));                                    \
		PUT(*(__s64 *)(text + 16));                                   \
		__builtin_memset(text, 0, sizeof(text));                      \
	})

SEC("tc")
int print(struct __sk_buff *skb)
{
	static const char *const word = "word";

	FORMAT(32, "%d %u %x %X", -5, -5, 255, 255);
	FORMAT(32, "%ld %lld %llx", -5, -5, -1);
	FORMAT(32, "%5d|%-5d|%05d", 42, 42, 42);
	FORMAT(32, "%i %%", 7);
	FORMAT(32, "%s!", (__u64)(long)word);
	FORMAT(8, "%d", 123456789);
	FORMAT(1, "%d", 123456789);
	FORMAT(32, "%c%c", 'a', 'b');
	FORMAT(32, "%px", 0xffff888012345678ULL);
	FORMAT(32, "%+d % d", 5, 5);
	FORMAT(32, "%pI4 %pi4", (__u64)(long)&word, 0);
	return 0;
}
