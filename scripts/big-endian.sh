#!/usr/bin/env bash
# A machine of the other byte order, on a Debian machine: the golden vectors are tried on s390x, which
# QEMU emulates.
#
# The toolchain is that of scripts/windows.sh, for the reason given there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=s390x-unknown-linux-gnu
readonly TARGET_DIR="${BIG_ENDIAN_TARGET_DIR:-$PWD/target/big-endian}"
readonly PACKAGES=(rustc-web cargo-web rust-web-src gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user)

# Whatever the caller set for its own toolchain must not reach this one.
unset RUSTFLAGS RUSTDOCFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN CARGO_TARGET_DIR CARGO_BUILD_TARGET
unset CARGO RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_INCREMENTAL LD_LIBRARY_PATH
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTC_BOOTSTRAP=1 # -Z build-std
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER="qemu-s390x -L /usr/s390x-linux-gnu"

say() { printf '\n--- big-endian: %s\n' "$*"; }

missing_packages() {
    local package
    for package in "${PACKAGES[@]}"; do
        [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true) == *'ok installed' ]] || echo "$package"
    done
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    if ((EUID)); then
        echo "these Debian packages are missing, and only root can install them: ${missing[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    [[ ${APT_UPDATED:-} ]] || apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

install_packages
say "trying the golden vectors with $("$RUSTC" --version)"
/usr/bin/cargo test -Zbuild-std=std --target "$TARGET" --target-dir "$TARGET_DIR" --locked \
    -p outrigger-protocol --lib --test vectors </dev/null
say "done"
