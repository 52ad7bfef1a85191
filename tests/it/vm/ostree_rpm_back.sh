#!/bin/bash
# The boot after the base became a newer one, under layers: they are there. It goes back; and then the power is cut.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/ostree_rpm_steps.sh
. /usr/local/bin/ostree_rpm_steps.sh

newer() {
    versions lab-daemon lab-new lab-tilde lab-tool layer-abi | tee /results/said
    for line in 'lab-daemon 3.0' 'lab-new 3.0' 'lab-tilde 1.0~rc1^git1' 'lab-tool 3.0' 'layer-abi 2.0'; do says "$line"; done
    without_overridden
    refuse rpm --query layer-needs
    rpmdb --verifydb
    rpm --verify --nomtime lab-daemon lab-new lab-tilde lab-tool layer-abi
    # As the machine has it.
    grep mine /etc/layer-places.conf
    grep opt /opt/layer-places/file
    serves
}

says_so() {
    onlay layer status | tee /results/said
    grep ' 2.1 .*runs' /results/said
    says 'inactive: lab-tilde'
    says 'removed: lab-old strace'
    ostree admin status
    tell ostree admin upgrade
    test "$code" = 1
    says "this deployment has layers: 'onlay layer upgrade'"
}

# To what ran before, with what was asked for there.
back() {
    onlay layer rollback | cat
    onlay layer status | tee /results/said
    grep '1.1 .*next' /results/said
    onlay layer list | grep layer-needs
}

step newer newer
step says-so says_so
step back back
power_cut
