#!/bin/bash
# `onlay shell --live` and `onlay run`.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# Runs a command that must exit with this code: exits CODE COMMAND…
exits() {
    local wanted=$1 code=0
    shift
    "$@" || code=$?
    test "$code" = "$wanted"
}

nothing_is_unlocked() {
    exits 1 onlay shell --live 2>&1 | tee /results/said
    grep 'the host is not unlocked' /results/said
    exits 1 onlay run -- true
    exits 2 onlay run
    exits 2 onlay shell --live name
    exits 2 onlay shell --live --temp
    exits 1 onlay --root /srv run -- true
    exits 1 setpriv --reuid=65534 --clear-groups onlay run -- true
}

read_only_for_all() {
    onlay unlock --read-only 2>&1 | tee /results/said
    grep "it can be written by 'onlay run' and in 'onlay shell --live' alone" /results/said
    refuse touch /usr/bin/by-host
    refuse unshare --mount touch /etc/by-other
    onlay status | grep 'read-only, until'
    # Others than root are told what all may see, and that there is more.
    setpriv --reuid=65534 --clear-groups onlay status >/results/said
    grep '^Read-only: .*/usr' /results/said
    grep 'are shown to root alone' /results/said
    refuse grep Unlocked: /results/said
    setpriv --reuid=65534 --clear-groups onlay status --json | grep '"partial": true'
}

written_and_seen() {
    onlay shell --live -- sh -c 'echo new >/usr/bin/by-shell; echo new >/etc/by-shell; rm /usr/bin/strace' 2>&1 | tee /results/said
    grep 'this is the live host: /etc /opt /usr .*can be written here' /results/said
    grep new /usr/bin/by-shell
    grep new /etc/by-shell
    test ! -e /usr/bin/strace
    onlay run --dry-run -- touch /usr/bin/by-nobody | grep 'would enter the live host, where /etc /opt /usr '
    onlay shell --live --dry-run -- touch /usr/bin/by-nobody | grep 'would enter the live host'
    test ! -e /usr/bin/by-nobody
    test -z "$(onlay run -- touch /usr/bin/by-run 2>&1)"
    onlay diff --live | grep 'added .*/usr/bin/by-run'
    # For nobody else, not even after it.
    refuse touch /usr/bin/by-host
    refuse grep ' rw,.* onlay-live ' /proc/1/mountinfo
    grep ' /usr ro,.* onlay-live ' /proc/1/mountinfo
    # From where /usr is read-only anyway, and / is another.
    unshare --mount sh -c 'mount -o remount,bind,ro /usr; onlay run -- touch /usr/bin/by-other'
    test -e /usr/bin/by-other
}

# All but that is as on the host.
as_on_the_host() {
    test "$(cd /usr/share && onlay run -- pwd)" = /usr/share
    test "$(echo words | onlay run -- cat)" = words
    test "$(FOO=bar onlay run -- sh -c 'echo $FOO')" = bar
    for kind in pid net uts ipc cgroup user; do
        test "$(onlay run -- readlink /proc/self/ns/$kind)" = "$(readlink /proc/self/ns/$kind)"
    done
    refuse test "$(onlay run -- readlink /proc/self/ns/mnt)" = "$(readlink /proc/self/ns/mnt)"
    onlay run -- grep '^Seccomp:.*0$' /proc/self/status
    test "$(onlay run -- grep CapEff /proc/self/status)" = "$(grep CapEff /proc/self/status)"
}

its_end_is_the_commands() {
    exits 7 onlay run -- sh -c 'exit 7'
    exits 143 onlay run -- sh -c 'kill $$'
    exits 137 onlay shell --live -q -- sh -c 'kill -9 $$'
    exits 127 onlay run -- /nowhere
    exits 126 onlay run -- /etc/passwd
    onlay run -- sh -c 'trap "exit 9" USR1; touch /tmp/ready; while :; do sleep 0.05; done' &
    await test -e /tmp/ready
    kill -USR1 $!
    exits 9 wait $!
}

# What the host mounts arrives; and what runs there does not keep the host from being locked.
locked_meanwhile() {
    onlay run -- sh -c 'cd /usr/bin; touch /tmp/in; until [ -e /tmp/out ]; do sleep 0.05; done
        grep tmp /tmp/later/name && ! grep onlay-live /proc/self/mountinfo' &
    await test -e /tmp/in
    mkdir /tmp/later
    mount -t tmpfs later /tmp/later
    echo tmpfs >/tmp/later/name
    onlay lock --discard 2>&1 | tee /results/said
    grep 'cwd' /results/said
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    touch /tmp/out
    wait $!
    test ! -e /usr/bin/by-run
    test -x /usr/bin/strace
}

# Where the host is writable for all, it is no different there.
unlocked_for_all() {
    test -z "$(onlay unlock --quiet 2>&1)"
    onlay run -- touch /usr/bin/by-run
    touch /usr/bin/by-run
    exits 1 onlay shell --temp -- onlay run -- true
    # Where the layers are is nobody's to see inside, and no news.
    onlay shell --temp -- true 2>/results/said
    refuse grep 'not shown inside' /results/said
    # From inside an overlay, the host is neither locked nor told of.
    exits 1 onlay shell --temp -- onlay lock --discard 2>&1 | tee /results/said
    grep "this is overlay '.*', not the host" /results/said
    grep -q onlay-live /proc/self/mountinfo
    # What is kept would lie over a package database that goes.
    exits 1 onlay shell trial -- true 2>&1 | tee /results/said
    grep 'the host is unlocked, and an overlay that is kept would lie over what is gone' /results/said
    exits 1 onlay rebase trial
    test ! -e /var/lib/onlay/overlays/trial
    # An overlay over it, whose root is made of the unlocked host's layers; those are nobody's business.
    inside --temp -- 'test -e /usr/bin/by-run; echo x >/usr/bin/by-overlay' 2>&1 | tee /results/said
    refuse grep /run/onlay /results/said
    test ! -e /usr/bin/by-overlay
    # What lies on it by another's hand is not written through.
    mount -t tmpfs over /opt
    exits 1 onlay run -- true 2>&1 | tee /results/said
    grep "'/opt' is not as it was unlocked" /results/said
    umount /opt
    onlay run -- true
    # Errors are said all the same.
    onlay unlock -q 2>&1 | grep 'the host is unlocked since'
    test -z "$(onlay -q lock --discard 2>&1)"
}

mount -o remount,bind,ro /usr
step nothing nothing_is_unlocked
step read-only read_only_for_all
step written written_and_seen
step as-on-the-host as_on_the_host
step end its_end_is_the_commands
step locked-meanwhile locked_meanwhile
step unlocked-for-all unlocked_for_all
