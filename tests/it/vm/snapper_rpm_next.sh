#!/bin/bash
# The boot after RPMs were layered: all is there. The host is brought up to date, with the layers that it bears, and in the middle of another change the power is cut.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh
# shellcheck source=tests/it/vm/snapper_rpm_steps.sh
. /usr/local/bin/snapper_rpm_steps.sh

there() {
    runs 3
    test ! -d /run/initramfs
    versions lab-daemon lab-new lab-tool layer-abi layer-kernel | diff - <(printf '%s\n' 'lab-daemon 3.0' 'lab-new 3.0' 'lab-tool 3.0' 'layer-abi 1.0' 'layer-kernel 1.0')
    for name in lab-old strace; do refuse rpm --query "$name"; done
    lab-strace -V | grep version
    sound 'missing     /usr/local/share/layer-places'
}

# A service with a user of its own; files in /opt and in /boot.
works() {
    systemctl start lab-daemon.service
    sleep 2
    test "$(stat --format %U "/proc/$(systemctl show --property MainPID --value lab-daemon.service)")" = lab-daemon
    grep opt /opt/layer-places/file
    grep boot /boot/layer-places
}

# What the newer packages do not bear is told, and nothing is changed.
refused() {
    onlay layer list >/results/before
    tell onlay layer upgrade
    test "$code" = 1
    says 'layer-needs ('
    says '--drop layer-needs'
    onlay layer list | diff /results/before -
    test "$(next)" = 3
    tidy
}

upgraded() {
    onlay layer upgrade --drop layer-needs 2>&1 | tee /results/said
    says 'changed layer-abi 1.0-1 to 2.0-1'
    says 'removed layer-needs 1.0'
    test "$(next)" = 4
    versions layer-abi | grep 'layer-abi 1.0'
    tidy
}

interrupted() {
    endless 5
}

step there there
step works works
step refused refused
step upgraded upgraded
step interrupted interrupted
power_cut
