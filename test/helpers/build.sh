#!/bin/sh
# Compiles the programs of this folder: needs clang 19 or newer, and libbpf's headers.
set -e
cd "$(dirname "$0")"
CLANG=${CLANG:-clang-19}
INCLUDE=${INCLUDE:-/usr/include/$(uname -m)-linux-gnu}
for source in *.c; do
  "$CLANG" -target bpf -mcpu=v3 -g -O2 -Wall -Werror -I"$INCLUDE" -fdebug-compilation-dir=. -c "$source" -o "${source%.c}.o"
done
