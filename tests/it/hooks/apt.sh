#!/bin/bash
# Hooks of apt, on a host whose /usr is a mount.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

hook=/etc/apt/apt.conf.d/10onlay

installed() {
    onlay hooks status | grep 'apt *absent'
    onlay hooks install --dry-run | grep "would install the hook of apt: $hook"
    test ! -e "$hook"
    tell onlay hooks install
    says "installed the hook of apt: $hook"
    test "$(stat -c '%a %U' "$hook")" = '644 root'
    before=$(stat -c '%i %Y' "$hook")
    tell onlay hooks install
    says 'there already'
    test "$before" = "$(stat -c '%i %Y' "$hook")"
    onlay hooks status --json | grep '"state": "installed"'
    refuse onlay hooks install zypper
}

# A package is kept here: nothing is said.
on_a_writable_host() {
    apt-get -q update
    tell apt-get -q -y install onlay-probe
    test "$code" = 0
    silent
    tell apt-get -q -y purge onlay-probe
    silent
}

locked() {
    mount -o remount,bind,ro /usr
    tell apt-get -q -y install onlay-probe
    test "$code" != 0
    says "/usr of this host is read-only, so nothing was installed: 'onlay shell'"
    says "'onlay unlock'"
    # It was stopped before dpkg could meet the file system.
    refuse grep -i 'read-only file system' /results/said
    test -z "$(dpkg --audit)"
    refuse dpkg --status onlay-probe
    # Elsewhere is not this host.
    tell apt-get -q -y -o DPkg::Options::=--root=/tmp/elsewhere install onlay-probe
    silent
    # Nothing is asked when nothing is installed.
    tell apt-get -q -s install onlay-probe
    test "$code" = 0
    silent
}

unlocked() {
    onlay unlock
    tell apt-get -q -y install onlay-probe
    test "$code" = 0
    says "this is temporary, until the host is locked or rebooted; 'onlay lock --save NAME' keeps it"
    test "$(grep -c 'onlay: ' /results/said)" = 1
    # A process that may not write there.
    tell unshare --mount sh -c 'mount -o remount,bind,ro /usr; apt-get -q -y purge onlay-probe'
    test "$code" != 0
    says 'the host is unlocked, but /usr is read-only for this process'
    # Hooks that are installed now go with it.
    onlay hooks remove
    tell onlay hooks install
    says "hook of apt: $hook, temporary"
    says 'the host is unlocked there'
    onlay lock --discard
    onlay hooks status | grep 'apt *installed'
    refuse dpkg --status onlay-probe
}

# What one process alone may write is as temporary.
unlocked_read_only() {
    onlay unlock --read-only
    tell onlay run -- apt-get -q -y install onlay-probe
    test "$code" = 0
    says 'this is temporary, until the host is locked or rebooted'
    test "$(grep -c 'onlay: ' /results/said)" = 1
    onlay lock --discard
    refuse dpkg --status onlay-probe
}

# Another unlock is not what helps where one is held back.
held_back() {
    mkdir -p /var/lib/onlay/live
    echo '{' >/var/lib/onlay/live/kept.json
    tell apt-get -q -y install onlay-probe
    test "$code" != 0
    says "'onlay unlock --resume' unlocks it again with what is held back"
    refuse grep "'onlay unlock'" /results/said
    tell onlay run -- true
    test "$code" = 1
    says 'is held back'
    refuse grep "'onlay unlock' unlocks" /results/said
    rm /var/lib/onlay/live/kept.json
}

in_an_overlay() {
    tell inside trial -- 'apt-get -q -y install onlay-probe; onlay-probe'
    test "$code" = 0
    says "this goes into overlay 'trial' alone"
    onlay rm trial
}

without_the_program() {
    mount -o remount,bind,rw /usr
    mv /usr/bin/onlay /root/onlay
    tell apt-get -q -y install onlay-probe
    test "$code" = 0
    refuse grep -i 'not found\|hooks run' /results/said
    # One that fails, or knows nothing of hooks, is no reason to stop.
    cp /bin/false /usr/bin/onlay
    apt-get -q -y purge onlay-probe
    mv /root/onlay /usr/bin/onlay
}

removed() {
    onlay hooks remove --dry-run | grep "would remove the hook of apt: $hook"
    test -e "$hook"
    onlay hooks remove
    test ! -e "$hook"
    tell onlay hooks remove
    says 'there are no hooks'
}

# What others wrote stays, and nothing else is written then.
of_others() {
    echo 'APT::Get::Show-Versions "false";' >"$hook"
    tell onlay hooks install
    test "$code" = 1
    says 'is there and was not written by onlay'
    onlay hooks remove
    grep Show-Versions "$hook"
    onlay hooks status | grep 'apt *foreign'
    rm "$hook"
    mount --bind /etc /etc
    mount -o remount,bind,ro /etc
    tell onlay hooks install
    test "$code" = 1
    says "the hook of apt has to be in '/etc/apt/apt.conf.d', which cannot be written"
    umount /etc
    tell setpriv --reuid=65534 --clear-groups onlay hooks install
    says 'try again with sudo'
    test ! -e "$hook"
    tell onlay hooks install --program '/a b'
    says 'a hook cannot name the program'
    # A program that somebody else could replace is nothing that root should be made to run.
    cp /usr/bin/onlay /tmp/onlay
    mkdir /var/tmp/of-user
    cp /usr/bin/onlay /var/tmp/of-user/
    chown 1000 /var/tmp/of-user
    ln -s /var/tmp/of-user/onlay /usr/local/bin/link
    for program in /tmp/onlay /var/tmp/of-user/onlay /usr/local/bin/link; do
        tell onlay hooks install --program "$program"
        test "$code" = 1
        says 'others than root could put another in its place'
    done
    tell /tmp/onlay hooks install
    says 'others than root could put another in its place'
    test ! -e "$hook"
    # In a tree that is to be an image, with the program where it will be.
    mkdir -p /tmp/tree/usr/bin /tmp/tree/etc/apt
    touch /tmp/tree/usr/bin/apt-get
    onlay --root /tmp/tree hooks install --program /opt/onlay
    grep /opt/onlay "/tmp/tree$hook"
    onlay --root /tmp/tree hooks status --program /opt/onlay | grep 'apt *installed'
    onlay --root /tmp/tree hooks status | grep 'apt *outdated'
    onlay --root /tmp/tree hooks remove
    test "$(find /tmp/tree | sort | tr '\n' ' ')" = '/tmp/tree /tmp/tree/etc /tmp/tree/etc/apt /tmp/tree/usr /tmp/tree/usr/bin /tmp/tree/usr/bin/apt-get '
}

rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/var/local/repository ./' >/etc/apt/sources.list
# Nothing runs that a service of the package could be started by.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
step installed installed
step writable on_a_writable_host
step locked locked
step unlocked unlocked
step unlocked-read-only unlocked_read_only
step held-back held_back
step in-an-overlay in_an_overlay
step without-the-program without_the_program
step removed removed
step of-others of_others
