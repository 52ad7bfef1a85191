#!/bin/bash
# An unlock over reboots: one in passing that the power took, and a persistent one that comes back at boot, through power
# cuts, without it for once, and over other bases.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

unit=/etc/systemd/system/onlay-unlock.service
live=/var/lib/onlay/live

nothing_laid() {
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    refuse touch /usr/bin/x
}

as_the_base() {
    nothing_laid
    test ! -e /usr/bin/onlay-probe
    refuse dpkg-query --show onlay-probe
    test -z "$(dpkg --audit)"
}

verified() {
    test -z "$(dpkg --verify)"
    apt-get -q -s check
}

# refused_with WORDS COMMAND…: says so, and does nothing.
refused_with() {
    local words=$1
    shift
    refuse "$@" 2>&1 | tee /results/said
    grep "$words" /results/said
}

refused() {
    cp /usr/bin/onlay /run/onlay-copy
    refused_with 'this program is not there at the next boot' /run/onlay-copy unlock --persistent
    cp /usr/bin/onlay /root/onlay
    chmod 777 /root/onlay
    refused_with "cannot be persistent: '/root/onlay': others than root may write it" /root/onlay unlock --persistent
    mount --bind /etc /etc
    mount -o remount,bind,ro /etc
    refused_with "cannot be persistent: '/etc/systemd/system': .* read-only" onlay unlock --persistent
    umount /etc
    mount -t tmpfs none /etc/systemd/system
    refused_with "systemd's directory is not there .* in RAM" onlay unlock --persistent
    umount /etc/systemd/system
    refused_with 'state directory is not there' onlay --state /run/state unlock --persistent
    refused_with 'cannot be used with' onlay unlock --persistent --size 100m
    refused_with 'cannot be used with' onlay unlock --resume --on-disk
    onlay unlock --resume 2>&1 | grep 'nothing to lay again'
    nothing_laid
    test ! -e "$unit"
    test ! -e "$live"
}

in_passing() {
    onlay unlock --on-disk
    apt-get -q update
    apt-get -q -y install onlay-probe
    onlay-probe
    sync
}

power_took_it() {
    as_the_base
    onlay status | grep "Remains: *$live/"
    onlay status --json | grep '"remains"'
    refuse onlay lock --dry-run
    onlay lock 2>&1 | grep 'cleared what'
    test -z "$(ls "$live")"
    refuse onlay lock
}

# Whatever instant it is killed at, 'onlay lock' leaves nothing that comes back.
killed() {
    local delay
    for delay in 01 02 04 08 16 32 64; do
        timeout --signal=KILL "0.0$delay" onlay unlock --persistent || true
        onlay lock --discard || true
        nothing_kept
        timeout 20 onlay unlock --persistent
        timeout --signal=KILL "0.0$delay" onlay lock --discard || true
        onlay lock --discard || true
        nothing_kept
    done
}

# What could not be done at boot, and was dealt with by hand, is no failure of systemd's any more.
nothing_failed() {
    test -z "$(systemctl list-units --failed --no-legend --plain '*unlock*')"
}

nothing_kept() {
    nothing_failed
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    test -z "$(ls "$live")"
    test ! -e "$unit"
    test ! -e /etc/systemd/system/sysinit.target.wants/onlay-unlock.service
}

persistent() {
    onlay unlock --persistent --dry-run | grep 'until it is locked, over reboots'
    onlay unlock --persistent 2>&1 | tee /results/said
    grep 'unlocked /etc /opt /usr .* until it is locked, over reboots; changes are in /var/lib/onlay/live/' /results/said
    # Neither is anything wrong in it, nor does it wait for what waits for it.
    systemd-analyze verify --man=no "$unit"
    systemd-analyze verify --man=no default.target 2>&1 | tee /results/said
    refuse grep cycle /results/said
    test "$(stat -c %a "$unit")" = 644
    apt-get -q update
    # A package with a service of its own, and the next version of one that the base starts.
    apt-get -q -y install onlay-probe cron
    echo mine >>/etc/onlay-probe.conf
    useradd --system onlay-mine
    printf '[Unit]\nDefaultDependencies=no\nAfter=sysinit.target\n[Service]\nExecStart=/usr/bin/sleep-live infinity\n' \
        >/etc/systemd/system/live.service
    cp /bin/sleep /usr/bin/sleep-live
    systemctl enable onlay-probe
    systemctl add-wants multi-user.target live
    rm /usr/bin/strace
    is_persistent
}

# Where there is no room for what it needs on disk, nothing of it is there afterwards.
full_disk() {
    local step
    dd if=/dev/zero of=/var/rest bs=4k count=100
    # As much as there is, and then what its own notes have left.
    fallocate --length "$(df --output=avail --block-size=1 /var | tail -n 1)" /var/full || true
    dd if=/dev/zero of=/var/more bs=4k || true
    # Two blocks more at each step: it gets further each time.
    for step in $(seq 50); do
        onlay unlock --persistent 2>/results/said && break
        cat /results/said
        grep -i 'no space left' /results/said
        nothing_kept
        nothing_laid
        truncate --size=-8192 /var/rest
    done
    test "$step" -gt 1
    rm /var/full /var/rest /var/more
    onlay lock --discard
    nothing_kept
}

is_persistent() {
    onlay status | grep 'until it is locked, over reboots; since'
    onlay status --json | grep '"persistent": true'
    refuse sh -c 'onlay status | grep -E "Held back|Remains"'
    test "$(ls "$live" | wc -l)" = 2
}

# Services that the base starts have the layers' files, and those start that only the layers have.
comes_back() {
    is_persistent
    onlay-probe
    grep mine /etc/onlay-probe.conf
    test ! -e /usr/bin/strace
    dpkg-query -W cron | grep onlay1
    systemctl is-active onlay-unlock
    await systemctl is-active live onlay-probe
    local service
    for service in live cron; do uses_layers "$service"; done
    touch /usr/bin/written
    rm /usr/bin/written
    refuse systemd-run --quiet --wait -p ProtectSystem=strict touch /usr/bin/by-new
    test -e /run/onlay-probe
    # All is in order for systemd, too.
    test -z "$(systemctl list-units --failed --no-legend --plain '*unlock*')"
    refuse onlay unlock
    onlay unlock --resume 2>&1 | grep 'nothing to lay again'
}

# What the base had is known, should another one be booted.
noted() {
    grep -a -c /usr/bin/strace "$live"/*/layers/@seen/files
    ls "$live"/*/layers/@seen/packages
}

whole() {
    test -z "$(dpkg --audit)"
    # What it has in /srv lies in RAM on this machine.
    test "$(dpkg --verify onlay-probe cron | grep -v ' /srv/')" = '??5?????? c /etc/onlay-probe.conf'
    apt-get -q -s check
}

uses_layers() {
    local pid
    pid=$(systemctl show --property=MainPID --value "$1")
    test "$(stat -f -c %i "/proc/$pid/exe")" = "$(stat -f -c %i /usr)"
}

# The kernel was told to leave it.
without_it() {
    as_the_base
    onlay status | tee /results/said
    grep 'Held back: */etc /opt /usr' /results/said
    grep 'command line says onlay.unlock=no' /results/said
    onlay status --json | grep '"held_back"'
    refuse onlay unlock
    refuse onlay lock
    refuse systemctl is-active onlay-unlock
    onlay unlock --resume --dry-run | grep 'the base is the same'
}

# What another program has laid over the base meanwhile is neither hidden nor taken for the base.
covered() {
    local by=/run/ostree-unlock-ovl.x
    mkdir -p $by/{up,work}
    mount -t overlay overlay /usr -o lowerdir=/usr,upperdir=$by/up,workdir=$by/work
    refused_with "'/usr' is covered by 'ostree admin unlock'" onlay unlock --resume
    onlay status | grep 'is covered by'
    umount --lazy /usr
    nothing_laid
}

# The base is the same, but somebody edited what the layers cover while they were not there.
follows_edits() {
    useradd --system onlay-theirs
    refuse getent passwd onlay-mine
    onlay unlock --resume --dry-run | tee /results/said
    grep 'the base was edited since it was unlocked: /etc/' /results/said
    refuse grep 'the base is the same' /results/said
    onlay unlock --resume 2>&1 | grep 'the base was edited'
    getent passwd onlay-mine
    getent passwd onlay-theirs
    onlay unlock --suspend
    onlay unlock --resume --dry-run | grep 'the base is the same'
}

# Whatever instant it is killed at while it follows another base and lays that, the next one does it.
follows_when_killed() {
    local delay
    echo '# another base' >>/etc/hosts
    touch /var/lib/dpkg/status
    onlay unlock --resume --dry-run | grep 'the base has changed since it was unlocked'
    for delay in 02 05 10 15 20 25 30 35 40 45 50 60 70; do
        timeout --signal=KILL "0.$delay" onlay unlock --resume || true
    done
    onlay unlock --resume
    grep 'another base' /etc/hosts
    test "$(grep -c onlay-live /proc/self/mountinfo)" = 5
    test "$(ls "$live"/[0-9]*)" = layers
}

works() {
    is_persistent
    onlay-probe
    grep mine /etc/onlay-probe.conf
}

# The base got a package, and another version of a file that the layers only copied.
follows() {
    journalctl --boot --unit=onlay-unlock | tee /results/said
    grep 'the base has changed' /results/said
    comes_back
    dpkg --status onlay-base
    grep base /usr/share/onlay-base/file
}

more() {
    apt-get -q update
    apt-get -q -y install onlay-needy
}

# What the layers' package needs has gone from the base.
held_back() {
    as_the_base
    systemctl list-units --failed --no-legend --plain | grep onlay-unlock
    journalctl --boot --unit=onlay-unlock | grep 'following it breaks something: .*onlay-needy.* needs onlay-base'
    onlay status | tee /results/said
    grep 'Held back: */etc /opt /usr' /results/said
    grep 'onlay-needy.* needs onlay-base' /results/said
    onlay unlock 2>&1 | grep 'held back'
    refuse onlay lock
    onlay lock --dry-run >/results/said
    grep 'would discard what is held back: .* packages (.*onlay-needy' /results/said
    grep 'is counted the wrong way round' /results/said
    onlay diff --live 2>&1 >/dev/null | grep 'is counted the wrong way round'
    onlay unlock --resume --dry-run | grep 'onlay-needy:amd64 1.0 stays'
    onlay diff --live | grep 'added .*/usr/bin/onlay-probe'
    onlay diff --live --packages | grep 'added *onlay-needy'
    nothing_laid
}

# Nothing is lost: it goes on as an overlay, which follows as overlays do.
saved() {
    onlay lock --save kept
    nothing_kept
    refuse onlay lock
    refuse sh -c 'onlay status | grep "Held back"'
    inside kept -- 'onlay-probe; grep mine /etc/onlay-probe.conf; dpkg --status onlay-needy; dpkg-query -W cron | grep onlay1'
    onlay rm kept
}

# Layers that somebody still uses are not laid a second time; a damaged record is held back.
damaged() {
    onlay unlock --persistent
    cp /bin/sleep /usr/bin/sleep-live
    systemd-run --quiet --unit=survivor sleep-live infinity
    refuse systemctl stop onlay-unlock
    onlay unlock --suspend
    nothing_laid
    onlay status | grep 'was taken off'
    refuse onlay unlock --resume 2>&1 | grep 'process .*sleep-live infinity. still uses'
    nothing_laid
    refuse systemctl start onlay-unlock
    systemctl is-failed onlay-unlock
    systemctl stop survivor
    onlay unlock --resume
    nothing_failed
    test -e /usr/bin/sleep-live
    onlay unlock --suspend
    echo '{' >"$live/kept.json"
    onlay unlock --resume 2>&1 | grep 'kept.json.* is damaged'
    onlay status | grep 'kept.json.* is damaged'
    refuse systemctl start onlay-unlock
    refuse onlay unlock
    refuse onlay lock
    test "$(ls "$live" | wc -l)" = 2
    # The layers tell themselves what they are.
    onlay lock --save rescued
    nothing_kept
    inside rescued -- 'test -e /usr/bin/sleep-live; test -z "$(dpkg --audit)"' 2>&1 | tee /results/said
    refuse grep 'base has changed' /results/said
    onlay rm rescued
    onlay unlock --persistent
    onlay unlock --suspend
    echo '{' >"$live/kept.json"
    onlay lock --discard
    nothing_kept
    # What a crash could leave of it is a unit that does nothing, and layers that nobody knows of.
    onlay unlock --persistent
    onlay unlock --suspend
    rm "$live/kept.json"
    systemctl start onlay-unlock
    nothing_laid
    onlay status | grep "Remains: *$live"
    onlay lock 2>&1 | grep -c 'cleared what'
    nothing_kept
    refuse onlay lock
}

await test -e /run/probe.pid
boot=$(($(cat /var/boots 2>/dev/null || echo 0) + 1))
echo "$boot" >/var/boots
case $boot in
1)
    step locked-at-first nothing_laid
    step refused refused
    step in-passing in_passing
    finish
    # No goodbye to anybody.
    systemctl poweroff --force --force
    sleep infinity
    ;;
2)
    step power-took-it power_took_it
    step verified verified
    step killed killed
    step full-disk full_disk
    step not-twice-and-not-damaged damaged
    step persistent persistent
    finish
    ;;
3)
    step comes-back comes_back
    step noted noted
    step packages-are-whole whole
    finish
    systemctl poweroff --force --force
    sleep infinity
    ;;
4)
    step without-it without_it
    step covered covered
    step follows-edits follows_edits
    step follows-when-killed follows_when_killed
    step works works
    step packages-are-whole whole
    finish
    systemctl poweroff --force --force
    sleep infinity
    ;;
5)
    step follows follows
    step packages-are-whole whole
    step more more
    ;;
6)
    step held-back held_back
    step saved saved
    step as-the-base as_the_base
    step verified verified
    ;;
esac
finish
