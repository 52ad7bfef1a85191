#!/bin/bash
# A host with snapshots, whose root is the first of them: packages are layered for the next boot, and what is on its disk meanwhile is kept.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh
# shellcheck source=tests/it/vm/snapper_deb_steps.sh
. /usr/local/bin/snapper_deb_steps.sh

booted() {
    runs 1
    # By the daemon that all others ask, too.
    test -S /run/dbus/system_bus_socket
    dpkg-query --show >/root/packages
    plain
}

first() {
    onlay layer add onlay-tool 2>&1 | tee /results/said
    says 'added onlay-tool 1.0'
    onlay layer status | tee /results/said
    grep '^2 .* next' /results/said
    test "$(next)" = 2
    plain
    tidy
}

# From what is next, not from what runs. What is on the disk is kept before, at moments of it, and when it has just been said to be done.
second() {
    kept_while 5 done onlay layer add onlay-probe onlay-needy
    grep 'added onlay-needy 1.0' /results/added
    onlay layer list | tee /results/said
    for name in onlay-base onlay-needy onlay-probe onlay-tool; do says "$name"; done
    test "$(next)" = 3
    plain
    tidy
    runs 1
}

step booted booted
step first first
step second second
finish
systemctl poweroff
