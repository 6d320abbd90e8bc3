#!/bin/busybox sh
# The first process in the machine of scripts/vm.sh: makes the system ready, runs the tests in the
# way that the boot is about, and turns the machine off. `boot` and `cycles` come from the command
# line of the kernel.

export PATH=/usr/bin OUTRIGGER_CYCLES=$cycles OUTRIGGER_EMULATED=1
TOP=/sys/fs/cgroup
worst=0

on() { busybox "$@"; }

prepare() {
    on mount -t proc proc /proc
    on mount -t sysfs sys /sys
    on mount -t devtmpfs dev /dev
    on mkdir -p /dev/pts /dev/shm
    on mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
    on mount -t tmpfs -o mode=1777 shm /dev/shm
    on mount -t cgroup2 cgroup2 $TOP
    on ip link set lo up
    echo 2 >/proc/sys/kernel/perf_event_paranoid # as the kernel has it; Debian's default is stricter
    on mount -t securityfs security /sys/kernel/security
    echo "vm: kernel $(on uname -r)"
    echo "vm: security modules $(on cat /sys/kernel/security/lsm)"
    echo "vm: controllers of version 2: $(on cat $TOP/cgroup.controllers)"
}

# Runs all tests, and remembers if one failed. Nothing about time can be measured on an emulated machine,
# and what the kernel has is the second version of Landlock.
tests() {
    /root/system --skip=start_is_cheap --skip=landlock_abi_2 || worst=1
}

# Runs the tests with $1 in their names, none of which may be ignored.
demand() {
    OUTRIGGER_DEMAND_ALL=1 /root/system "$1" || worst=1
}

# What Debian's own switch does: users make no namespaces. The hint has to help.
forbidden_to_users() {
    local switch=/proc/sys/kernel/unprivileged_userns_clone
    on cp /root/system /usr/libexec
    echo 0 >$switch
    as_nobody OUTRIGGER_DEMAND_ALL=1 /usr/libexec/system without_namespaces || worst=1
    doctor_says landlocked
    on grep -q "hint: the sysctl .kernel.unprivileged_userns_clone=0" /tmp/said || { echo "vm: no hint"; worst=1; }
    echo 1 >$switch
    doctor_says namespaced
}

as_nobody() {
    on su -s /bin/sh nobody -c "$*"
}

# Which tier a diagnosis finds for users.
doctor_says() {
    as_nobody /usr/libexec/outrigger doctor >/tmp/said 2>&1
    on grep -q "programs are started in the tier $1" /tmp/said || { on cat /tmp/said; worst=1; }
    echo "vm: doctor, with unprivileged_userns_clone at $(on cat $switch): $(on grep "programs are" /tmp/said)"
}

# Runs tests in the group $1 as the user $2.
tests_in() {
    local group=$1 user=$2
    shift 2
    echo "vm: $user in the group ${group:-/}"
    on sh -c "echo 0 >$TOP$group/cgroup.procs && exec busybox su -s /bin/sh $user -c '$*'" >/tmp/said 2>&1 || worst=1
    on cat /tmp/said
}

# All tests about groups, none of which may be ignored; the groups of the plugins have to be in the
# group $3.
bounded_in() {
    tests_in "$1" "$2" OUTRIGGER_DEMAND_ALL=1 $EVERYBODYS control_group leaves_no_daemon
    on grep -q "in ..$TOP$3/outrigger-[0-9]*.\]" /tmp/said || { echo "vm: not in the group $3/"; worst=1; }
}

# A group with another in it, and what it hands on; the first belongs to the user $3.
nest() {
    on mkdir -p $TOP$1/inner
    echo "$2" >$TOP$1/cgroup.subtree_control
    [ -z "$3" ] || on chown -R $3 $TOP$1
}

groups() {
    EVERYBODYS=/usr/libexec/system
    on cp /root/system $EVERYBODYS
    bounded_in "" root ""
    nest /all "+memory +pids +cpu"
    bounded_in /all/inner root /all
    nest /some "+memory +pids"
    bounded_in /some/inner root /some
    nest /none ""
    bounded_in /none/inner root /none
    nest /own "+memory +pids +cpu" nobody
    bounded_in /own/inner nobody /own
    # Here is no group to be had, and here none that bounds everything.
    tests_in /all/inner nobody $EVERYBODYS control_group leaves_no_daemon
    nest /part "+memory +pids"
    nest /part/own "+memory +pids" nobody
    tests_in /part/own/inner nobody $EVERYBODYS control_group leaves_no_daemon
    on grep -q "memory: enforced" /tmp/said && on grep -q "cpu: unavailable" /tmp/said || worst=1
    on mkdir $TOP/threads
    echo threaded >$TOP/threads/cgroup.type
    tests_in /threads root $EVERYBODYS control_group leaves_no_daemon
}

prepare
case $boot in
whole) tests ;;
groups) groups ;;
no-namespaces)
    limit=$(on cat /proc/sys/user/max_user_namespaces)
    echo 0 >/proc/sys/user/max_user_namespaces
    tests
    demand without_namespaces
    echo "$limit" >/proc/sys/user/max_user_namespaces
    forbidden_to_users
    ;;
no-landlock)
    tests
    demand without_landlock
    ;;
esac
echo "vm: status $worst"
on poweroff -f
