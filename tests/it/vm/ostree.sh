#!/bin/bash
# A host of OSTree's unlocked and locked, beside the real `ostree admin unlock`, in both orders.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# Over it: WORDS
over_usr() {
    onlay status | grep "^Over /usr: *$1\$"
}

locked() {
    refuse touch /usr/bin/x
    refuse grep -E 'onlay-live|ostree-unlock' /proc/[0-9]*/mountinfo
    refuse sh -c 'onlay status | grep ^Over'
    test ! -e /usr/bin/ours
    test ! -e /usr/bin/theirs
}

booted() {
    test -e /run/ostree-booted
    ostree admin status
    onlay status | tee /results/said
    grep 'ostree deployment [0-9a-f]*\.0' /results/said
    locked
}

alone() {
    onlay unlock 2>&1 | tee /results/said
    grep 'unlocked /etc /usr .*/var/opt until' /results/said
    dpkg-query --show >/results/packages
    dpkg --remove strace
    echo ours >/usr/bin/ours
    onlay diff --live --packages | grep 'removed *strace'
    refuse sh -c 'ostree admin status | grep Unlocked'
    onlay lock --discard
    dpkg-query --show | diff /results/packages -
    strace --version
    locked
}

# It hides ours behind what the deployment has, and says nothing; what we say stays right, and nothing is lost.
theirs_over_ours() {
    onlay unlock
    echo ours >/usr/bin/ours
    ostree admin unlock
    test ! -e /usr/bin/ours
    echo theirs >/usr/bin/theirs
    ostree admin status | grep 'Unlocked: development'
    over_usr 'onlay unlock, and on it ostree admin unlock'
    onlay status | grep 'Unlocked: .* /usr'
    onlay diff --live >/results/diff
    grep 'added .*/usr/bin/ours' /results/diff
    refuse grep theirs /results/diff
    onlay lock --discard 2>&1 | tee /results/said
    grep "'/usr' is covered by 'ostree admin unlock', which lies on" /results/said
    grep 'umount --lazy /usr' /results/said
    umount --lazy /usr
    grep ours /usr/bin/ours
    refuse over_usr '.*'
    onlay lock --save kept
    locked
    onlay diff kept | grep 'added .*/usr/bin/ours'
    # It believes that its own is there still.
    rm -r /run/ostree/deployment-state
}

ours_over_theirs() {
    ostree admin unlock
    echo theirs >/usr/bin/theirs
    over_usr 'ostree admin unlock'
    onlay status --json | tr -d ' \n' | grep '"place":"/usr","layers":\[{"by":"ostree-unlock"}\]'
    onlay unlock 2>&1 | tee /results/said
    grep "'/usr' is covered by 'ostree admin unlock'" /results/said
    grep 'umount --lazy /usr' /results/said
    refuse grep onlay-live /proc/self/mountinfo
    grep theirs /usr/bin/theirs
    onlay unlock /etc
    onlay lock --discard
    umount --lazy /usr
    onlay unlock --from kept
    grep ours /usr/bin/ours
    test ! -e /usr/bin/theirs
    onlay lock --discard
    locked
}

hotfix() {
    rm -rf /run/ostree/deployment-state
    ostree admin unlock --hotfix
    ostree admin status | grep 'Unlocked: hotfix'
    over_usr 'ostree admin unlock --hotfix'
    onlay unlock 2>&1 | tee /results/said
    grep "'/usr' is covered by 'ostree admin unlock --hotfix'" /results/said
}

# Layers that only come with the next boot are not dropped by who knows nothing of them.
waiting() {
    onlay layer add --cached /var/packages/onlay-tool_*.deb
    ostree admin upgrade 2>&1 | tee /results/said
    says "the next boot has layers, which would be lost: 'onlay layer upgrade'"
    onlay layer status | grep 'next, finished at shutdown'
    ostree admin status
    # As a power cut has it: what was only to be finished at shutdown is gone, and the next boot finds it so.
    systemctl daemon-reload
    systemctl start onlay-layers.service
    mv /run/ostree/staged-deployment /run/staged
    refuse ostree admin upgrade
    systemctl start onlay-layers.service
    ostree admin upgrade 2>&1 | tee /results/said
    says 'No update available'
    refuse sh -c "find /etc/systemd/system -name 'onlay-layers*' | grep ."
    mv /run/staged /run/ostree/staged-deployment
    onlay layer rollback | cat
    refuse grep -r unconfigured-state /sysroot/ostree/deploy/debian/deploy/ --include=*.origin
    ostree admin upgrade 2>&1 | tee /results/said
    says 'No update available'
    onlay layer status | tee /results/said
    refuse says next
}

# What was tried over the deployment that runs.
tried() {
    onlay shell try -- dpkg --install /var/packages/onlay-base_*.deb
    onlay save try --layer --dry-run --cached --package-file /var/packages/onlay-base_*.deb 2>&1 | tee /results/said
    says 'would add onlay-base 1.0'
    onlay rm try
}

# What it takes is here; nothing is asked of a network. It is there at once, too, as an extension; the next boot has it by itself.
layered() {
    onlay layer status | tee /results/said
    grep '^[0-9a-f]* .* runs' /results/said
    onlay layer add --cached --apply-now /var/packages/onlay-tool_*.deb 2>&1 | tee /results/said
    says 'added onlay-tool 1.0'
    says 'the next boot has that, once this system was shut down in order'
    says 'is there at once, until the reboot: onlay-tool 1.0'
    onlay-strace -V | grep version
    dpkg-query --show onlay-tool
    onlay ext list | grep '^layers-until-reboot: active: until the reboot$'
    # More takes the place of that, and leaves nothing of it.
    onlay layer add --cached --apply-now /var/packages/onlay-base_*.deb 2>&1 | tee /results/said
    says 'is there at once, until the reboot: onlay-base 1.0, onlay-tool 1.0'
    onlay-strace -V | grep version
    test "$(ls /run/onlay/images)" = "$(printf '%s\n' layers-until-reboot_2_x86-64.raw layers-until-reboot_2_x86-64.raw.json)"
    onlay layer status | tee /results/said
    says 'next, finished at shutdown'
    says 'layered from files: onlay-base onlay-tool'
}

# From what is next, not from what runs: nothing is lost by a second change. What is on the disk is kept before, at moments of it, when it has just been said to be done,
# and when what is only done at shutdown was done.
more() {
    kept_while 11 said onlay layer add --cached /var/packages/onlay-base_*.deb /var/packages/onlay-probe_*.deb
    grep 'added onlay-probe 1.0' /results/added
    onlay layer list | tee /results/said
    for name in onlay-base onlay-probe onlay-tool; do says "$name"; done
    ostree admin status
}

finished() {
    systemctl stop ostree-finalize-staged.service
    ostree admin status | tee /results/said
    refuse says staged
}

step booted booted
step alone alone
step waiting waiting
step tried tried
step theirs-over-ours theirs_over_ours
step ours-over-theirs ours_over_theirs
step hotfix hotfix
step layered layered
step more more
step finished finished
# What was finished is booted, whatever happens.
power_cut
