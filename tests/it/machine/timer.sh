#!/bin/bash
# Extensions that are updated by themselves: by the timer of ours, which fires soon because an administrator wants it so, on a
# machine that runs and at the boot of one. Its store is another service's.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

images=/var/local/images
store=/var/local/store
units=/etc/systemd/system

of_service() {
    systemctl show --property="$1" --value onlay-update.service
}

# has_run_since TIME: whether the service has run since it had ended then.
has_run_since() {
    test "$(of_service ExecMainExitTimestampMonotonic)" != "$1" || return
    case $(of_service ActiveState) in
    inactive | failed) ;;
    *) return 1 ;;
    esac
}

# What the service has said since this was asked the last time is in /results/said, and its exit code in $code.
heard() {
    code=$(of_service ExecMainStatus)
    journalctl --sync
    journalctl --boot --unit=onlay-update --quiet --output=cat --cursor-file=/run/heard | tee /results/said
}

# The timer begins anew, and the service runs once.
elapsed() {
    local before
    before=$(of_service ExecMainExitTimestampMonotonic)
    systemctl restart onlay-update.timer
    await has_run_since "$before"
    heard
}

published() {
    onlay store key make 'Tools <tools@example.org>' --output /root/tools.key
    onlay store init $store --key /root/tools.key
    onlay store add $store --key /root/tools.key $images/one_1_any.raw
    mkdir -p /etc/onlay/keys
    onlay store key show --certificate $store >/etc/onlay/keys/tools.asc
    cat >/etc/onlay/onlay.toml <<'TOML'
timeout = 2
retries = 1
retry-wait-ms = 100
[store.tools]
url = "http://127.0.0.1:8000"
keys = ["tools.asc"]
TOML
    cat >$units/store.service <<'UNIT'
[Unit]
Before=network-online.target
[Service]
ExecStart=/usr/bin/onlay store serve /var/local/store
[Install]
WantedBy=multi-user.target
UNIT
    systemctl enable --now store
    await onlay ext stores
    onlay ext add one
    test "$(one)" = 'one 1'
}

# As the manual says it, it is every day; what somebody adds to that is beside it.
switched_on() {
    onlay ext timer on
    systemd-analyze verify --man=no $units/onlay-update.service $units/onlay-update.timer 2>&1 | tee /results/said
    refuse grep onlay-update /results/said
    systemctl is-active onlay-update.timer
    systemctl list-timers --no-legend onlay-update.timer | grep 'onlay-update.service'
    # It does not fire because it was switched on.
    test "$(of_service ExecMainStartTimestampMonotonic)" = 0
    mkdir $units/onlay-update.timer.d
    # It is started once in each step here, on a fast machine more often in ten seconds than systemd lets a unit be.
    cat >$units/onlay-update.timer.d/soon.conf <<'TIMER'
[Unit]
StartLimitIntervalSec=0
[Timer]
OnActiveSec=2s
AccuracySec=100ms
RandomizedDelaySec=0
TIMER
    systemctl daemon-reload
    systemctl show --property=TimersCalendar onlay-update.timer | grep 'OnCalendar=\*-\*-\* 00:00:00'
    onlay ext timer on 2>&1 | grep 'are updated every day already'
    test "$(onlay ext timer)" = on
}

updated() {
    onlay store add $store --key /root/tools.key $images/one_2_any.raw
    elapsed
    test "$code" = 0
    says "onlay: 'one' is 2 now, and was 1"
    test "$(of_service Result)" = success
    test "$(one)" = 'one 2'
    refuse touch /usr/bin/x
    # No bars, and nothing that a terminal would be told.
    refuse grep -P '\e|\r' /results/said
}

nothing_to_do() {
    elapsed
    test "$code" = 0
    says 'onlay: all extensions are the newest that fit'
    test "$(of_service Result)" = success
    test "$(one)" = 'one 2'
}

pinned() {
    onlay ext rollback one
    elapsed
    test "$code" = 0
    says "onlay: 'one' stays 1: it is pinned; store 'tools' has 2"
    test "$(one)" = 'one 1'
}

# What an administrator looks for is there: a unit that has failed, and why; what is merged stays so.
not_reached() {
    systemctl stop store
    elapsed
    test "$code" = 1
    systemctl is-failed onlay-update
    systemctl list-units --failed --no-legend --plain | grep onlay-update.service
    says "onlay: store 'tools'"
    says 'http://127.0.0.1:8000/index.json'
    test "$(one)" = 'one 1'
    systemctl start store
    await onlay ext stores
}

# What is changed in /etc then would go with that: nothing is downloaded.
while_unlocked() {
    onlay ext unpin one
    rm /var/lib/onlay/images/one_2_any.raw
    onlay unlock
    elapsed
    test "$code" = 1
    says "'/etc' is unlocked, and what is changed there would go with that"
    test ! -e /var/lib/onlay/images/one_2_any.raw
    onlay lock --discard
    test "$(one)" = 'one 1'
    systemctl reset-failed onlay-update
}

# It was on when the machine was switched off: it fires at the boot, when what was enabled has been merged.
at_boot() {
    await has_run_since 0
    heard
    test "$code" = 0
    says "onlay: 'one' is 2 now, and was 1"
    test "$(one)" = 'one 2'
    test "$(systemctl show --property=ExecMainExitTimestampMonotonic --value onlay-extensions)" -lt \
        "$(of_service ExecMainStartTimestampMonotonic)"
    refuse sh -c 'journalctl --boot | grep -i "ordering cycle"'
    # Of the file systems below /dev, ours hides what systemd would mount.
    test -z "$(systemctl list-units --failed --no-legend --plain | grep -v ^dev-)"
}

# systemd knows it neither as one that runs nor as one that has failed.
not_known() {
    refuse systemctl is-active onlay-update.timer
    test -z "$(systemctl list-units --all --plain --no-legend 'onlay-update*' | grep -v ' not-found inactive ')"
    test -z "$(systemctl list-timers --all --no-legend onlay-update.timer)"
}

# What an administrator has put beside it is his.
switched_off() {
    local before
    before=$(of_service ExecMainExitTimestampMonotonic)
    systemctl restart onlay-update.timer
    onlay ext timer off
    test "$(onlay ext timer)" = off
    not_known
    test -z "$(find $units -name 'onlay-update.*' ! -name '*.d')"
    test -e $units/onlay-update.timer.d/soon.conf
    sleep 3
    journalctl --sync
    test -z "$(journalctl --boot --unit=onlay-update --quiet --output=cat --cursor-file=/run/heard)"
    # Once more without that, and after a failure, which is nobody's then.
    rm -r $units/onlay-update.timer.d
    onlay ext timer on
    systemctl is-active onlay-update.timer
    systemctl stop store
    refuse systemctl start onlay-update
    systemctl is-failed onlay-update
    onlay ext timer off
    not_known
    onlay ext timer off 2>&1 | grep 'are not updated by themselves$'
}

gone() {
    onlay ext remove one
    refuse one
    # Loop devices are those of all tests; this one is of this one alone.
    await sh -c '! losetup --list | grep one_2'
}

await test -e /run/probe.pid
if [ ! -e $store ]; then
    step devices devices
    step published published
    step switched-on switched_on
    step updated updated
    step nothing-to-do nothing_to_do
    step pinned pinned
    step not-reached not_reached
    step while-unlocked while_unlocked
else
    step at-boot at_boot
    step nothing-to-do nothing_to_do
    step switched-off switched_off
    step gone gone
fi
finish
