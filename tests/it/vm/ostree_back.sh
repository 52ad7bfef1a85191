#!/bin/bash
# The boot after one that went back from layers.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

as_it_was() {
    refuse onlay-strace -V
    test ! -e /usr/lib/onlay/layers.json
    test -z "$(dpkg --audit)"
    refuse dpkg-query --show onlay-tool
    onlay layer status
}

again() {
    onlay layer diff | tee /results/said
    onlay layer cleanup --rollback
    ostree admin status
}

sound() {
    ostree fsck --repo=/ostree/repo --quiet
}

step as-it-was as_it_was
step again again
step sound sound
finish
systemctl poweroff
