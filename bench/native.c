// SPDX-License-Identifier: Apache-2.0
/* Runs a compute row natively: native ROW TIMES < packet. Prints the processor's nanoseconds of one run, and what it returned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "compute.c"

static u32 parse_packet(u8 *data);
static long length;

#define ROWS(X) X(checksum) X(muldiv) X(alu) X(sieve) X(fnv) X(jhash) X(siphash) X(copycmp) X(machine) X(calls)

static u32 parse_packet(u8 *data)
{
	return parse(data, data + length);
}

int main(int argc, char **argv)
{
	static u8 packet[4096];
	u32 (*row)(u8 *) = NULL;
	long times = argc > 2 ? atol(argv[2]) : 1;
	struct timespec begin, end;
	u32 result = 0;

	if (argc > 1 && !strcmp(argv[1], "parse"))
		row = parse_packet;
#define ROW(name)                                                                              \
	if (argc > 1 && !strcmp(argv[1], #name))                                               \
		row = name;
	ROWS(ROW)
	if (!row)
		return 2;
	length = fread(packet, 1, sizeof(packet), stdin);
	for (long i = 0; i < times / 4; i++)
		result = row(packet);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	for (long i = 0; i < times; i++)
		result = row(packet);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	printf("%.4f %u\n", ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / times, result);
	return 0;
}
