#!/bin/sh
# Rebuilds the object of the callback tests.
set -eu
cd "$(dirname "$0")"
"${CLANG:-clang-19}" -target bpf -O2 -g -mcpu=v3 -fdebug-compilation-dir=. -c callbacks.c -o callbacks.o
"${STRIP:-llvm-strip-19}" -g callbacks.o
