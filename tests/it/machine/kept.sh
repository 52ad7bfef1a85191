#!/bin/bash
# An overlay over four boots: made, found again, found on a base with one package more, found on another image.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# Enters and keeps what onlay itself says.
enter() {
    onlay shell kept -- bash -exc "$1" 2>&1 | tee /results/said
    test "${PIPESTATUS[0]}" = 0
}

make() {
    enter 'apt-get -q update; apt-get -q -y install onlay-probe; apt-get -q -y remove strace; echo mine >/etc/mine
        sed -i s/setting=1/setting=2/ /etc/onlay-probe.conf; rm /etc/hosts; chmod 600 /usr/bin/perl'
    enter "$as_left"
    refuse grep 'base has changed' /results/said
}
as_left='onlay-probe; test ! -e /usr/bin/strace; refuse dpkg --status strace; grep mine /etc/mine; test ! -e /etc/hosts
    grep setting=2 /etc/onlay-probe.conf; test "$(stat -c %a /usr/bin/perl)" = 600; test -z "$(dpkg --audit)"
    dpkg --verify >/tmp/verify || true; cat /tmp/verify; test "$(grep -cv "^??5?????? c" /tmp/verify)" = 0
    apt-get -q -s check'

found_again() {
    enter "$as_left; grep half /usr/half; test -s /var/growing; rm /usr/half /var/growing"
    refuse grep 'base has changed' /results/said
    host_as_it_was
}

host_as_it_was() {
    test -e /etc/hosts
    test ! -e /etc/mine
    test ! -e /usr/bin/onlay-probe
    test "$(stat -c %a /usr/bin/perl)" = 755
}

one_package_more() {
    dpkg --status onlay-base
    enter "$as_left; grep base /usr/share/onlay-base/file"
    grep 'base has changed .*its packages did' /results/said
    enter true
    refuse grep 'base has changed' /results/said
}

another_image() {
    enter 'onlay-probe; grep new /usr/bin/onlay-new; test ! -e /usr/bin/strace; grep mine /etc/mine'
    grep 'base has changed .*now it is .*image debian 7' /results/said
    onlay status --json | grep '"kind": "image"'
    enter true
    refuse grep 'base has changed' /results/said
    onlay rm kept
    inside kept -- 'test ! -e /etc/mine'
}

await test -e /run/probe.pid
boot=$(($(cat /var/boots 2>/dev/null || echo 0) + 1))
echo "$boot" >/var/boots
case $boot in
1)
    step make make
    step in-use in_use
    step still-there onlay list
    finish
    # No goodbye to anybody.
    systemctl poweroff --force --force
    sleep infinity
    ;;
2)
    step idle idle
    step found-again found_again
    step idle-again idle
    ;;
3)
    step idle idle
    step one-package-more one_package_more
    step host-as-it-was host_as_it_was
    ;;
4)
    step idle idle
    step another-image another_image
    step host-as-it-was host_as_it_was
    ;;
esac
finish
