#!/bin/bash
# The boot after one that went back from all layers.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh

as_it_was() {
    runs 1
    plain
}

again() {
    tidy
    onlay layer diff 1 3 | grep 'added onlay-probe 1.0'
    onlay layer rollback 3
    test "$(next)" = 3
    onlay layer rollback
    test "$(next)" = 1
}

sound() {
    btrfs scrub start -B -r /var
    btrfs device stats --check /var
}

step as-it-was as_it_was
step again again
step sound sound
finish
systemctl poweroff --force --force
