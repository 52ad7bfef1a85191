#!/bin/bash
# The boot after RPMs were layered: all is there. The base becomes a newer one, with the layers that it bears, and packages of its own go.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/ostree_rpm_steps.sh
. /usr/local/bin/ostree_rpm_steps.sh

there() {
    has_kernel 1.0-layer
    test ! -e /run/initramfs
    lab-strace -V | grep version
    lab-pair | grep 'pair 1'
    versions lab-daemon lab-old lab-tilde lab-tool layer-abi layer-kernel | tee /results/said
    for line in 'lab-daemon 3.0' 'lab-old 1.0' 'lab-tilde 3.0~rc1^git3' 'lab-tool 3.0' 'layer-abi 1.0' 'layer-kernel 1.0'; do says "$line"; done
    sound 'missing     /boot/layer-places' 'missing     /usr/local/share/layer-places'
}

# A service with a user of its own; a user that a scriptlet has made; files in /opt and in /var.
works() {
    systemctl start lab-daemon.service
    test "$(stat --format %U "/proc/$(systemctl show --property MainPID --value lab-daemon.service)")" = lab-daemon
    test "$(stat --format %U:%a /var/lib/lab-daemon)" = lab-daemon:700
    test "$(stat --format %U:%G /run/lab-daemon)" = lab-daemon:lab-daemon
    id layer-user
    test "$(stat --format %U:%G /var/lib/layer-users)" = layer-user:layer-team
    test "$(stat --format %U:%G:%a /usr/share/layer-users)" = root:layer-team:640
    grep opt /opt/layer-places/file
    test "$(stat --format %G:%a /var/lib/layer-places/state)" = mail:750
    # To be the machine's own.
    echo mine >>/etc/layer-places.conf
}

# What the newer base does not bear is told, and nothing is changed.
refused() {
    onlay layer list >/results/before
    ostree refs --repo=/ostree/repo --force --create=lab next
    tell onlay layer upgrade
    test "$code" = 1
    says 'layer-needs ('
    says '--drop layer-needs'
    onlay layer list | diff /results/before -
    refuse grep next <(onlay layer status)
}

upgraded() {
    onlay layer upgrade --drop layer-needs 2>&1 | tee /results/said
    says 'base 1.1 to 2.1'
    says 'the base has that by itself: lab-pair, lab-tilde'
    says 'removed lab-tilde'
    onlay layer override remove lab-old strace --add lab-new 2>&1 | tee /results/said
    says 'removed strace of the base'
    says 'added lab-new 3.0-1'
    onlay layer status | tee /results/said
    says 'next, finished at shutdown'
    # Nothing of that is here.
    strace -V | grep version
    versions layer-abi | grep 'layer-abi 1.0'
}

step there there
step works works
step refused refused
step upgraded upgraded
finish
systemctl poweroff
