#!/bin/bash
# The boot after one in which packages were layered, and the power was cut: all is there, and one command goes back.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

there() {
    onlay-strace -V | grep version
    # Of the deployment itself: what had it at once is gone.
    refuse grep ' /usr overlay ' /proc/mounts
    onlay ext list | tee /results/said
    refuse says layers-until-reboot
    onlay-probe | grep 'probe 42'
    test "$(dpkg-query --show --showformat '${Version}' onlay-probe)" = 1.0
    test -z "$(dpkg --audit)"
    dpkg --verify onlay-tool onlay-base
    # Its user, its directory in /opt, its service: by sysusers.d, tmpfiles.d and the deployment's own /etc.
    getent passwd onlay-probe
    grep opt /opt/onlay-probe/file
    test -L /etc/systemd/system/multi-user.target.wants/onlay-probe.service
}

says_so() {
    # At boot it was seen that nothing waits any more.
    refuse sh -c "find /etc/systemd/system -name 'onlay-layers*' | grep ."
    refuse grep -r 'the next boot has layers' /sysroot/ostree/deploy/debian/deploy/ --include=*.origin
    onlay layer status | tee /results/said
    grep -A 1 ' runs' /results/said | grep 'layered from files: onlay-base onlay-probe onlay-tool'
    ostree admin status
    refuse ostree admin upgrade 2>&1 | tee /results/said
    says "this deployment has layers: 'onlay layer upgrade'"
    onlay layer add --cached /var/packages/onlay-tool_*.deb --unchanged-exit-77 || test $? = 77
    onlay layer history | tee /results/said
    says 'added onlay-tool 1.0'
    onlay unlock
    echo x >/usr/x
    onlay lock --discard
}

back() {
    onlay layer rollback | cat
    onlay layer status | tee /results/said
    head -n 1 /results/said | grep next
    onlay layer list >/results/said
    refuse grep . /results/said
}

step there there
step says-so says_so
step back back
finish
systemctl poweroff
