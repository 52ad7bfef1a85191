#!/bin/bash
# A host of OSTree's whose packages are RPMs, on a kernel and an initramfs that a layer has brought: other packages come in the place of that.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/ostree_rpm_steps.sh
. /usr/local/bin/ostree_rpm_steps.sh

# The kernel is the layer's, and so is the initramfs, which was made for it: its own programs found the deployment.
booted() {
    has_kernel "$(uname -r)"
    test "$(rpm --query layer-kernel)" = layer-kernel-3.0-1.noarch
    test -d /run/initramfs
    onlay layer status | tee /results/said
    grep -A 1 ' runs' /results/said | grep 'layered from files: layer-kernel'
    rpm --verify --nomtime layer-kernel
}

# In one change: a layer goes, packages of the base do, and others come.
added() {
    onlay layer override remove lab-old strace --remove layer-kernel \
        --add lab-new --add lab-tool --add lab-daemon --add lab-tilde --add layer-needs --add layer-places 2>&1 | tee /results/said
    says 'added lab-daemon 3.0-1'
    says "changed layer-kernel 3.0-1 back to the base's 1.0-1"
    says 'removed strace of the base'
    says 'left out 3 files'
    test ! -e /usr/bin/lab-strace
}

waits() {
    onlay layer status | tee /results/said
    says 'next, finished at shutdown'
    ostree admin status | tee /results/said
    says '(staged)'
    strace -V | grep version
}

step booted booted
step added added
step waits waits
finish
systemctl poweroff
