#!/bin/sh
# Rebuilds the test objects from their sources. Needs clang-14, clang-19, libbpf's headers, gcc-bpf and rustc.
set -eu
cd "$(dirname "$0")"
include=-I/usr/include/$(uname -m)-linux-gnu

clang-19 -O2 -g -mcpu=v3 --target=bpfel $include -c core_kinds.c -o core_kinds.o
clang-19 -O2 -g -mcpu=v3 --target=bpfel $include -c features.c -o features.o
clang-19 -O2 -g -mcpu=v3 --target=bpfel $include -c struct_ops.c -o struct_ops.o
clang-14 -O2 -mcpu=v2 --target=bpfel $include -c iproute2.c -o iproute2.o

clang-14 -O2 -g -mcpu=v1 --target=bpfel -c simple.c -o simple.clang14-v1.o
clang-19 -O2 -g -mcpu=v4 --target=bpfel -c simple.c -o simple.clang19-v4.o
clang-19 -O2 -g -mcpu=v3 --target=bpfeb -c simple.c -o simple.big-endian.o
bpf-gcc -O2 -gbtf -c simple.c -o simple.gcc12.o

# rustc writes bitcode for BPF; its assembly becomes an object.
assembly=$(mktemp)
RUSTC_BOOTSTRAP=1 rustc --target bpfel-unknown-none --crate-type=lib --emit=asm -C opt-level=2 -C panic=abort \
  -C codegen-units=1 rust_counter.rs -o "$assembly"
clang-19 --target=bpfel -x assembler -c "$assembly" -o rust_counter.o
rm "$assembly"

# Debug sections are for people; BTF stays.
for object in core_kinds features struct_ops simple.clang14-v1 simple.clang19-v4 simple.big-endian; do
  llvm-strip-19 -g "$object.o"
done
