#!/bin/sh
# Rebuilds the object of the tests on several processors.
set -eu
cd "$(dirname "$0")"
"${CLANG:-clang-19}" -target bpf -O2 -g -mcpu=v3 -fdebug-compilation-dir=. -c processors.c -o processors.o
"${STRIP:-llvm-strip-19}" -g processors.o
