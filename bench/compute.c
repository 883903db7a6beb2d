// SPDX-License-Identifier: Apache-2.0
/* The compute rows: one program each. */
#include "bench.h"

/* Ethernet, IPv4 with options, TCP or UDP: the 5-tuple, mixed to one word. */
#ifdef __bpf__
SEC("xdp") int parse(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(long)ctx->data;
	u8 *end = (u8 *)(long)ctx->data_end;
#else
noinline u32 parse(u8 *data, u8 *end)
{
	asm volatile("" ::: "memory");
#endif
	u8 *ip = data + 14;
	if (ip + 20 > end || *(u16 *)(data + 12) != 0x0008)
		return 1;
	u32 ihl = (ip[0] & 15) * 4;
	if (ihl < 20)
		return 2;
	u8 *l4 = ip + ihl;
	if (l4 + 4 > end)
		return 3;
	u8 proto = ip[9];
	if (proto != 6 && proto != 17)
		return 4;
	u32 saddr = *(u32 *)(ip + 12), daddr = *(u32 *)(ip + 16);
	u32 ports = *(u32 *)l4;
	if (proto == 6) {
		if (l4 + 20 > end)
			return 5;
		if ((l4[13] & 0x12) == 2)
			ports ^= 0x5a5a;
	}
	return saddr ^ (daddr * 31) ^ (ports * 17) ^ proto;
}

/* The Internet checksum, 16 bits at a time. */
WORK(checksum, 1024)
{
	u64 sum = 0;
	SCALAR
	for (u32 i = 0; i < 1024; i += 2)
		sum += *(u16 *)(data + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

WORK(muldiv, 64)
{
	u64 x = *(u64 *)data | 1, y = *(u64 *)(data + 8) | 1;
	SCALAR
	for (u32 i = 0; i < 128; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		y += x / ((y & 0xffff) + 1);
	}
	return x ^ y;
}

WORK(alu, 64)
{
	u64 a = *(u64 *)data, b = *(u64 *)(data + 8);
	u32 c = *(u32 *)(data + 16);
	SCALAR
	for (u32 i = 0; i < 256; i++) {
		a += b ^ (a >> 7);
		b = (b << 3) - a;
		c = (c ^ (u32)a) + (c >> 5);
		a ^= c;
	}
	return a + b + c;
}

/* Eratosthenes, over the packet's bytes. */
WORK(sieve, 256)
{
	u32 count = 0;
	SCALAR
	for (u32 i = 0; i < 256; i++)
		data[i] = 1;
	SCALAR
	for (u32 i = 2; i < 16; i++) {
		if (!data[i])
			continue;
		SCALAR
		for (u32 j = i * i; j < 256; j += i)
			data[j] = 0;
	}
	SCALAR
	for (u32 i = 2; i < 256; i++)
		count += data[i];
	return count;
}

WORK(fnv, 1024)
{
	u32 hash = 0x811c9dc5;
	SCALAR
	for (u32 i = 0; i < 1024; i++)
		hash = (hash ^ data[i]) * 0x01000193;
	return hash;
}

#define ROL32(x, k) (((x) << (k)) | ((x) >> (32 - (k))))
#define JMIX(a, b, c)                                                                          \
	a -= c, a ^= ROL32(c, 4), c += b;                                                      \
	b -= a, b ^= ROL32(a, 6), a += c;                                                      \
	c -= b, c ^= ROL32(b, 8), b += a;                                                      \
	a -= c, a ^= ROL32(c, 16), c += b;                                                     \
	b -= a, b ^= ROL32(a, 19), a += c;                                                     \
	c -= b, c ^= ROL32(b, 4), b += a

WORK(jhash, 1020)
{
	u32 a = 0xdeadbeef + 1020, b = a, c = a;
	SCALAR
	for (u32 i = 0; i < 1020; i += 12) {
		a += *(u32 *)(data + i);
		b += *(u32 *)(data + i + 4);
		c += *(u32 *)(data + i + 8);
		JMIX(a, b, c);
	}
	return c;
}

#define ROL64(x, k) (((x) << (k)) | ((x) >> (64 - (k))))
#define SIPROUND                                                                               \
	v0 += v1, v1 = ROL64(v1, 13), v1 ^= v0, v0 = ROL64(v0, 32);                            \
	v2 += v3, v3 = ROL64(v3, 16), v3 ^= v2;                                                \
	v0 += v3, v3 = ROL64(v3, 21), v3 ^= v0;                                                \
	v2 += v1, v1 = ROL64(v1, 17), v1 ^= v2, v2 = ROL64(v2, 32)

WORK(siphash, 1024)
{
	u64 v0 = 0x736f6d6570736575ull, v1 = 0x646f72616e646f6dull;
	u64 v2 = 0x6c7967656e657261ull, v3 = 0x7465646279746573ull;
	SCALAR
	for (u32 i = 0; i < 1024; i += 8) {
		u64 m = *(u64 *)(data + i);
		v3 ^= m;
		SIPROUND;
		SIPROUND;
		v0 ^= m;
	}
	return v0 ^ v1 ^ v2 ^ v3;
}

/* Copies 256 bytes to the next 256, by words, and compares them. */
WORK(copycmp, 512)
{
	u32 equal = 0;
	SCALAR
	for (u32 i = 0; i < 256; i += 8)
		*(u64 *)(data + 256 + i) = *(u64 *)(data + i);
	*(volatile u8 *)(data + 300) += data[0] & 1;
	SCALAR
	for (u32 i = 0; i < 256; i += 8)
		equal += *(u64 *)(data + 256 + i) == *(u64 *)(data + i);
	return equal;
}

/* A tokenizer: five states, seven classes of bytes. */
WORK(machine, 512)
{
	u32 state = 0, words = 0, numbers = 0, other = 0;
	SCALAR
	for (u32 i = 0; i < 512; i++) {
		u8 c = data[i];
		switch (state) {
		case 0:
			if (c < 32)
				break;
			if (c < 64)
				state = 1, numbers++;
			else if (c < 160)
				state = 2, words++;
			else
				state = 3;
			break;
		case 1:
			if (c >= 64)
				state = c < 128 ? 2 : 0;
			break;
		case 2:
			if (c == 95 || c < 16)
				state = 4;
			else if (c > 200)
				state = 0;
			break;
		case 3:
			other++;
			state = c & 1 ? 0 : 4;
			break;
		default:
			state = c > 100 ? 3 : 1;
		}
	}
	return words + numbers * 3 + other * 7 + state;
}

/* A function for each round: subprograms. */
static noinline u64 step(u64 a, u64 b)
{
	asm volatile("" : "+r"(a), "+r"(b));
	return (a ^ (a >> 3)) + b;
}

WORK(calls, 64)
{
	u64 x = *(u64 *)data;
	SCALAR
	for (u32 i = 0; i < 128; i++)
		x = step(x, i);
	return x;
}
