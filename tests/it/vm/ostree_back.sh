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

# has_verity FILE…: each, by the kernel's own flag.
has_verity() {
    local flags file
    while read -r flags file; do
        case $flags in
        *V*) ;;
        *) return 1 ;;
        esac
    done < <(lsattr "$@")
}

# in_repository COMMAND…: where it can be written to.
in_repository() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount sh -c 'mount -o remount,rw /sysroot && cd /sysroot/ostree/repo && exec "$@"' sh "$@"
}

# Files that are new, and those of layers that are there from when nobody asked for it.
sealed() {
    local tree tool
    refuse has_verity /ostree/deploy/debian/deploy/*/usr/bin/onlay-strace
    in_repository ostree config --repo=. set ex-integrity.fsverity yes
    onlay layer add --cached /var/packages/onlay-tool_*.deb /var/packages/onlay-base_*.deb /var/packages/onlay-needy_*.deb
    tree=$(ls --directory --sort=time /ostree/deploy/debian/deploy/*/ | head -n 1)
    tool=$tree/usr/bin/onlay-strace
    has_verity "$tool" "$tree"/usr/share/onlay-*/file "$tree/usr/lib/sysimage/dpkg/status" "$tree/usr/lib/onlay/layers.json"
    # What is the base's alone is as the base has it.
    refuse has_verity /usr/bin/ps
    "$tool" -V | grep version
    refuse in_repository sh -c "echo >>'$tool'" 2>&1 | tee /results/said
    says 'Operation not permitted'
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
step sealed sealed
step again again
step sound sound
finish
systemctl poweroff
