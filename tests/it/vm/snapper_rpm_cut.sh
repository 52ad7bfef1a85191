#!/bin/bash
# The boot after the power was cut in the middle of a change: what was said before is there, and nothing of that. Then it goes back, and the power is cut again.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh
# shellcheck source=tests/it/vm/snapper_rpm_steps.sh
. /usr/local/bin/snapper_rpm_steps.sh

newer() {
    runs 4
    versions lab-daemon lab-new lab-pair lab-tool layer-abi | diff - <(printf '%s\n' 'lab-daemon 3.0' 'lab-new 3.0' 'lab-pair 3.0' 'lab-tool 3.0' 'layer-abi 2.0')
    for name in lab-old strace layer-needs layer-endless; do refuse rpm --query "$name"; done
    sound 'missing     /usr/local/share/layer-places'
    onlay layer status | tee /results/said
    grep -A 1 '^4 .* runs' /results/said | grep 'layered: lab-daemon lab-new lab-tool layer-places'
    # What was begun is nothing to boot.
    snapper --csvout list --columns number,userdata | grep '^5,.*in-progress=yes'
    refuse grep '^5' /results/said
}

# snapper itself goes back, and is understood.
back_by_snapper() {
    snapper --ambit transactional rollback 3
    onlay layer status | tee /results/said
    grep '^3 .* next' /results/said
}

# To where the layer's kernel is; what the cut has left is cleared.
back() {
    onlay layer rollback 2>&1 | tee /results/said
    says '4 is booted next'
    onlay layer rollback 2 2>&1 | tee /results/said
    says '2 is booted next'
    test "$(next)" = 2
    tidy
    refuse boots 1.0-layer "$(next_root)"
}

whole() {
    btrfs scrub start -B -r /var
    btrfs device stats --check /var
}

step newer newer
step back-by-snapper back_by_snapper
step back back
step whole whole
# What was said to be booted next is, whatever happens.
power_cut
