#!/bin/sh
# Rebuilds the objects of the attach matrix from their sources. Needs clang-19, llvm-strip-19, libbpf's headers and gcc.
set -eu
cd "$(dirname "$0")"
include="-I/usr/include/$(uname -m)-linux-gnu"

for object in hooks replace iterators usdt congestion; do
  clang-19 -O2 -g -mcpu=v3 --target=bpfel -D__TARGET_ARCH_x86 $include -c "$object.c" -o "$object.o"
  llvm-strip-19 -g "$object.o"
done

gcc -O1 -static -nostdlib -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
  -Wl,--build-id=none -Wl,-z,noseparate-code -o target target.c
