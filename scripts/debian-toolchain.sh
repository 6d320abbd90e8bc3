# Debian's second toolchain (rustc-web), for machines other than this one; to be sourced, with
# `PACKAGES` set to what is needed besides it and `ABOUT` to what the messages begin with.
#
# Why not the one that builds the rest: the packages bring the sources of the standard library, so
# that it can be built for another machine here, and nothing is needed beyond the distribution's
# own archive. Its version must not be below `rust-version`.
# shellcheck shell=bash

readonly DEBIAN_CARGO=/usr/bin/cargo

# Whatever the caller set for its own toolchain must not reach this one.
unset RUSTFLAGS RUSTDOCFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN CARGO_TARGET_DIR CARGO_BUILD_TARGET
unset CARGO RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_INCREMENTAL LD_LIBRARY_PATH
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTC_BOOTSTRAP=1 # -Z build-std

say() { printf '\n--- %s: %s\n' "$ABOUT" "$*"; }

missing_packages() {
    local package
    for package in rustc-web cargo-web rust-web-src "${PACKAGES[@]}"; do
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
