#!/bin/bash
# A host with snapshots whose packages are RPMs, on a kernel and an initramfs that a layer has brought: other packages come in the place of that.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh
# shellcheck source=tests/it/vm/snapper_rpm_steps.sh
. /usr/local/bin/snapper_rpm_steps.sh

# The kernel is the layer's, and so is the initramfs, which was made for it: it has found the root by itself. The base's kernel is there beside it.
booted() {
    runs 2
    test "$(uname -r)" != 1.0-layer
    boots "$(uname -r)" ''
    test -d /run/initramfs
    versions layer-kernel | sort | diff - <(printf 'layer-kernel %s\n' 1.0 3.0)
    test -s /boot/initrd-1.0-layer
    onlay layer status | tee /results/said
    grep -A 1 '^2 .* runs' /results/said | grep 'layered from files: layer-kernel'
    rpm --verify --nomtime layer-kernel
    # By the daemon that all others ask, too.
    test -S /run/dbus/system_bus_socket
    tidy
}

# In one change: a layer goes, packages of the base do, and others come.
changed() {
    onlay layer override remove lab-old strace --remove layer-kernel \
        --add lab-new --add lab-tool --add lab-daemon --add layer-needs --add layer-places 2>&1 | tee /results/said
    says 'added lab-daemon 3.0-1'
    says 'removed layer-kernel 3.0-1'
    says 'removed strace of the base'
    says 'the kernel is 1.0-layer'
    test "$(next)" = 3
    tidy
}

# Of the kernel nothing is left there, and all of it here.
waits() {
    boots 1.0-layer "$(next_root)"
    test "$(ls "$(next_root)/usr/lib/modules")" = 1.0-layer
    refuse sh -c "ls $(next_root)/boot | grep $(uname -r)"
    runs 2
    boots "$(uname -r)" ''
    strace -V | grep version
    refuse rpm --query lab-daemon
}

step booted booted
step changed changed
step waits waits
finish
systemctl poweroff
