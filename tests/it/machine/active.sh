#!/bin/bash
# Extensions of ours on a machine that boots: what services make of them, and what of them is there after a boot.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

images=/var/local/images

# What an extension brings is made at once; its service is started, and another one that it changes is restarted.
served() {
    local before
    before=$(systemctl show --property=MainPID --value probe)
    tell onlay ext add $images/served_1_any.raw $images/one_1_any.raw
    test "$code" = 0
    says 'made the users of served.conf'
    says 'made the files of served.conf'
    says 'restarted served.service'
    says 'reloaded probe.service'
    systemctl is-active served probe
    test "$(systemctl show --property=MainPID --value probe)" != "$before"
    test "$(stat -c %U /var/lib/served)" = served
    test "$(ps -o user= -p "$(systemctl show --property=MainPID --value served)")" = served
    before=$(systemctl show --property=MainPID --value served)
    # Once: another extension is none of its business.
    onlay ext add $images/two_1_any.raw
    test "$(systemctl show --property=MainPID --value served)" = "$before"
    refuse touch /usr/bin/x
}

# Services that systemd sandboxes, running ones too, see what is merged.
sandboxed() {
    systemd-run --quiet --unit=sandboxed -p ProtectSystem=strict -p PrivateTmp=yes \
        sh -c 'while :; do one; sleep 0.05; done'
    onlay ext add $images/one_2_any.raw
    await sh -c 'journalctl --sync; journalctl --unit=sandboxed --output=cat | tail -n 1 | grep "one 2"'
    systemctl stop sandboxed
}

its_service_is_stopped() {
    tell onlay ext disable served
    says 'stopped served.service'
    refuse systemctl is-active served
    onlay ext enable served
    systemctl is-active served
}

# While /etc is unlocked, what is enabled would go with that.
while_unlocked() {
    onlay unlock
    tell onlay ext add $images/three_1_any.raw
    test "$code" = 1
    says "'/etc' is unlocked, and what is changed there would go with that"
    tell onlay ext refresh
    says "'/usr' is unlocked over the extensions that are merged"
    onlay lock --discard
    onlay ext refresh 2>&1 | grep 'all is merged'
    # The other way round, they lie on what is unlocked.
    systemd-sysext unmerge
    onlay unlock
    echo changed >/usr/bin/changed
    onlay ext refresh
    one
    cat /usr/bin/changed
    onlay lock --discard
    one
    test ! -e /usr/bin/changed
}

of_the_unit() {
    systemd-analyze verify --man=no /etc/systemd/system/onlay-extensions.service
    systemd-analyze verify --man=no default.target 2>&1 | tee /results/said
    refuse grep cycle /results/said
    # As where it was enabled while another snapshot ran: its user is made at boot.
    sed -i '/^served:/d' /etc/passwd /etc/shadow /etc/group /etc/gshadow
    # One that does not fit yet, and one that is damaged while the machine is off.
    tell onlay ext add --unfit $images/needy_1_any.raw $images/three_1_any.raw
    test "$code" = 1
}

# At boot, what fits is merged before services start; what does not is held back alone.
after_boot() {
    journalctl --boot --unit=onlay-extensions --output=cat | tee /results/said
    says "'needy' is held back: usr/bin/needs needs libneedful.so.1"
    says "'three' is held back: "
    says 'linked for systemd: one, served, two'
    test "$(one; two)" = "$(printf 'one 2\ntwo 1')"
    refuse three
}

services_run() {
    systemctl is-active onlay-extensions
    await systemctl is-active served
    getent passwd served
    # Of the file systems below /dev, ours hides what systemd would mount.
    test -z "$(systemctl list-units --failed --no-legend --plain | grep -v ^dev-)"
}

# As a second unit does where systemd does not by itself.
units_are_read() {
    printf '[Unit]\nDescription=Another\n' >>/etc/systemd/system/probe.service
    systemctl show --property=NeedDaemonReload probe.service | grep yes
    tell onlay ext refresh --merged-at-boot
    test "$code" = 0
    says 'systemd has read its units again'
    systemctl show --property=NeedDaemonReload probe.service | grep no
    sed -i '$d' /etc/systemd/system/probe.service
    sed -i '$d' /etc/systemd/system/probe.service
    systemctl daemon-reload
}

it_is_told() {
    onlay status | grep -E 'needy 1, held back: usr/bin/needs needs libneedful'
    onlay ext list | grep -E '^one +2 .* active +yes'
    onlay ext list | grep -E '^three +1 .* held back +no'
}

nothing_is_left_to_do() {
    tell onlay ext refresh
    says 'all is merged that is to be'
    refuse grep 'files of extensions were missing' /results/said
}

# The base got what one of them needs: it is judged anew, and fits.
fits_now() {
    journalctl --boot --unit=onlay-extensions --output=cat | grep 'linked for systemd: needy, one, served, two'
    needs /usr/bin/needs
}

without_one() {
    onlay ext remove three
    test ! -e /var/lib/onlay/images/three_1_any.raw
}

# Told to the kernel, nothing is merged; and what nobody judged at this boot is not merged by others either.
without_any() {
    refuse one
    refuse systemctl is-active onlay-extensions
    onlay ext list | grep -E '^one +2 .* next boot'
    test -z "$(find /run/extensions -mindepth 1)"
}

had_by_hand() {
    onlay ext refresh
    one
}

gone() {
    onlay ext remove one two served needy
    refuse one
    test ! -e /etc/systemd/system/onlay-extensions.service
    refuse grep ' - overlay sysext' /proc/self/mountinfo
    # Loop devices are those of all tests; this one is of this one alone.
    await sh -c '! losetup --list | grep served_1'
}

await test -e /run/probe.pid
boot=$(($(cat /var/boots 2>/dev/null || echo 0) + 1))
echo "$boot" >/var/boots
case $boot in
1)
    step devices devices
    step served served
    step sandboxed sandboxed
    step its-service-is-stopped its_service_is_stopped
    step while-unlocked while_unlocked
    step of-the-unit of_the_unit
    ;;
2)
    step after-boot after_boot
    step services-run services_run
    step units-are-read units_are_read
    step it-is-told it_is_told
    step nothing-is-left-to-do nothing_is_left_to_do
    ;;
3)
    step fits-now fits_now
    step nothing-is-left-to-do nothing_is_left_to_do
    step without-one without_one
    ;;
4)
    step without-any without_any
    step had-by-hand had_by_hand
    step gone gone
    ;;
esac
finish
