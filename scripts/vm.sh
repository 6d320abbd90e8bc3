#!/usr/bin/env bash
# The tests of the sandbox on another kernel, on a Debian machine: Debian's own, which QEMU emulates,
# with control groups of version 2 only and an older version of Landlock.
#
#   scripts/vm.sh                 every boot
#   scripts/vm.sh BOOT...         only these
#
# The boots are in COMMAND_LINE. What runs in there is scripts/vm-init.sh. Nothing is installed on this machine but the emulator;
# the kernel is only unpacked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PACKAGES=(qemu-system-x86 busybox-static e2fsprogs) ABOUT=vm
readonly DIR="${VM_DIR:-$PWD/target/vm}"
readonly ROOT="$DIR/root"
# A metapackage, which depends on the kernel itself. This one can boot from a disk without modules.
readonly KERNEL=linux-image-cloud-amd64
readonly PATIENCE=600                   # seconds, for one boot

# What each boot adds to the command line of the kernel, and how many tests have to pass in it.
readonly -A COMMAND_LINE=([whole]="" [groups]="" [no-namespaces]="" [no-landlock]="lsm=yama")
readonly -A PASSED=([whole]=80 [groups]=90 [no-namespaces]=60 [no-landlock]=45)

# The programs that the tests start. Python is among them only where it is installed.
readonly PROGRAMS=(/bin/sh /bin/busybox /usr/bin/cat /usr/bin/env /usr/bin/true /usr/bin/ls /usr/bin/sleep)

source scripts/debian-packages.sh

unpack_kernel() {
    compgen -G "$DIR/kernel/boot/vmlinuz-*" >/dev/null && return
    say "unpacking a kernel"
    update_packages
    local package
    package=$(apt-cache depends "$KERNEL" | sed -n 's/^ *Depends: //p' | head -n 1)
    (cd "$DIR" && apt-get download -qq "$package" 2>/dev/null) # warns that it is not sandboxed
    dpkg-deb -x "$DIR/$package"_*.deb "$DIR/kernel"
    rm "$DIR/$package"_*.deb
}

# The path of the test executable, as cargo names it in its messages.
system_test() {
    cargo test --locked -p outrigger-sandbox --test system --no-run --message-format=json </dev/null |
        sed -n 's/.*"executable":"\([^"]*\/system-[^"]*\)".*/\1/p' | tail -n 1
}

# The shared libraries of programs.
libraries() {
    ldd "$@" 2>/dev/null | grep -o '=> /[^ ]*\|^\s/[^ ]*' | tr -d '=>\t '
}

# Files under their own names, and the libraries that they need.
copy() {
    local files
    mapfile -t files < <({ printf '%s\n' "$@"; libraries "$@"; } | sort -u)
    cp -Lu --parents "${files[@]}" "$ROOT"
}

copy_python() {
    local python library
    python=$(readlink -f /usr/bin/python3 || true)
    [[ -x $python ]] || return 0
    library=$("$python" -I -c 'import os; print(os.path.dirname(os.__file__))')
    copy "$python" "$library"/lib-dynload/*.so
    ln -s "$(basename "$python")" "$ROOT/usr/bin/python3"
    tar -c -C / --exclude={__pycache__,'config-*',test,idlelib} "${library#/}" | tar -x -C "$ROOT"
}

build_root() {
    local test
    test=$(system_test)
    [[ -f $test ]] || { echo "cargo named no system executable" >&2; exit 1; }
    rm -rf "$ROOT"
    mkdir -p "$ROOT"/{usr/{bin,sbin,lib,lib64},etc,dev,proc,sys,tmp,root}
    chmod 1777 "$ROOT/tmp" # on the disk: a file system in memory has no attributes that users may set
    for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$ROOT/$folder"; done
    # shellcheck disable=SC2046 # no path of a library has a space in it
    copy "${PROGRAMS[@]}" $(libraries "$test")
    copy_python
    [[ ! -x /usr/bin/dbus-daemon ]] || copy /usr/bin/dbus-daemon /usr/share/dbus-1/session.conf
    cp "$test" "$ROOT/root/system" # not below /usr: one test grants that to a plugin
    cp scripts/vm-init.sh "$ROOT/init"
    printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$ROOT/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$ROOT/etc/group"
    /sbin/ldconfig -r "$ROOT"
    (umask 077 && printf 'root:*:::::::\n' >"$ROOT/etc/shadow")
}

build_disk() {
    say "building a disk"
    build_root
    rm -f "$DIR/disk"
    /sbin/mke2fs -q -t ext4 -d "$ROOT" -E root_owner=0:0 "$DIR/disk" 512m
}

# Runs to the end of the boot, or of the patience; what it printed is in a file.
boot() {
    local name=$1 line="root=/dev/nvme0n1 rw init=/init console=ttyS0 quiet loglevel=3 panic=-1 cgroup_no_v1=all random.trust_cpu=on"
    timeout --foreground "$PATIENCE" qemu-system-x86_64 \
        -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 \
        -nodefaults -no-user-config -display none -no-reboot -serial stdio \
        -drive "file=$DIR/disk,format=raw,snapshot=on,if=none,id=disk" -device nvme,drive=disk,serial=disk \
        -kernel "$DIR"/kernel/boot/vmlinuz-* \
        -append "$line ${COMMAND_LINE[$name]} boot=$name cycles=${OUTRIGGER_CYCLES:-20}" \
        </dev/null | tr -d '\r' >"$DIR/$name.log"
}

# Two at a time, as a machine of two processors with one busy process in it takes one of ours.
boot_all() {
    local name
    for name in "$@"; do
        (($(jobs -rp | wc -l) < 2)) || wait -n || true
        boot "$name" || true & # what came of it is in what it printed
    done
    wait
}

# A boot in which nothing ran, or not all of it, must not pass for a good one.
judge() {
    local name=$1 passed
    cat "$DIR/$name.log"
    passed=$(grep -c '^test .* \.\.\. ok$' "$DIR/$name.log" || true)
    say "$name: $passed tests passed"
    grep -q '^vm: status 0$' "$DIR/$name.log" || { echo "$name: a test failed, or it did not come to its end" >&2; return 1; }
    ((passed >= PASSED[$name])) || { echo "$name: ${PASSED[$name]} should have passed" >&2; return 1; }
}

boots=("$@")
((${#boots[@]})) || boots=(whole groups no-namespaces no-landlock)
mkdir -p "$DIR"
install_packages "${PACKAGES[@]}"
unpack_kernel
build_disk
say "booting ${boots[*]}"
boot_all "${boots[@]}"
failed=0
for name in "${boots[@]}"; do judge "$name" || failed=1; done
exit "$failed"
