#!/bin/sh
# Rebuilds the BPF objects of the benchmarks. The native side is compiled when the benchmark runs.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
for name in compute tail helper maps capture; do
	"$clang" -target bpf -O2 -g -mcpu=v3 -fdebug-compilation-dir=. -c "$name.c" -o "$name.o"
	"${STRIP:-llvm-strip-19}" -g "$name.o"
done
