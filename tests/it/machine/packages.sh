#!/bin/bash
# Installs a package whose scripts do whatever maintainer scripts do, in every way to enter an overlay, and looks
# whether the host was changed.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

install='apt-get -q update && apt-get -q -y install onlay-probe'

# The package is whole, works, and its scripts had their way inside.
works='onlay-probe; test -x /usr/bin/onlay-probe; test -z "$(dpkg --verify onlay-probe)"; test -z "$(dpkg --audit)"
    apt-get -q -s check; dpkg-query -W onlay-probe; getent passwd onlay-probe
    for d in etc var usr opt boot srv; do test -e /$d/onlay-probe-written -a -e /opt/onlay-probe/file; done
    test -L /etc/systemd/system/multi-user.target.wants/onlay-probe.service; test -e /etc/rc2.d/S01onlay-probe'
# Nothing that the scripts did hung, and all of it was reached.
answered='refuse grep -B 3 -E "^-> (124|137)" /var/log/onlay-probe.log; tail -n 1 /var/log/onlay-probe.log | grep end'

status() {
    onlay status --json >/results/status.json
    onlay status
    grep -q '"kind": "plain"' /results/status.json
    grep -q '"kind": "dpkg"' /results/status.json
    grep -q '"/usr": false' /results/status.json
    grep -q '"/var": true' /results/status.json
    refuse touch /usr/x
}

# mode NAME OPTIONS…: installs, looks at the host, comes back.
mode() {
    local name=$1
    shift
    remember
    step "$name-install" inside "$@" "$name" -- "$install; cat /var/log/onlay-probe.log"
    step "$name-host-untouched" untouched
    step "$name-host-lacks-the-package" host_lacks
    step "$name-works-again" inside "$@" "$name" -- "$works"
    step "$name-nothing-hung" inside "$@" "$name" -- "$answered"
    step "$name-host-still-untouched" untouched
}

host_lacks() {
    refuse dpkg-query --show onlay-probe
    refuse getent passwd onlay-probe
    test ! -e /usr/bin/onlay-probe -a ! -e /opt/onlay-probe -a ! -e /srv/onlay-probe
}

temporary() {
    inside --temp -- "$install; cat /var/log/onlay-probe.log; $works; $answered"
}

remove() {
    inside host -- 'apt-get -q -y purge onlay-probe; refuse dpkg-query -W onlay-probe; test -z "$(dpkg --audit)"
        test ! -e /usr/bin/onlay-probe -a ! -e /etc/onlay-probe.conf; apt-get -q -s check'
}

homes() {
    mountpoint /home
    inside homes -- 'echo shared >/root/shared; echo shared >/home/shared'
    grep shared /root/shared
    grep shared /home/shared
    inside --no-home private -- 'cat /root/shared; echo private >/root/shared; rm /home/shared; touch /root/mine'
    grep shared /root/shared
    grep shared /home/shared
    test ! -e /root/mine
    inside --no-home private -- 'grep private /root/shared; test -e /root/mine; test ! -e /home/shared'
}

separate_mounts() {
    mountpoint /srv
    mountpoint /opt
    echo host >/srv/file
    touch /results/stamp
    inside mounts -- 'mountpoint /srv; mountpoint /opt; echo inside >/srv/file; mkdir -p /opt/new; echo x >/opt/new/x'
    grep host /srv/file
    test ! -e /opt/new
    inside mounts -- 'grep inside /srv/file; cat /opt/new/x'
}

# Debian's own services with their own scripts: one anew, one upgraded, then one purged that runs on the host.
real_services() {
    inside "$@" -- 'apt-get -q update; apt-get -q -y install anacron cron; dpkg-query -W cron | grep onlay1
        dpkg --verify cron anacron; apt-get -q -y purge cron; test ! -e /usr/sbin/cron; apt-get -q -s check'
    systemctl is-active cron
    dpkg --verify cron
}

# Were the witness blind, all of the above would show nothing.
witness_sees_signals() {
    remember
    inside --unguarded open -- "kill -HUP $(cat /run/probe.pid)"
    sleep 0.2
    refuse untouched
    grep 'signals:.*HUP' /results/after
}
witness_sees_reloads() {
    remember
    inside --unguarded open -- 'systemctl daemon-reload'
    refuse untouched
}
witness_sees_files() {
    remember
    touch /etc/onlay-probe-written
    refuse untouched
    rm /etc/onlay-probe-written
}

await test -e /run/probe.pid
await test -e /run/crond.pid
systemctl is-system-running --wait >/dev/null
cat /run/probe.pid >/etc/onlay-test-machine
step status status
# Makes /var/lib/onlay.
onlay shell --quiet first -- true
mode host
mode isolated --isolate
mode offline --isolate --no-net
mode no-home --no-home
remember
step temporary temporary
step temporary-host-untouched untouched
step remove remove
step remove-host-untouched untouched
remember
step real-services real_services services
step real-services-isolated real_services --isolate services-isolated
step real-services-host-untouched untouched
step homes homes
step separate-mounts separate_mounts
step witness-sees-signals witness_sees_signals
step witness-sees-reloads witness_sees_reloads
step witness-sees-files witness_sees_files
finish
