# Debian's second toolchain (rustc-web), for machines other than this one; to be sourced, with
# `ABOUT` set to what the messages begin with. It comes with the packages `TOOLCHAIN`.
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

readonly TOOLCHAIN=(rustc-web cargo-web rust-web-src)

source scripts/debian-packages.sh
