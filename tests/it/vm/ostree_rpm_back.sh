#!/bin/bash
# The boot after the base became a newer one, under layers: they are there. One goes, and all goes back; and then the power is cut.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/ostree_rpm_steps.sh
. /usr/local/bin/ostree_rpm_steps.sh

newer() {
    versions lab-daemon lab-new lab-tilde lab-tool layer-abi | tee /results/said
    for line in 'lab-daemon 3.0' 'lab-new 3.0' 'lab-tilde 1.0~rc1^git1' 'lab-tool 3.0' 'layer-abi 2.0'; do says "$line"; done
    for name in lab-old strace layer-needs; do refuse rpm --query "$name"; done
    refuse command -v strace
    lab-strace -V | grep version
    sound 'missing     /boot/layer-places' 'missing     /usr/local/share/layer-places'
    onlay layer status | tee /results/said
    grep -A 9 ' runs' /results/said | grep 2.1
    # As the machine has it.
    grep mine /etc/layer-places.conf
    systemctl start lab-daemon.service
    test "$(stat --format %U "/proc/$(systemctl show --property MainPID --value lab-daemon.service)")" = lab-daemon
    grep opt /opt/layer-places/file
}

removed() {
    onlay layer remove lab-daemon 2>&1 | tee /results/said
    says 'removed lab-daemon 3.0-1'
    onlay layer status | tee /results/said
    says 'next, finished at shutdown'
}

# First to what runs, then to what ran before it.
back() {
    onlay layer rollback | cat
    refuse grep next <(onlay layer status)
    onlay layer rollback | cat
    onlay layer status | tee /results/said
    grep '1.1 .*next' /results/said
    ostree admin status
}

step newer newer
step removed removed
step back back
power_cut
