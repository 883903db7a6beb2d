#!/bin/sh
# Compiles the examples. Needs clang with the BPF target, llvm-strip, and the headers of libbpf and Linux
# (Debian: clang-19 llvm-19 libbpf-dev linux-libc-dev). The same compiler gives the same bytes in any folder.
#
#   examples/build.sh [NAME...]      CLANG=clang-19 STRIP=llvm-strip-19 by default
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
strip=${STRIP:-llvm-strip-19}
multiarch=/usr/include/$(uname -m)-linux-gnu

[ $# -gt 0 ] || set -- *.c
for source in "$@"; do
	name=${source%.c}
	"$clang" -O2 -g -Wall -Wextra -target bpf -mcpu=v3 -idirafter "$multiarch" \
		-fdebug-compilation-dir=. -ffile-prefix-map=/usr/include=include \
		-c "$name.c" -o "$name.o"
	# BTF says all that is needed; DWARF is five times as large.
	"$strip" -g "$name.o"
done
