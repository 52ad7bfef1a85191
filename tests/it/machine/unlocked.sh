#!/bin/bash
# The host unlocked and locked, under running services that systemd keeps from this and that.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# What each service is kept from; the last one gets no mounts from the host.
services=(
    plain: private-tmp:PrivateTmp=yes strict:ProtectSystem=strict full:ProtectSystem=full
    read-only:ReadOnlyPaths=/usr home:ProtectHome=yes devices:PrivateDevices=yes
    tmpfs:TemporaryFileSystem=/mnt users:PrivateUsers=yes dynamic:DynamicUser=yes private:MountFlags=private
)

start_services() {
    local service
    for service in "${services[@]}"; do
        printf '[Service]\nExecStart=/bin/sleep infinity\n%s\n' "${service#*:}" >"/run/systemd/system/sandbox-${service%%:*}.service"
    done
    systemctl daemon-reload
    for service in "${services[@]}"; do systemctl start "sandbox-${service%%:*}"; done
}

main_pid() {
    systemctl show --property=MainPID --value "sandbox-$1"
}

# In the mount namespace of a service: in SERVICE COMMAND…
in_service() {
    local pid
    pid=$(main_pid "$1")
    shift
    nsenter --target="$pid" --mount "$@"
}

# Whether a service has no mount namespace of its own.
is_in_host() {
    test "$(readlink "/proc/$(main_pid "$1")/ns/mnt")" = "$(readlink /proc/self/ns/mnt)"
}

locked_at_first() {
    refuse touch /usr/bin/x
    refuse onlay lock
    onlay unlock --dry-run | grep 'would unlock /etc /opt /usr /var/lib/apt /var/lib/dpkg until'
    refuse grep onlay-live /proc/self/mountinfo
}

unlock() {
    mode=$(stat -c '%a %U %G' /usr /etc)
    onlay unlock "$@" 2>&1 | tee /results/said
    grep 'unlocked /etc /opt /usr /var/lib/apt /var/lib/dpkg until the next boot' /results/said
    test "$mode" = "$(stat -c '%a %U %G' /usr /etc)"
    refuse onlay unlock
}

# All see it; only those write who are in the host's own mount namespace.
seen_by_all() {
    local service name
    touch /usr/bin/onlay-seen
    for service in "${services[@]}"; do
        name=${service%%:*}
        in_service "$name" test -e /usr/bin/onlay-seen
        if is_in_host "$name"; then
            in_service "$name" touch "/usr/bin/by-$name"
        else
            refuse in_service "$name" touch "/usr/bin/by-$name"
        fi
    done
    for name in plain users; do is_in_host "$name"; done
    for name in strict full read-only private; do refuse is_in_host "$name"; done
    # New services see it, too, and keep what they are promised.
    systemd-run --quiet --wait -p ProtectSystem=strict test -e /usr/bin/onlay-seen
    refuse systemd-run --quiet --wait -p ProtectSystem=strict touch /usr/bin/by-new
    systemd-run --quiet --wait touch /usr/bin/by-new
    # What was mounted there stays.
    mountpoint /opt
}

install_and_look() {
    dpkg-query --show >/results/packages
    apt-get -q update
    apt-get -q -y install onlay-probe
    onlay-probe
    onlay diff --live --packages | grep 'added *onlay-probe'
    onlay diff --live | grep 'added .*/usr/bin/onlay-probe'
    test -z "$(dpkg --audit)"
    cp /bin/sleep /usr/bin/sleep-live
    printf '[Service]\nExecStart=/usr/bin/sleep-live infinity\n' >/run/systemd/system/holder.service
    systemctl daemon-reload
    systemctl start holder
    onlay status | grep 'Unlocked: .* /usr'
    onlay status --json | grep '"unit": "holder.service"'
    # One count for all: what is listed, where locks of package managers are not, nor directories on the way.
    onlay diff --live >/results/live
    refuse grep -E '/(lock|lock-frontend|Lock)$' /results/live
    count=$(grep -vc -e '^package' -e '^$' /results/live)
    onlay status | grep " $count entries changed, "
    onlay status --json | grep "\"changed\": $count,"
    onlay lock --dry-run | grep "^would discard $count entries, 1 package (onlay-probe)$"
}

not_locked_by_accident() {
    refuse onlay lock
    onlay-probe
}

lock() {
    onlay lock --discard 2>&1 | tee /results/said
    grep 'holder.service .*exe' /results/said
}

locked_again() {
    refuse touch /usr/bin/x
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    test ! -e /usr/bin/onlay-probe
    test ! -e /usr/bin/onlay-seen
    for service in "${services[@]}"; do in_service "${service%%:*}" test ! -e /usr/bin/onlay-seen; done
    dpkg-query --show | diff /results/packages -
    test -z "$(dpkg --audit)"
    test -z "$(dpkg --verify)"
    systemctl stop holder
}

# Whoever uses files of it is restarted, and then uses those below.
lock_and_restart() {
    onlay unlock
    cp /usr/bin/sleep /usr/bin/sleep.new
    mv /usr/bin/sleep.new /usr/bin/sleep
    systemctl restart sandbox-strict
    before=$(main_pid strict)
    # A service and a socket of a package: what cannot be started again is stopped.
    cp /usr/bin/sleep /usr/bin/sleep-live
    printf '[Service]\nExecStart=/usr/bin/sleep-live infinity\n' >/etc/systemd/system/passing.service
    printf '[Socket]\nListenStream=/run/passing\n' >/etc/systemd/system/passing.socket
    systemctl daemon-reload
    systemctl start passing.socket passing.service
    onlay lock --dry-run --restart | grep '^would restart, or stop .*: passing.service .*sandbox-strict.service'
    onlay lock --discard --restart --json 2>/results/said >/results/json
    cat /results/said
    refuse grep sandbox-strict /results/said
    grep 'stopped passing.service passing.socket: ' /results/said
    grep '"passing.socket"' /results/json
    refuse grep sleep-live /results/json
    refuse systemctl is-active passing.service
    refuse systemctl is-active passing.socket
    test -z "$(systemctl list-units --all --no-legend --plain 'passing*')"
    test "$before" != "$(main_pid strict)"
    systemctl is-active sandbox-strict
}

# What was tried on the live host goes on in an overlay, and from there to the live host.
saved_and_back() {
    onlay unlock
    apt-get -q update
    apt-get -q -y install onlay-probe
    apt-get -q -y remove strace
    ln /usr/bin/onlay-probe /usr/bin/onlay-probe-again
    echo mine >>/etc/onlay-probe.conf
    chmod 600 /usr/bin/perl
    onlay diff --live >/results/live
    onlay lock --save kept
    locked_again_nothing
    refuse onlay lock --save kept
    onlay diff kept >/results/kept
    diff /results/live /results/kept
    inside kept -- 'onlay-probe; refuse dpkg --status strace; test "$(stat -c %h /usr/bin/onlay-probe)" = 2
        grep mine /etc/onlay-probe.conf; test -z "$(dpkg --audit)"; echo here >/var/beyond'
    onlay diff kept >/results/kept
    onlay unlock --from kept 2>&1 | tee /results/said
    # It lies over what is below, and is compared with that.
    onlay diff kept >/results/kept.unlocked 2>&1
    diff /results/kept /results/kept.unlocked
    onlay list | grep '^kept .*, unlocked$'
    grep 'elsewhere, which is left out' /results/said
    onlay-probe
    refuse dpkg --status strace
    test ! -e /var/beyond
    test "$(stat -c %a /usr/bin/perl)" = 600
    test -z "$(dpkg --audit)"
    refuse onlay lock --save kept
    onlay-probe
    onlay lock --discard
    locked_again_nothing
    onlay rm kept
}

locked_again_nothing() {
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    refuse touch /usr/bin/x
    test ! -e /usr/bin/onlay-probe
    test -x /usr/bin/strace
    test "$(stat -c %a /usr/bin/perl)" = 755
}

# From a unit that sees little, and from a namespace of its own, it is the host that is unlocked.
from_a_sandbox() {
    systemd-run --quiet --wait -p ProtectSystem=strict -p PrivateTmp=yes -p ProtectHome=yes onlay unlock
    touch /usr/bin/onlay-seen
    systemd-run --quiet --wait -p ProtectSystem=strict -p PrivateTmp=yes onlay lock --discard
    refuse touch /usr/bin/x
    onlay unlock
    touch /usr/bin/onlay-seen
    unshare --mount onlay lock --discard
    refuse touch /usr/bin/x
    # From where the host cannot be reached, nothing is said to be unlocked.
    systemd-run --quiet --wait -p PrivatePIDs=yes true
    local setting
    for setting in PrivatePIDs=yes PrivateUsers=yes RestrictNamespaces=yes SystemCallFilter=~@mount:EPERM CapabilityBoundingSet=~CAP_SYS_ADMIN; do
        refuse systemd-run --quiet --wait -p "$setting" -p PrivateMounts=yes onlay unlock
        test ! -e /run/onlay/live/record.json
    done
    refuse touch /usr/bin/x
    refuse grep onlay-live /proc/[0-9]*/mountinfo
}

other_places() {
    onlay unlock --size 8m /srv
    mkdir /srv/x
    refuse dd if=/dev/zero of=/srv/large bs=1M count=20
    refuse touch /usr/bin/x
    onlay lock --discard
    test ! -e /srv/x
    for bad in / /run /proc/sys /etc/passwd /nowhere /var/lib/onlay /var; do refuse onlay unlock "$bad"; done
    refuse grep onlay-live /proc/self/mountinfo
    onlay unlock --on-disk
    touch /usr/bin/onlay-seen
    test -n "$(ls /var/lib/onlay/live)"
    onlay lock --discard
    test -z "$(ls /var/lib/onlay/live)"
}

# Whatever instant it is killed at, 'onlay lock' takes off what is there, and all can be unlocked again.
killed() {
    local delay
    for delay in $(seq 1 30); do
        timeout --signal=KILL "0.00$(printf %02d "$delay")" onlay unlock || true
        onlay lock --discard || true
        refuse grep onlay-live /proc/[0-9]*/mountinfo
        refuse mountpoint /run/onlay/live/ram
        timeout 10 onlay unlock
        timeout --signal=KILL "0.00$(printf %02d "$delay")" onlay lock --discard || true
        onlay lock --discard || true
        refuse grep onlay-live /proc/[0-9]*/mountinfo
    done
}

await test -e /run/probe.pid
step start-services start_services
step locked-at-first locked_at_first
step unlock unlock
step seen-by-all seen_by_all
step install install_and_look
step not-by-accident not_locked_by_accident
step lock lock
step locked-again locked_again
step lock-and-restart lock_and_restart
step saved-and-back saved_and_back
step from-a-sandbox from_a_sandbox
step other-places other_places
step killed killed
finish
