#!/bin/bash
# The boot after RPMs were layered: all is there. The base becomes a newer one, with the layers that it bears.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/ostree_rpm_steps.sh
. /usr/local/bin/ostree_rpm_steps.sh

there() {
    has_kernel 1.0-layer
    test ! -e /run/initramfs
    lab-strace -V | grep version
    versions lab-daemon lab-new lab-tilde lab-tool layer-abi layer-kernel | tee /results/said
    for line in 'lab-daemon 3.0' 'lab-new 3.0' 'lab-tilde 3.0~rc1^git3' 'lab-tool 3.0' 'layer-abi 1.0' 'layer-kernel 1.0'; do says "$line"; done
    without_overridden
    sound 'missing     /boot/layer-places' 'missing     /usr/local/share/layer-places'
}

# A service with a user of its own; files in /opt and in /var.
works() {
    serves
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

# Who deploys the newer base without the layers of what runs loses nobody's requests.
others() {
    ostree admin deploy --stage lab
    onlay layer status | head -n 1 | grep next
    tell onlay layer add --cached lab-daemon
    test "$code" = 1
    says 'others have made the next boot, without the layers of what runs'
    says "onlay layer upgrade' puts them on it"
}

upgraded() {
    onlay layer upgrade --drop layer-needs 2>&1 | tee /results/said
    says 'the base has that by itself: lab-tilde'
    says 'added lab-tool 3.0'
    refuse says 'added lab-tilde'
    onlay layer status | tee /results/said
    says 'next, finished at shutdown'
    # Nothing of that is here.
    versions layer-abi | grep 'layer-abi 1.0'
}

step there there
step works works
step refused refused
step others others
step upgraded upgraded
finish
systemctl poweroff
