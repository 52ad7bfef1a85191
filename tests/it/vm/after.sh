#!/bin/bash
# What a power cut in the middle of a command has left, in a container on this machine's own kernel: the host is as it was before
# or after it, its package database is sound, nothing is in the way of the next command, and what that leaves is nothing.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

live=/var/lib/onlay/live

sound() {
    test -z "$(dpkg --audit)"
    apt-get -q -s check
}

# What came back at boot came back whole, and what did not is told or is nothing.
comes_up() {
    onlay status | tee /results/said
    test -z "$(systemctl list-units --failed --no-legend --plain '*unlock*')"
    refuse grep 'Held back' /results/said
    if grep 'until it is locked, over reboots' /results/said; then
        test "$(grep -c onlay-live /proc/self/mountinfo)" = 5
        touch /usr/bin/written
        onlay lock --discard
    elif grep -E 'Remains:' /results/said || test -e /etc/systemd/system/onlay-unlock.service; then
        onlay lock
    fi
    nothing_is_left
    onlay list >/results/said
    refuse grep 'in use' /results/said
}

nothing_is_left() {
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    refuse touch /usr/bin/written
    test -z "$(ls $live)"
    test ! -e /etc/systemd/system/onlay-unlock.service
    test ! -e /etc/systemd/system/sysinit.target.wants/onlay-unlock.service
    test ! -e /usr/bin/unlocked
    test ! -e /usr/bin/saved
    refuse onlay lock
    refuse dpkg-query --show onlay-tool
    sound
}

# An overlay that was being made, and one that followed its base, are whole, or are not there.
overlays() {
    if [ -e /var/lib/onlay/overlays/saved ]; then
        inside saved -- 'grep saved /usr/bin/saved; onlay-strace --version; dpkg --verify onlay-tool; test -z "$(dpkg --audit)"'
        onlay rm saved
    fi
    inside --no-rebase kept -- "$as_left; test -s /etc/issue"
    # What it only copied of the base is what that has now.
    cp /etc/issue /var/tmp/issue
    inside kept -- "$as_left; cmp /etc/issue /var/tmp/issue; grep base /usr/share/onlay-base/file"
    test "$(ls /var/lib/onlay/overlays/kept)" = "$(printf 'layers\noverlay.toml')"
    onlay rm kept
    test -z "$(ls /var/lib/onlay/overlays)"
}

works() {
    onlay unlock --persistent
    dpkg --install /var/local/repository/onlay-tool_*.deb
    sound
    onlay lock --discard
    nothing_is_left
}

await test -e /run/probe.pid
step sound sound
step comes-up comes_up
step overlays overlays
step works works
step still-sound sound
finish
