# What the checks of faults share. Two directories are unlocked, one with a file system mounted in it.
# shellcheck shell=bash

# Nothing of an unlock is left: no mount, no layers, no record.
clean() {
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    refuse grep ' /run/onlay/live/ram ' /proc/self/mountinfo
    test ! -e /run/onlay/live/record.json
    test ! -e /opt/x
    test ! -e /srv/x
}

# Runs onlay with a fault: with_fault CALL WHAT ARGUMENTS…. Its exit code is in $code, what it says in /results/said.
with_fault() {
    local call=$1 what=$2
    shift 2
    code=0
    timeout 20 strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:$what" onlay "$@" >/results/said 2>&1 || code=$?
}

# Whatever there is, 'onlay status' says it: what is mounted is there in words, and nothing else is.
told() {
    onlay status >/results/status
    if [ -e /run/onlay/live/record.json ]; then
        grep '^Unlocked: */opt /srv$' /results/status
        # Of two that are writable, none is missing; or it is said.
        if [ "$(grep -c ' /\(opt\|srv\) rw.* - overlay onlay-live ' /proc/self/mountinfo)" = 2 ]; then
            refuse grep 'broken off' /results/status
        else
            grep "broken off: 'onlay lock' takes off" /results/status
        fi
    else
        refuse grep '^Unlocked:' /results/status
        refuse grep onlay-live /proc/self/mountinfo
    fi
}

calls='unshare setns fsopen fsconfig fsmount open_tree move_mount mount_setattr umount2 mkdirat renameat unlinkat'
