#!/bin/bash
# Full file systems, and several who unlock and lock at the same time.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/live/faults.sh
. /results/faults.sh

fill() {
    dd if=/dev/zero of="$1" bs=64k count=4000 2>/results/said && exit 1
    grep 'No space left' /results/said
}

# What did not fit is told to who writes, what did is kept.
full_ram() {
    onlay unlock --size 2m /opt /srv
    mkdir /opt/x
    echo first >/opt/x/first
    fill /opt/x/large
    echo more >/opt/x/more && test ! -s /opt/x/more || true
    onlay status
    onlay diff --live | grep /opt/x/first
    onlay lock --save kept
    clean
    inside kept -- 'grep first /opt/x/first'
    onlay rm kept
}

full_disk() {
    onlay --state /srv/small/state unlock --on-disk /opt
    echo first >/opt/x
    fill /opt/large
    onlay status | grep 'Unlocked: */opt$'
    # There is no room for it beside what it would be a copy of: it is locked, and still there.
    code=0
    onlay --state /srv/small/state lock --save kept 2>/results/said || code=$?
    cat /results/said
    test "$code" = 1
    grep -i 'no space left' /results/said
    onlay --state /srv/small/state list 2>&1 | grep 'no overlays'
    test -z "$(ls -A /srv/small/state/overlays | grep -v '^\.lock$')"
    onlay lock --save kept
    clean
    test -z "$(ls -A /srv/small/state/live)"
    inside kept -- 'grep first /opt/x'
    onlay rm kept
    rm -r /srv/small/state
}

# Where the layers do not fit on their disk, nothing is unlocked, and nothing is left of them.
no_room_on_disk() {
    local state=/srv/small/state step
    mkdir -m 700 $state
    dd if=/dev/zero of=/srv/small/full bs=4k 2>/dev/null || true
    for step in $(seq 60); do
        onlay --state $state unlock --on-disk /opt /srv/other 2>/results/said && break
        cat /results/said
        grep -i 'no space left' /results/said
        clean
        test ! -e /srv/other/x
        test -z "$(find $state/live -mindepth 1 2>/dev/null)"
        truncate --size=-4096 /srv/small/full
    done
    test "$step" -gt 1
    onlay lock --discard
    clean
    rm -r /srv/small/full $state
}

# Where nothing can be written down, nothing is done.
full_run() {
    onlay unlock /opt
    onlay lock --discard
    mount -o remount,size=1m /run
    dd if=/dev/zero of=/run/large bs=4k 2>/dev/null || true
    code=0
    onlay unlock /opt /srv 2>/results/said || code=$?
    cat /results/said
    test "$code" = 1
    rm /run/large
    clean
    mount -o remount,size=50% /run
    onlay unlock /opt /srv
    onlay lock --discard
}

# One of them unlocks; one of them locks.
at_once() {
    local round number done
    for round in $(seq 5); do
        rm -f /results/at-once.*
        for number in $(seq 6); do
            { onlay unlock /opt /srv 2>"/results/at-once.$number" && echo done >>/results/at-once.done; } &
        done
        wait
        test "$(cat /results/at-once.done)" = done
        test "$(cat /results/at-once.[0-9] | grep -c 'the host is unlocked since')" = 5
        test "$(grep -c onlay-live /proc/self/mountinfo)" = 2
        rm /results/at-once.*
        for number in $(seq 6); do
            { onlay lock --discard 2>"/results/at-once.$number" && echo done >>/results/at-once.done; } &
        done
        wait
        test "$(cat /results/at-once.done)" = done
        test "$(cat /results/at-once.[0-9] | grep -c 'the host is not unlocked')" = 5
        clean
    done
    for round in $(seq 10); do
        onlay unlock /opt /srv & onlay lock --discard & onlay unlock /opt & onlay status &
        wait
        told_any
        test ! -e /run/onlay/live/record.json || onlay lock --discard
        clean
    done
}

told_any() {
    if grep onlay-live /proc/self/mountinfo; then onlay status | grep '^Unlocked:'; fi
}

mkdir /srv/other
mount -o remount,bind,ro /usr
step full-ram full_ram
step full-disk full_disk
step no-room-on-disk no_room_on_disk
step full-run full_run
step at-once at_once
