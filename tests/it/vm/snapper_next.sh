#!/bin/bash
# The boot after packages were layered: all are there. One goes again, and in the middle of another change the power is cut.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh

there() {
    runs 3
    tidy
    has onlay-base onlay-needy onlay-probe onlay-tool
    onlay-strace -V | grep version
    onlay-probe | grep 'probe 42'
    # Its user, its directory in /opt, its service.
    getent passwd onlay-probe
    grep opt /opt/onlay-probe/file
    systemctl is-enabled onlay-probe.service
    systemctl start onlay-probe.service
}

says_so() {
    onlay layer status | tee /results/said
    grep -A 1 '^3 .* runs' /results/said | grep 'layered: onlay-needy onlay-probe onlay-tool'
    onlay layer history | tee /results/said
    says 'added onlay-probe 1.0'
    code=0
    onlay layer add onlay-tool --unchanged-exit-77 || code=$?
    test "$code" = 77
}

removed() {
    onlay layer remove onlay-needy 2>&1 | tee /results/said
    says 'removed onlay-base 1.0'
    test "$(next)" = 4
    has onlay-base onlay-needy onlay-probe onlay-tool
    tidy
}

# A script of a package waits for the end.
interrupted() {
    local number=0
    mkdir -p /root/slow/DEBIAN
    printf '%s\n' 'Package: slow' 'Version: 1' 'Architecture: all' 'Maintainer: x <x@y>' 'Description: x' >/root/slow/DEBIAN/control
    printf '#!/bin/sh\nsleep 7777\n' >/root/slow/DEBIAN/postinst
    chmod 755 /root/slow/DEBIAN/postinst
    dpkg-deb --root-owner-group --build -Znone /root/slow
    onlay layer add /root/slow.deb >/results/adding 2>&1 &
    until pgrep --full '^sleep 7777' || [ $((number++)) = 60 ]; do sleep 1; done
    pgrep --full '^sleep 7777'
    snapper --csvout list --columns number,userdata | grep '^5,.*in-progress=yes'
}

step there there
step says-so says_so
step removed removed
step interrupted interrupted
power_cut
