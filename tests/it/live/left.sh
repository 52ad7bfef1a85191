#!/bin/bash
# What packages leave in /var when the host is locked: listed, and nothing else.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# A package that keeps things in every way, and one that has a similar name.
make_packages() {
    local tree=/var/tmp/keeper
    mkdir -p $tree/DEBIAN $tree/var/lib/keeper-named/deep $tree/var/cache/shared $tree/usr/lib/tmpfiles.d $tree/usr/lib/systemd/system
    printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: T <t@localhost>\nDescription: a test\n' keeper >$tree/DEBIAN/control
    echo x >$tree/var/lib/keeper-named/deep/file
    echo 'd /var/lib/by-tmpfiles' >$tree/usr/lib/tmpfiles.d/keeper.conf
    printf '[Service]\nExecStart=/bin/true\nStateDirectory=by-service\n' >$tree/usr/lib/systemd/system/keeper.service
    cat >$tree/DEBIAN/postinst <<'END'
#!/bin/sh
set -e
echo 'keeper-user:x:4242:4242::/var/lib/by-user:/bin/sh' >>/etc/passwd
mkdir -p /var/lib/by-user /var/lib/by-tmpfiles /var/lib/by-service /var/spool/host /var/lib/keeper-other
chown 4242 /var/lib/by-user
echo log >/var/log/keeper.log
echo log >>/var/log/old.log
END
    chmod +x $tree/DEBIAN/postinst
    dpkg-deb --build $tree /var/tmp/keeper.deb
    mkdir -p /var/cache/shared
    echo old >/var/log/old.log
    # What was there before is nobody's who goes, whatever it is called.
    mkdir -p /var/spool/keeper
    sleep 1.1
}

expected='/var/lib/by-service /var/lib/by-tmpfiles /var/lib/by-user /var/lib/keeper-named /var/log/keeper.log '

listed() {
    onlay unlock
    dpkg --install /var/tmp/keeper.deb
    onlay lock --dry-run | tee /results/would
    grep 'would leave in /var' /results/would
    onlay lock --discard 2>&1 | tee /results/said
    grep 'packages that are gone have left this in /var' /results/said
    test "$(grep -o '^/var[^ ]*' /results/said | tr '\n' ' ')" = "$expected"
    grep '^/var/lib/keeper-named *keeper *3 entries' /results/said
    grep '^/var/lib/by-user *keeper-user ' /results/said
    test -z "$(dpkg --audit)"
    refuse dpkg --status keeper
}

# What is still there from before is not told as if it was of this time.
only_what_is_new() {
    sleep 1.1
    onlay unlock
    dpkg --install /var/tmp/keeper.deb
    rm /var/log/keeper.log
    echo log >/var/log/keeper.log
    onlay lock --save kept --json >/results/json
    grep '"saved": "kept"' /results/json
    test "$(grep -c '"path": "/var' /results/json)" = 2
    # dpkg has put it there anew.
    grep '"path": "/var/lib/keeper-named/deep/file"' /results/json
    grep '"path": "/var/log/keeper.log"' /results/json
    grep '"of": "keeper"' /results/json
    onlay rm kept
    for path in $expected; do rm -r "$path"; done
}

# Where no package goes, nothing is; nor where nothing was changed.
nothing() {
    onlay unlock
    mkdir -p /var/lib/host-made
    touch /usr/bin/x
    onlay lock --discard --json >/results/json 2>/results/said
    grep '"left": \[\]' /results/json
    refuse grep 'have left' /results/said
    onlay unlock
    onlay lock --json | grep '"left": \[\]'
}

# Names that no terminal should show, and very many of them.
odd_and_many() {
    onlay unlock
    dpkg --install /var/tmp/keeper.deb
    mkdir "/var/lib/keeper.$(printf '\377\033[2J')"
    for number in $(seq 40); do touch "/var/log/keeper.$number"; done
    onlay lock --discard --json >/results/json 2>/results/said
    grep -c '^/var' /results/said | grep '^20$'
    grep 'onlay: and 26 more, which --json lists' /results/said
    grep '/var/lib/keeper.\\xff\\x1b\[2J' /results/said
    test "$(grep -c '"of"' /results/json)" = 46
}

rpm_packages() {
    onlay unlock
    zypper -n install lab-daemon
    test -d /var/lib/lab-daemon
    onlay lock --discard 2>&1 | tee /results/said
    grep '^/var/lib/lab-daemon *lab-daemon ' /results/said
    refuse grep '^/var/lib/rpm\|^/var/cache/zypp\|^/var/log/zypp' /results/said
    refuse rpm --query lab-daemon
}

mount -o remount,bind,ro /usr
if [ -e /var/lib/dpkg/status ]; then
    step make make_packages
    step listed listed
    step only-what-is-new only_what_is_new
    step nothing nothing
    step odd-and-many odd_and_many
else
    step locked-at-first refuse touch /usr/x
    step unlock onlay unlock
    step lock onlay lock
    step rpm-packages rpm_packages
fi
