#!/bin/bash
# The boot after the power was cut in the middle of a change: nothing of that is there, and the next change clears it. Then it goes back, and the power is cut
# again.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh

as_before() {
    runs 4
    has onlay-probe onlay-tool
    test "$(next)" = 4
    # What was begun is nothing to boot.
    snapper --csvout list --columns number,userdata | grep '^5,.*in-progress=yes'
    onlay layer status | tee /results/said
    refuse grep '^5' /results/said
}

cleared() {
    onlay layer add onlay-base 2>&1 | tee /results/said
    says 'added onlay-base 1.0'
    onlay layer list | tee /results/said
    refuse says slow
    runs 4
    tidy
}

# snapper itself goes back, and is understood.
back_by_snapper() {
    snapper --ambit transactional rollback 3
    onlay layer status | tee /results/said
    grep '^3 .* next' /results/said
    tidy
}

back() {
    onlay layer rollback 2>&1 | tee /results/said
    says '4 is booted next'
    onlay layer rollback 1 2>&1 | tee /results/said
    says '1 is booted next, with no layers'
}

step as-before as_before
step cleared cleared
step back-by-snapper back_by_snapper
step back back
# What was said to be booted next is, whatever happens.
power_cut
