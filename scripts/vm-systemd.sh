#!/bin/sh
# What systemd starts in the machine of scripts/vm.sh: the tests about groups, in each kind of group that
# there is on such a machine. Ends with the word that vm.sh waits for; the machine is turned off by the
# unit.

export PATH=/usr/sbin:/usr/bin OUTRIGGER_DEMAND_ALL=1 OUTRIGGER_CYCLES=$1
EVERYBODYS=/usr/libexec/system
TOP=/sys/fs/cgroup
MANAGER=$TOP/user.slice/user-1001.slice/user@1001.service/app.slice
UNIT="systemd-run --quiet --wait --pipe -E OUTRIGGER_DEMAND_ALL=1 -E XDG_RUNTIME_DIR=/run/user/1001"
worst=0

fail() {
    echo "vm: $*"
    worst=1
}

# Runs a command, as the user, in a group that is not the user's, as after a login.
as_user() {
    busybox su -s /bin/sh tester -c "export XDG_RUNTIME_DIR=/run/user/1001; $*" 2>&1
}

# Runs tests by what stands before them; the groups of the plugins have to be in a group like $2.
bounded_by() {
    local what=$1 wanted=$2
    shift 2
    echo "vm: $what"
    "$@" >/tmp/said 2>&1 || worst=1
    cat /tmp/said
    grep -q "in ..$wanted/outrigger-[0-9]*.\]" /tmp/said || fail "not in a group like $wanted"
}

# What a diagnosis of the user says, with something before it.
doctor_says() {
    as_user "$1 /usr/libexec/outrigger doctor" >/tmp/said
    shift
    for wanted in "$@"; do
        grep -q "$wanted" /tmp/said || { cat /tmp/said && fail "doctor does not say: $wanted"; }
    done
}

echo "vm: $(systemctl --version | head -n 1), kernel $(uname -r)"
bounded_by "root in a unit" $TOP/system.slice $EVERYBODYS control_group leaves_no_daemon systemd_takes
echo "vm: a user after a login"
as_user $EVERYBODYS only_for_a_plugin_that_needs || worst=1
bounded_by "all of a user after a login" "$MANAGER/outrigger-[0-9]*.scope" \
    as_user $EVERYBODYS control_group leaves_no_daemon systemd_takes a_bomb_of_memory a_bomb_of_forks
# The system's manager says what it has handed over, and then the groups are made within the unit; a
# user's manager does not say it, and they are made beside.
for user in root tester; do
    bounded_by "a unit of $user's, handed over" "$TOP/system.slice/run-u[0-9]*.service" \
        $UNIT --uid=$user -p Delegate=yes $EVERYBODYS control_group systemd_takes
done
for delegate in yes no; do
    bounded_by "a unit of a user's manager, Delegate=$delegate" "$MANAGER" \
        as_user $UNIT --user -p Delegate=$delegate $EVERYBODYS control_group systemd_takes
done
doctor_says "" "a user manager runs" "holds  memory" "holds  cpu"
doctor_says "PATH=/nowhere" "partly memory" "asked for a scope: .busctl.: No such file"
doctor_says "XDG_RUNTIME_DIR=/nowhere" "there is no systemd user manager to ask for a scope: /nowhere"
echo "vm: a start in a group, and without one"
as_user "$EVERYBODYS role timing"
echo "vm: status $worst"
