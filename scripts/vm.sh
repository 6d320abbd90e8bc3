#!/usr/bin/env bash
# The tests of the sandbox on another kernel, on a Debian machine: Debian's own, which QEMU emulates,
# with control groups of version 2 only and an older version of Landlock.
#
#   scripts/vm.sh                 every boot
#   scripts/vm.sh BOOT...         only these
#
# The boots are in COMMAND_LINE. What runs in there is scripts/vm-init.sh; in the boot "systemd", which has a
# disk of its own, systemd, which starts scripts/vm-systemd.sh. Nothing is installed on this machine but the
# emulator: kernel and systemd are only unpacked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PACKAGES=(qemu-system-x86 busybox-static e2fsprogs) ABOUT=vm
readonly DIR="${VM_DIR:-$PWD/target/vm}"
readonly ROOT="$DIR/root"
# A metapackage, which depends on the kernel itself. This one can boot from a disk without modules.
readonly KERNEL=linux-image-cloud-amd64
readonly PATIENCE=600                   # seconds, for one boot
# What the boot "systemd" consists of, with all that it depends on; and what of that only installs.
readonly SYSTEMD=(systemd libpam-systemd dbus-user-session)
readonly ONLY_INSTALLS='/(perl|libperl|lib[a-z-]*-perl|usrmerge|debconf|dpkg|adduser)[^/]*$'

# What each boot adds to the command line of the kernel, and how many tests have to pass in it.
readonly -A COMMAND_LINE=([whole]="" [groups]="" [no-namespaces]="" [no-landlock]="lsm=yama"
    [systemd]="init=/lib/systemd/systemd systemd.unit=tests.target systemd.show_status=0")
readonly -A PASSED=([whole]=80 [groups]=90 [systemd]=48 [no-namespaces]=60 [no-landlock]=45)

# The programs that the tests start. Python is among them only where it is installed.
readonly PROGRAMS=(/bin/sh /bin/busybox /usr/bin/env /usr/bin/true /usr/bin/ls /usr/bin/sleep)

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

# Packages with all that they depend on, as if none were there.
fetch_systemd() {
    local packages="$DIR/packages" arriving="$DIR/packages.part"
    [[ ! -d $packages ]] || return 0
    say "fetching systemd"
    update_packages
    mkdir -p "$arriving/partial"
    apt-get install -qq --download-only --no-install-recommends -o Dir::State::status=/dev/null \
        -o Dir::Cache::archives="$arriving" -o Debug::NoLocking=1 "${SYSTEMD[@]}" 2>/dev/null
    mv "$arriving" "$packages"
}

# The path of an executable of ours, as cargo names it in its messages: $1 is how its name begins.
built() {
    local name=$1
    shift
    cargo "$@" --locked --message-format=json </dev/null |
        sed -n "s/.*\"executable\":\"\([^\"]*\/$name[^\"\/]*\)\".*/\1/p" | tail -n 1
}

system_test() { built system- test -p outrigger-sandbox --test system --no-run; }

command_itself() { built outrigger build -p outrigger --bin outrigger; }

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
    mkdir -p "$ROOT"/{usr/{bin,sbin,lib,lib64,libexec},etc,dev,proc,sys,tmp,root}
    chmod 1777 "$ROOT/tmp" # on the disk: a file system in memory has no attributes that users may set
    for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$ROOT/$folder"; done
    # shellcheck disable=SC2046 # no path of a library has a space in it
    copy "${PROGRAMS[@]}" $(libraries "$test")
    copy_python
    [[ ! -x /usr/bin/dbus-daemon ]] || copy /usr/bin/dbus-daemon /usr/share/dbus-1/session.conf
    cp "$test" "$ROOT/root/system" # not below /usr: one test grants that to a plugin
    strip -o "$ROOT/usr/libexec/outrigger" "$(command_itself)" # the disk is small
    cp scripts/vm-init.sh "$ROOT/init"
    printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$ROOT/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$ROOT/etc/group"
    /sbin/ldconfig -r "$ROOT"
    (umask 077 && printf 'root:*:::::::\n' >"$ROOT/etc/shadow")
}

# A machine with systemd, on which a user is always logged in.
build_systemd_root() {
    local root=$1 package folder program kind
    fetch_systemd
    rm -rf "$root"
    mkdir -p "$root"/{usr/{bin,sbin,lib,lib64,libexec},proc,sys,dev,run,tmp,root,var/lib/systemd/linger,etc/systemd/system}
    for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
    for package in "$DIR"/packages/*.deb; do
        [[ $package =~ $ONLY_INSTALLS ]] || dpkg-deb --fsys-tarfile "$package" |
            tar -x -C "$root" --keep-directory-symlink --exclude=./usr/share/{doc,man,locale,info}
    done
    cp /bin/busybox "$root/usr/bin/"
    for program in sh cat grep uname sleep ls true; do ln -sf busybox "$root/usr/bin/$program"; done
    cp scripts/vm-systemd.sh "$root/usr/libexec/"
    strip -o "$root/usr/libexec/outrigger" "$(command_itself)"
    cp "$(system_test)" "$root/usr/libexec/system"
    printf '%s\n' root:x:0:0::/root:/bin/sh messagebus:x:100:100::/:/bin/false tester:x:1001:1001::/tmp:/bin/sh \
        nobody:x:65534:65534::/:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: tty:x:5: messagebus:x:100: systemd-journal:x:101: tester:x:1001: nogroup:x:65534: \
        >"$root/etc/group"
    printf '%s:*:1:::::::\n' root tester messagebus >"$root/etc/shadow"
    for kind in account auth password session session-noninteractive; do
        echo "${kind%%-*} required pam_permit.so" >"$root/etc/pam.d/common-$kind"
    done
    chmod 1777 "$root/tmp"
    echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
    touch "$root/var/lib/systemd/linger/tester"
    systemd_units "$root/etc/systemd/system"
    /sbin/ldconfig -r "$root"
}

# What that machine is for.
systemd_units() {
    local needs="dbus.socket systemd-logind.service user@1001.service"
    printf '%s\n' '[Unit]' 'Requires=tests.service' >"$1/tests.target"
    printf '%s\n' '[Unit]' "Requires=$needs" "After=$needs" DefaultDependencies=no \
        '[Service]' Type=oneshot "ExecStart=/bin/sh /usr/libexec/vm-systemd.sh ${OUTRIGGER_CYCLES:-20}" \
        'ExecStopPost=/bin/busybox poweroff -f' Standard{Output,Error}=file:/dev/ttyS0 >"$1/tests.service"
}

build_disk() {
    local root=$1 disk=$2
    rm -f "$disk"
    /sbin/mke2fs -q -t ext4 -d "$root" -E root_owner=0:0 "$disk" 512m
}

# Those that the boots need.
build_disks() {
    say "building disks"
    build_root
    build_disk "$ROOT" "$DIR/disk"
    [[ " $* " != *" systemd "* ]] || {
        build_systemd_root "$DIR/systemd-root"
        build_disk "$DIR/systemd-root" "$DIR/disk-systemd"
    }
}

# Runs to the end of the boot, or of the patience; what it printed is in a file.
boot() {
    local name=$1 disk="$DIR/disk" line="root=/dev/nvme0n1 rw init=/init console=ttyS0 quiet loglevel=3 panic=-1 cgroup_no_v1=all random.trust_cpu=on"
    [[ $name != systemd ]] || disk="$DIR/disk-systemd"
    timeout --foreground "$PATIENCE" qemu-system-x86_64 \
        -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 \
        -nodefaults -no-user-config -display none -no-reboot -serial stdio \
        -drive "file=$disk,format=raw,snapshot=on,if=none,id=disk" -device nvme,drive=disk,serial=disk \
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
((${#boots[@]})) || boots=(whole groups systemd no-namespaces no-landlock)
mkdir -p "$DIR"
install_packages "${PACKAGES[@]}"
unpack_kernel
build_disks "${boots[@]}"
say "booting ${boots[*]}"
boot_all "${boots[@]}"
failed=0
for name in "${boots[@]}"; do judge "$name" || failed=1; done
exit "$failed"
