#!/usr/bin/env bash
# Windows, on a Debian machine: compiles the workspace for x86_64-pc-windows-gnu and lets the
# transport test carry 10,000 round trips over a real named pipe under Wine.
#
#   scripts/windows.sh            all of it
#   scripts/windows.sh build      only the compile
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=x86_64-pc-windows-gnu
readonly TARGET_DIR="${WINDOWS_TARGET_DIR:-$PWD/target/windows}"
readonly PACKAGES=(gcc-mingw-w64-x86-64 wine64 wine) ABOUT=windows
readonly WINE=/usr/lib/wine/wine64

source scripts/debian-toolchain.sh
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
export CC_x86_64_pc_windows_gnu=x86_64-w64-mingw32-gcc # SQLite is C
export AR_x86_64_pc_windows_gnu=x86_64-w64-mingw32-ar

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

install_packages "${TOOLCHAIN[@]}" "${PACKAGES[@]}"
build
[[ ${1:-} == build ]] || run_pipe_test
say "done"
