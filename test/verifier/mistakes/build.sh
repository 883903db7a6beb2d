#!/bin/sh
# Rebuilds the objects of the classic mistakes. Needs clang with the BPF target and the headers of libbpf and Linux.
set -eu
cd "$(dirname "$0")"
for source in *.c; do
	object=${source%.c}.o
	"${CLANG:-clang-19}" -target bpf -O2 -g -mcpu=v3 -idirafter "/usr/include/$(uname -m)-linux-gnu" \
		-fdebug-compilation-dir=. -ffile-prefix-map=/usr/include=include -c "$source" -o "$object"
	"${STRIP:-llvm-strip-19}" -g "$object"
done
