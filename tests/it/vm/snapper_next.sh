#!/bin/bash
# The boot after packages were layered: all are there. One goes again, and all go back.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh
# shellcheck source=tests/it/vm/snapper_deb_steps.sh
. /usr/local/bin/snapper_deb_steps.sh

there() {
    runs 3
    tidy
    has onlay-base onlay-needy onlay-probe onlay-tool
    onlay-strace -V | grep version
    onlay-probe | grep 'probe 42'
    # Its user, its directory in /opt, its service.
    getent passwd onlay-probe
    grep opt /opt/onlay-probe/file
    systemctl is-enabled onlay-probe.service
    systemctl start onlay-probe.service
}

says_so() {
    onlay layer status | tee /results/said
    grep -A 1 '^3 .* runs' /results/said | grep 'layered: onlay-needy onlay-probe onlay-tool'
    onlay layer history | tee /results/said
    says 'added onlay-probe 1.0'
    code=0
    onlay layer add onlay-tool --unchanged-exit-77 || code=$?
    test "$code" = 77
}

removed() {
    onlay layer remove onlay-needy 2>&1 | tee /results/said
    says 'removed onlay-base 1.0'
    test "$(next)" = 4
    has onlay-base onlay-needy onlay-probe onlay-tool
    tidy
}

back() {
    onlay layer diff 1 3 | grep 'added onlay-probe 1.0'
    onlay layer rollback 2>&1 | tee /results/said
    says '3 is booted next'
    onlay layer rollback 1 2>&1 | tee /results/said
    says '1 is booted next, with no layers'
    test "$(next)" = 1
    tidy
}

sound() {
    btrfs scrub start -B -r /var
    btrfs device stats --check /var
}

step there there
step says-so says_so
step removed removed
step back back
step sound sound
finish
systemctl poweroff --force --force
