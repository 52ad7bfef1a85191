#!/bin/bash
# The boot after RPMs were layered, and the host was brought up to date: all is there. It goes back and on again, and in the middle of another change the power is cut.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/vm/snapper_steps.sh
. /usr/local/bin/snapper_steps.sh
# shellcheck source=tests/it/vm/snapper_rpm_steps.sh
. /usr/local/bin/snapper_rpm_steps.sh

# One of the layers keeps a package of the base from being the newest.
there() {
    runs 4
    test ! -d /run/initramfs
    versions lab-daemon lab-new lab-pair lab-tool layer-abi | diff - <(printf '%s\n' 'lab-daemon 3.0' 'lab-new 3.0' 'lab-pair 3.0' 'lab-tool 3.0' 'layer-abi 1.0')
    versions layer-kernel | diff - <(echo 'layer-kernel 1.0')
    for name in lab-old strace; do refuse rpm --query "$name"; done
    lab-strace -V | grep version
    sound 'missing     /usr/local/share/layer-places'
    onlay layer status | tee /results/said
    grep -A 1 '^4 .* runs' /results/said | grep 'layered: lab-daemon lab-new lab-tool layer-needs layer-places'
}

# A service with a user of its own; files in /opt and in /boot.
works() {
    systemctl start lab-daemon.service
    sleep 2
    test "$(stat --format %U "/proc/$(systemctl show --property MainPID --value lab-daemon.service)")" = lab-daemon
    grep opt /opt/layer-places/file
    grep boot /boot/layer-places
}

# What cannot be there is told, and nothing is changed.
refused() {
    tell onlay layer add lab-broken
    test "$code" = 1
    says nobody-has-this
    test "$(next)" = 4
    tidy
}

# What snapper itself goes to is understood, too.
back_and_on() {
    onlay layer rollback 2>&1 | tee /results/said
    says '3 is booted next'
    test "$(next)" = 3
    snapper --ambit transactional rollback 4
    onlay layer status | tee /results/said
    grep '^4 .* runs' /results/said
    test "$(next)" = 4
}

# A script of a package waits for the end.
interrupted() {
    local number=0
    onlay layer add layer-endless >/results/adding 2>&1 &
    until pgrep --full '^sleep 1000' || [ $((number++)) = 90 ]; do sleep 1; done
    pgrep --full '^sleep 1000'
    snapper --csvout list --columns number,userdata | grep '^5,.*in-progress=yes'
}

step there there
step works works
step refused refused
step back-and-on back_and_on
step interrupted interrupted
# What was said to be booted next is, whatever happens.
power_cut
