/* SPDX-License-Identifier: Apache-2.0 */
/* What a program has found out: numbers in a row, which both kernels must find the same. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NUMBERS 160
__s64 out[NUMBERS];

#define PUT(value) (out[__COUNTER__ % NUMBERS] = (__s64)(value))

char _license[] SEC("license") = "GPL";
