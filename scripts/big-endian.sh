#!/usr/bin/env bash
# A machine of the other byte order, on a Debian machine: the golden vectors are tried on s390x, which
# QEMU emulates.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=s390x-unknown-linux-gnu
readonly TARGET_DIR="${BIG_ENDIAN_TARGET_DIR:-$PWD/target/big-endian}"
readonly PACKAGES=(gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user) ABOUT=big-endian

source scripts/debian-toolchain.sh
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER="qemu-s390x -L /usr/s390x-linux-gnu"

install_packages "${TOOLCHAIN[@]}" "${PACKAGES[@]}"
say "trying the golden vectors with $("$RUSTC" --version)"
"$DEBIAN_CARGO" test -Zbuild-std=std --target "$TARGET" --target-dir "$TARGET_DIR" --locked \
    -p outrigger-protocol --lib --test vectors </dev/null
say "done"
