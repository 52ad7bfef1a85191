#!/bin/bash
# Every call of unlock and lock that changes something fails in turn.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/live/faults.sh
. /results/faults.sh

# It said in words that it could not.
said_so() {
    test "$code" = 1 || test "$code" = 3
    grep '^onlay: ' /results/said
    refuse grep panicked /results/said
}

while_unlocking() {
    local call number error failed=0
    for call in $calls; do
        for number in $(seq 60); do
            # Some are tried in another way on a kernel that says these.
            error=EPERM
            test $((number % 2)) = 0 || error=ENOMEM
            with_fault "$call" "error=$error:when=$number" unlock /opt /srv
            if [ "$code" = 0 ]; then
                echo changed >/opt/x
                echo changed >/srv/x
                onlay lock --discard
                clean
                # Where it is not made at all any more, there is nothing left to fail.
                strace -f -qq -o /results/trace -e "trace=$call" onlay unlock /opt /srv
                onlay lock --discard
                if [ "$(grep -c "$call" /results/trace)" -lt "$number" ]; then break; fi
                continue
            fi
            said_so
            failed=$((failed + 1))
            clean
        done
    done
    test "$failed" -gt 30
}

while_locking() {
    local call number failed=0
    for call in unshare setns open_tree move_mount mount_setattr umount2 unlinkat; do
        for number in $(seq 20); do
            onlay unlock /opt /srv
            echo changed >/opt/x
            with_fault "$call" "error=EPERM:when=$number" lock --discard
            if [ "$code" = 0 ]; then
                clean
                break
            fi
            said_so
            failed=$((failed + 1))
            told
            onlay lock --discard
            clean
        done
    done
    test "$failed" -gt 3
}

# A namespace of a service that nothing arrives in and that cannot be entered: named, and the others are served.
unreached() {
    unshare --mount --propagation private sh -c 'touch /tmp/apart; until [ -e /tmp/out ]; do sleep 0.05; done' &
    await test -e /tmp/apart
    onlay unlock /opt /srv
    nsenter --target $! --mount grep onlay-live /proc/self/mountinfo
    onlay lock --discard
    clean
    local number
    for number in $(seq 1 6); do
        with_fault setns "error=EPERM:when=$number" unlock /opt /srv
        if [ "$code" = 0 ]; then onlay lock --discard; else said_so; fi
        clean
    done
    touch /tmp/out
    wait $!
}

# Nobody but root, and nobody who cannot reach the host: told so, and nothing done.
not_allowed() {
    local user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    refuse "${user[@]}" onlay unlock /opt
    clean
    onlay unlock /opt
    refuse "${user[@]}" onlay lock --discard
    refuse "${user[@]}" onlay unlock /opt
    refuse "${user[@]}" onlay diff --live
    touch /opt/still
    onlay lock --discard
    refuse setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin onlay unlock /opt
    refuse unshare --mount sh -c 'umount --lazy /proc; onlay unlock /opt'
    code=0
    unshare --mount strace -f -qq -o /dev/null -e trace=setns -e inject=setns:error=EPERM onlay unlock /opt >/results/said 2>&1 || code=$?
    said_so
    grep 'the host cannot be reached from here' /results/said
    clean
}

# From a namespace where nothing of it can be written, it is the host that is unlocked.
from_apart() {
    unshare --mount sh -c 'mount --bind / /; mount -o remount,bind,ro /; mount -t tmpfs x /run; mount -t tmpfs -o ro x /var/lib/onlay
        mount -t tmpfs x /tmp; onlay unlock --on-disk /opt /srv'
    touch /opt/x
    unshare --mount sh -c 'mount -t tmpfs x /run; onlay lock --save apart'
    clean
    inside apart -- 'test -e /opt/x'
    onlay rm apart
    # Below another root, with the host's processes in view.
    mkdir -p /srv/other/proc /srv/other/run
    mount --bind /proc /srv/other/proc
    cp /usr/bin/onlay /srv/other/
    chroot /srv/other /onlay unlock /opt
    touch /opt/x
    chroot /srv/other /onlay lock --discard
    test ! -e /opt/x
    umount /srv/other/proc
    refuse chroot /srv/other /onlay unlock /opt
    clean
}

# As a unit with PrivatePIDs=: its process 1 is not the host's, but its /run is. Where the host cannot be reached, nothing of it
# may be said to be unlocked.
with_processes_of_its_own() {
    local apart=(unshare --mount --propagation slave --pid --fork --mount-proc)
    refuse "${apart[@]}" onlay unlock /opt >/results/said 2>&1
    grep 'the host cannot be reached from here' /results/said
    clean
    onlay unlock /opt
    touch /opt/x
    refuse "${apart[@]}" onlay lock --discard
    refuse "${apart[@]}" onlay run -- true
    "${apart[@]}" onlay status
    test -e /opt/x
    onlay lock --discard
    clean
}

mount -o remount,bind,ro /usr
step with-processes-of-its-own with_processes_of_its_own
step while-unlocking while_unlocking
step while-locking while_locking
step unreached unreached
step not-allowed not_allowed
step from-apart from_apart
