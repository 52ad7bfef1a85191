#!/bin/bash
# kill -9 at every call of unlock and lock that changes something.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/live/faults.sh
. /results/faults.sh

# What the next one finds can be told, is not unlocked twice, and can be taken off.
after_a_kill() {
    told
    if [ -e /run/onlay/live/record.json ]; then
        refuse onlay unlock /opt /srv
        onlay lock --discard
    else
        refuse onlay lock --discard
    fi
    clean
    # As after a boot.
    rm -r /run/onlay
}

while_unlocking() {
    local call number killed=0
    for call in $calls; do
        for number in $(seq 60); do
            with_fault "$call" "signal=SIGKILL:when=$number" unlock /opt /srv
            if [ "$code" = 0 ]; then
                onlay lock --discard
                break
            fi
            test "$code" = 137
            killed=$((killed + 1))
            after_a_kill
        done
        test "$code" = 0
    done
    test "$killed" -gt 40
}

while_locking() {
    local call number killed=0
    for call in $calls; do
        for number in $(seq 60); do
            onlay unlock /opt /srv
            echo changed >/opt/x
            with_fault "$call" "signal=SIGKILL:when=$number" lock --discard
            if [ "$code" = 0 ]; then
                clean
                break
            fi
            test "$code" = 137
            killed=$((killed + 1))
            after_a_kill
        done
        test "$code" = 0
    done
    test "$killed" -gt 3
}

# Saved wholly, or to be saved again.
while_saving() {
    local call number saved=0
    for call in mkdirat symlinkat fchownat renameat unlinkat umount2 syncfs; do
        for number in $(seq 20); do
            onlay unlock /opt /srv
            mkdir -p /opt/x/y
            ln -s y /opt/x/l
            echo changed >/opt/x/y/z
            with_fault "$call" "signal=SIGKILL:when=$number" lock --save kept
            if [ "$code" != 0 ]; then
                test "$code" = 137
                told
                if onlay list | grep '^kept '; then
                    # It was made, and what is left to do is to let go.
                    if [ -e /run/onlay/live/record.json ]; then onlay lock --discard; fi
                    saved=$((saved + 1))
                else
                    onlay lock --save kept
                fi
            fi
            clean
            inside kept -- 'grep changed /opt/x/y/z'
            onlay rm kept
            test -z "$(ls -A /var/lib/onlay/overlays | grep -v '^\.lock$')"
            test "$code" = 137 || break
        done
    done
    test "$saved" -gt 0
}

# The same with layers on disk.
on_disk() {
    local call number
    for call in mkdirat move_mount unlinkat; do
        for number in $(seq 1 4 60); do
            with_fault "$call" "signal=SIGKILL:when=$number" unlock --on-disk /opt /srv
            if [ "$code" = 0 ]; then
                echo changed >/opt/x
                with_fault "$call" "signal=SIGKILL:when=$number" lock --discard
            fi
            test ! -e /run/onlay/live/record.json || onlay lock --discard
            clean
            test -z "$(ls -A /var/lib/onlay/live)"
            test "$code" = 137 || break
        done
    done
}

mount -o remount,bind,ro /usr
step while-unlocking while_unlocking
step while-locking while_locking
step while-saving while_saving
step on-disk on_disk
