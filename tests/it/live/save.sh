#!/bin/bash
# What was changed on the unlocked host becomes an extension.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

nothing_is_unlocked() {
    refuse onlay save --live --ext lab --output /results 2>/results/said
    grep 'not unlocked' /results/said
}

nothing_is_changed() {
    onlay unlock
    refuse onlay save --live --ext lab --output /results 2>/results/said
    grep 'what is unlocked changes nothing' /results/said
}

saved() {
    mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin
    printf '#!/bin/sh\necho lab\n' >/tmp/p/usr/bin/lab
    chmod 755 /tmp/p/usr/bin/lab
    printf 'Package: lab\nVersion: 7\nArchitecture: all\nMaintainer: x\nDescription: x\n' >/tmp/p/DEBIAN/control
    dpkg-deb --build /tmp/p /tmp/lab.deb
    dpkg --install /tmp/lab.deb
    rm /usr/bin/fuser
    onlay save --live --ext lab --output /results 2>/results/said
    grep 'cannot remove: /usr/bin/fuser' /results/said
    grep 'onlay lock --discard' /results/said
    test -s /results/lab_7_any.raw
    grep '"name": "lab"' /results/lab_7_any.raw.json
}

all_is_as_it_was() {
    lab
    refuse test -e /usr/bin/fuser
    onlay lock --discard
    refuse test -e /usr/bin/lab
    test -e /usr/bin/fuser
    onlay inspect --files /results/lab_7_any.raw | grep usr/bin/lab
}

# What was changed in one file system alone has no layer for the root.
of_the_database_alone() {
    mkdir -p /tmp/e/DEBIAN
    printf 'Package: empty\nVersion: 3\nArchitecture: all\nMaintainer: x\nDescription: x\n' >/tmp/e/DEBIAN/control
    dpkg-deb --build /tmp/e /tmp/empty.deb
    onlay unlock
    dpkg --install /tmp/empty.deb
    onlay diff --live >/results/live
    onlay lock --save alone
    onlay diff alone >/results/saved
    diff /results/live /results/saved
    test "$(grep -c ^package /results/saved)" = 1
    onlay rm alone
}

# The whole way: tried where nobody sees it, kept as an extension, there and told.
kept() {
    # Images are merged by loop devices.
    mount -t devtmpfs devtmpfs /dev
    mv /tmp/lab.deb /var/tmp
    onlay shell try -- dpkg --install /var/tmp/lab.deb
    refuse test -e /usr/bin/lab
    cd /results
    onlay save try --ext lab --add 2>&1 | tee /results/said
    lab
    onlay ext list | grep lab
    onlay ext owner /usr/bin/lab | grep lab
    onlay ext remove lab
    refuse test -e /usr/bin/lab
}

step nothing-is-unlocked nothing_is_unlocked
step nothing-is-changed nothing_is_changed
step saved saved
step all-is-as-it-was all_is_as_it_was
step of-the-database-alone of_the_database_alone
step kept kept
