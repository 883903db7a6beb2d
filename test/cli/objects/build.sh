#!/bin/sh
# Compiles the objects of this folder. Needs clang and libbpf's headers (Debian: clang libbpf-dev).
set -e
cd "$(dirname "$0")"
for name in bpf_sockops syn links tasks classify; do
	${CLANG:-clang} -target bpf -mcpu=v3 -O2 -g -Wall -I"/usr/include/$(uname -m)-linux-gnu" -c "$name.c" -o "$name.o"
	llvm-strip -g "$name.o" 2>/dev/null || true
done
