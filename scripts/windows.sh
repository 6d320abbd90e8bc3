#!/usr/bin/env bash
# Windows, on a Debian machine: compiles the workspace for x86_64-pc-windows-gnu and lets the
# transport test carry 10,000 round trips over a real named pipe under Wine.
#
#   scripts/windows.sh            all of it
#   scripts/windows.sh build      only the compile
#
# Why Debian's second toolchain (rustc-web) and not the one that builds the rest: the packages
# bring the sources of the standard library, so that it can be built for Windows here and nothing
# is needed beyond the distribution's own archive. Its version must not be below `rust-version`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=x86_64-pc-windows-gnu
readonly TARGET_DIR="${WINDOWS_TARGET_DIR:-$PWD/target/windows}"
readonly PACKAGES=(rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64 wine64 wine)
readonly DEBIAN_CARGO=/usr/bin/cargo
readonly WINE=/usr/lib/wine/wine64

# Whatever the caller set for its own toolchain must not reach this one.
unset RUSTFLAGS RUSTDOCFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN CARGO_TARGET_DIR CARGO_BUILD_TARGET
unset CARGO RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_INCREMENTAL LD_LIBRARY_PATH
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTC_BOOTSTRAP=1 # -Z build-std
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
export CC_x86_64_pc_windows_gnu=x86_64-w64-mingw32-gcc # SQLite is C
export AR_x86_64_pc_windows_gnu=x86_64-w64-mingw32-ar

say() { printf '\n--- windows: %s\n' "$*"; }

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

# build-std compiles the standard library along; `panic_abort` is asked for by its profile.
windows_cargo() {
    local verb=$1
    shift
    "$DEBIAN_CARGO" "$verb" -Zbuild-std=std,panic_abort --target "$TARGET" --target-dir "$TARGET_DIR" --locked "$@" </dev/null
}

build() {
    say "compiling the workspace with $("$RUSTC" --version)"
    windows_cargo build --workspace --lib --bins --examples
}

# Wine 8 lacks bcryptprimitives.dll, from which Rust's standard library takes random numbers.
# The shim passes the question on to a function that Wine has.
build_shim() {
    local dir=$1
    cat >"$TARGET_DIR/bcryptprimitives.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
    return SystemFunction036(buffer, (ULONG)length);
}
C
    x86_64-w64-mingw32-gcc -O2 -shared -o "$dir/bcryptprimitives.dll" "$TARGET_DIR/bcryptprimitives.c" -ladvapi32
}

# The path of the test executable, as cargo names it in its messages.
pipe_test() {
    windows_cargo test -p outrigger-transport --test windows_pipe --no-run --message-format=json |
        sed -n 's/.*"executable":"\([^"]*windows_pipe[^"]*\.exe\)".*/\1/p' | tail -n 1
}

run_pipe_test() {
    say "compiling the named-pipe test"
    local test
    test=$(pipe_test)
    [[ -f $test ]] || { echo "cargo named no windows_pipe executable" >&2; exit 1; }
    build_shim "$(dirname "$test")"

    say "running it under $("$WINE" --version)"
    prefix=$(mktemp -d) # not local: the trap below runs after this function
    trap 'for how in -k -w; do WINEPREFIX="$prefix" /usr/lib/wine/wineserver64 $how >/dev/null 2>&1 || true; done; rm -rf "$prefix"' EXIT
    # Without a display and without the prompts for Mono and Gecko.
    env -u DISPLAY WINEPREFIX="$prefix" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=' \
        timeout 600 "$WINE" "$test" --include-ignored --test-threads=1 --nocapture </dev/null |
        tee "$prefix/output"
    # A test that is left out by a condition would pass in silence.
    grep -q '^test result: ok\. [1-9]' "$prefix/output" || { echo "no test ran under Wine" >&2; exit 1; }
}

install_packages
build
[[ ${1:-} == build ]] || run_pipe_test
say "done"
