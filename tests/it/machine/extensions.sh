#!/bin/bash
# The host unlocked and locked while systemd has extensions merged, and the other way round.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/machine/matching.sh
. /usr/local/bin/matching.sh

# extension NAME: a program in /usr, one in /opt, and a setting in /etc, of extensions of one name.
extension() {
    local usr=/var/lib/extensions/$1 etc=/var/lib/confexts/$1
    mkdir -p "$usr/usr/bin" "$usr/usr/lib/extension-release.d" "$usr/opt/$1" "$etc/etc/extension-release.d"
    echo ID=_any >"$usr/usr/lib/extension-release.d/extension-release.$1"
    echo ID=_any >"$etc/etc/extension-release.d/extension-release.$1"
    printf '#!/bin/sh\necho %s runs\n' "$1" >"$usr/usr/bin/$1"
    chmod +x "$usr/usr/bin/$1"
    echo "$1" | tee "$usr/opt/$1/file" >"$etc/etc/$1"
}

locked_and_unmerged() {
    refuse grep -E 'onlay-live|sysext|confext' /proc/[0-9]*/mountinfo
    refuse touch /usr/bin/x
    refuse one
    test ! -e /usr/bin/changed
}

# Over it: PLACE WORDS
over() {
    onlay status | grep "^Over $1: *$2\$"
}

merged_then_unlocked() {
    systemd-sysext merge
    refuse touch /usr/bin/x
    over /usr 'systemd-sysext (one)'
    over /opt 'systemd-sysext (one)'
    onlay status --json | tr -d ' \n' | grep '"place":"/usr","layers":\[{"by":"sysext","extensions":\["one"\]}\]'
    onlay unlock 2>&1 | tee /results/said
    grep 'extensions stay merged in /opt /usr; systemd-sysext can' /results/said
    one
    grep one /opt/one/file
    echo changed >/usr/bin/changed
    over /usr 'systemd-sysext (one), and on it onlay unlock'
    onlay diff --live >/results/diff
    grep 'added .*/usr/bin/changed' /results/diff
    refuse grep one /results/diff
    dpkg --install /var/local/repository/onlay-probe_*.deb
    onlay-probe
}

# A program that was started from below is told from one that was started from ours, also by what it has mapped.
holders_are_told() {
    cp /usr/bin/sleep /usr/bin/sleep-live
    sleep 1000 &
    local theirs=$!
    onlay status --json | grep "\"pid\": $theirs"
    onlay lock --dry-run | grep "^$theirs .*exe.*maps"
    refuse sh -c 'onlay lock --dry-run | grep "^1 "'
    kill "$theirs"
}

# systemd does not find its mount, and cannot lay a third overlay: it says so, and nothing is lost.
systemd_cannot_change_it() {
    extension two
    refuse systemd-sysext refresh
    systemd-sysext unmerge
    one
    refuse two
    grep changed /usr/bin/changed
    echo again >/usr/bin/changed
    over /usr 'systemd-sysext (one), and on it onlay unlock'
}

locked_then_refreshed() {
    onlay lock --discard
    one
    refuse two
    test ! -e /usr/bin/changed
    test ! -e /usr/bin/onlay-probe
    refuse touch /usr/bin/x
    over /usr 'systemd-sysext (one)'
    systemd-sysext refresh
    one
    two
    systemd-sysext unmerge
    refuse two
    rm -r /var/lib/extensions/two /var/lib/confexts/two
    locked_and_unmerged
}

# What is merged over ours hides it from writers, and is taken off and put back by its own tools.
unlocked_then_merged() {
    onlay unlock
    echo changed >/usr/bin/changed
    sleep 1000 &
    local sleeper=$!
    await test /proc/$sleeper/exe -ef /usr/bin/sleep
    systemd-sysext merge
    onlay lock --dry-run | grep "^$sleeper .*exe.*maps"
    one
    grep changed /usr/bin/changed
    refuse touch /usr/bin/x
    over /usr 'onlay unlock, and on it systemd-sysext (one)'
    onlay diff --live | grep 'added .*/usr/bin/changed'
    kill "$sleeper"
    extension two
    systemd-sysext refresh
    two
    rm -r /var/lib/extensions/two /var/lib/confexts/two
    systemd-sysext unmerge
    refuse one
    echo more >>/usr/bin/changed
    systemd-sysext merge
    onlay diff --live >/results/diff
    grep 'added .*/usr/bin/changed' /results/diff
    refuse grep one /results/diff
}

lock_keeps_them_merged() {
    onlay lock --save kept
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    one
    test ! -e /usr/bin/changed
    over /usr 'systemd-sysext (one)'
    systemd-sysext refresh
    systemd-sysext unmerge
    inside kept -- 'grep more /usr/bin/changed; refuse one'
    onlay rm kept
    locked_and_unmerged
}

# What was written into extensions would go with them.
written_extensions_are_left() {
    onlay unlock
    systemd-sysext merge --mutable=ephemeral
    echo theirs >/usr/bin/theirs
    onlay lock --discard 2>&1 | tee /results/said
    grep 'is covered by .systemd-sysext (one)' /results/said
    grep theirs /usr/bin/theirs
    systemd-sysext unmerge
    onlay lock --discard
    locked_and_unmerged
}

# Whatever instant it is killed at, the next one finishes it.
killed() {
    local delay
    onlay unlock
    systemd-sysext merge
    for delay in $(seq 4 4 80); do
        timeout --signal=KILL "0.0$(printf %02d "$delay")" onlay lock --discard || true
        onlay lock --discard || true
        refuse grep onlay-live /proc/[0-9]*/mountinfo
        one
        systemd-sysext unmerge
        onlay unlock
        systemd-sysext merge
    done
    onlay lock --discard
    systemd-sysext unmerge
    locked_and_unmerged
}

settings() {
    systemd-confext merge
    grep one /etc/one
        over /etc 'systemd-confext (one)'
    onlay unlock
    echo changed >/etc/one
    onlay lock --discard
    grep one /etc/one
    systemd-confext refresh
    systemd-confext unmerge
    onlay unlock
    systemd-confext merge
    refuse touch /etc/x
    onlay lock --discard
    grep one /etc/one
    systemd-confext unmerge
    test ! -e /etc/one
    locked_and_unmerged
}

# Images, not directories: below ours and on it.
images() {
    # Loop devices come and go where the kernel makes them. It is the last step: terminals are hidden by that.
    mount -t devtmpfs devtmpfs /dev
    mkdir -p /var/lib/extensions
    cp /var/local/image.raw /var/lib/extensions/
    systemd-sysext merge
    over /usr 'systemd-sysext (.*image.*)'
    onlay unlock
    image
    echo changed >/usr/bin/changed
    onlay diff --live >/results/diff
    grep 'added .*/usr/bin/changed' /results/diff
    refuse grep image /results/diff
    onlay lock --discard
    image
    test ! -e /usr/bin/changed
    systemd-sysext unmerge
    onlay unlock
    echo changed >/usr/bin/changed
    systemd-sysext merge
    image
    over /usr 'onlay unlock, and on it systemd-sysext (.*image.*)'
    onlay lock --discard
    image
    systemd-sysext unmerge
    refuse image
    locked_and_unmerged
    refuse sh -c 'losetup --list | grep image.raw'
}

# What is merged is not taken for the base: another version of it collides with nothing.
judged_over_the_base_alone() {
    mkdir /srv/next
    cp -a /var/lib/extensions/one /srv/next/
    echo 'echo more' >>/srv/next/one/usr/bin/one
    systemd-sysext merge
    one
    tell onlay ext check /srv/next/one
    test "$code" = 0
    refuse says 'is in the base'
    one
    systemd-sysext unmerge
    cp /usr/bin/sleep /srv/next/one/usr/bin/cat
    tell onlay ext check /srv/next/one
    says '(remark) usr/bin/cat is in the base, too, with another content'
    rm -r /srv/next
}

await test -e /run/probe.pid
extension one
step locked-at-first locked_and_unmerged
step merged-then-unlocked merged_then_unlocked
step holders holders_are_told
step systemd-cannot systemd_cannot_change_it
step locked-then-refreshed locked_then_refreshed
step unlocked-then-merged unlocked_then_merged
step lock-keeps-them-merged lock_keeps_them_merged
step written-extensions written_extensions_are_left
step killed killed
step settings settings
step judged judged_over_the_base_alone
rm -r /var/lib/extensions/one /var/lib/confexts/one
step verdicts verdicts_are_systemds
step kept-from-merging all_are_kept_from_merging
step images images
finish
