#!/bin/sh
# Compiles thaw-spawn for both architectures. Needs gcc and gcc-aarch64-linux-gnu from Debian.
set -eu
cd "$(dirname "$0")"
sum=$(sha256sum spawn.c | cut -c1-64)
for target in x64:gcc arm64:aarch64-linux-gnu-gcc; do
  arch=${target%%:*}
  compiler=${target#*:}
  [ "$arch" = x64 ] && [ "$(uname -m)" != x86_64 ] && compiler=x86_64-linux-gnu-gcc
  mkdir -p "linux-$arch"
  "$compiler" -Os -std=gnu11 -Wall -Wextra -Werror -DSOURCE_SHA256="\"$sum\"" \
    -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic -no-pie \
    -fno-asynchronous-unwind-tables -fno-builtin -fno-tree-loop-distribute-patterns \
    -Wl,-z,noseparate-code -Wl,--build-id=none -Wl,-z,noexecstack -s \
    -o "linux-$arch/thaw-spawn" spawn.c
done
