#!/bin/bash
# An overlay that is booted as a container with its own systemd, by the systemd-nspawn of this machine.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# boot NAME OPTIONS…: in the background, until it has come up. Steps are no parents of each other, so what one leaves
# behind for the next goes through files.
boot() {
    local name=$1
    shift
    rm -f /root/booted-code
    (
        code=0
        bash -c 'echo $$ >/root/booted; exec onlay shell --boot "$@"' - "$@" "$name" || code=$?
        echo $code >/root/booted-code
    ) >"/results/console-$name.log" 2>&1 &
    await running "$name" || (cat "/results/console-$name.log" && false)
}

running() {
    # Coming first, it would not join but enter.
    onlay list --json | grep -q '"state": "booted"' || return 1
    case $(timeout 20 onlay shell --quiet "$1" -- systemctl is-system-running --wait) in
    running | degraded) ;;
    *) return 1 ;;
    esac
}

# Waits for onlay itself, whose code says whether the end was clean.
ended() {
    await test -s /root/booted-code
    test "$(cat /root/booted-code)" = 0 || (cat /results/console-*.log /root/booted-code && false)
    onlay list --json | grep '"state": "idle"'
}

boots() {
    boot web
    onlay list --json | grep '"state": "booted"'
    onlay shell --quiet web -- systemctl --failed --no-legend
    test "$(onlay shell --quiet web -- cat /proc/1/comm)" = systemd
}

# Its services are its own: real starts and restarts, and the host's never notice.
services() {
    onlay shell web -- bash -exc 'apt-get -q update; apt-get -q -y install onlay-probe anacron
        systemctl is-active cron; systemctl restart cron; systemctl is-active onlay-probe
        systemctl show -p MainPID onlay-probe; dpkg --verify onlay-probe; touch /usr/in-boot'
}

# Who joins is one of the container's: in its control groups, with what systemd-nspawn left to it, and reached by
# nobody's descriptors.
joined() {
    onlay shell --quiet web -- cat /proc/1/cgroup /proc/self/cgroup | tee /results/groups
    test "$(grep -cx 0::/init.scope /results/groups)" = 2
    onlay shell --quiet web -- bash -exc 'mount -t tmpfs none /mnt; umount /mnt; strace -o /dev/null -p 1 & sleep 0.2; kill %1
        grep CapBnd /proc/self/status; refuse ls /proc/self/fd/7' 7</etc
    # It is in no place that could be written through what the container sees of it.
    cp /usr/bin/onlay /root/onlay
    onlay shell --quiet web -- bash -c 'printf "#!/proc/self/exe\n" >/usr/bin/trap; chmod +x /usr/bin/trap; rm -f /run/watched
        for _ in $(seq 400); do for exe in /proc/[0-9]*/exe; do
            if cmp -s $exe /usr/bin/onlay; then (: >$exe) 2>>/run/watched; fi
        done; sleep 0.01; done' &
    await onlay shell --quiet web -- test -x /usr/bin/trap
    strace -f -qq -o /dev/null -e trace=execve -e inject=execve:delay_exit=500000 /root/onlay shell --quiet web -- trap || true
    onlay shell --quiet web -- bash -exc 'cat /run/watched; grep "Read-only file system" /run/watched; refuse grep "Text file busy" /run/watched'
    wait
}

registered() {
    machinectl list --no-legend | grep '^web '
    machinectl status --no-pager web | head -n 20
}

mode_is_kept() {
    refuse onlay shell --isolate web -- true
    refuse onlay shell --boot web
    refuse onlay rm web
}

powered_off() {
    onlay shell web -- poweroff
    ended
}

keeps_changes() {
    inside web -- 'test -e /usr/in-boot; onlay-probe; dpkg-query -W anacron; test -z "$(dpkg --audit)"'
    test ! -e /usr/in-boot
}

# What programs make of the base's files is made anew before services start over another base.
follows_the_base() {
    # systemd would make it, too, in its own time.
    onlay shell --quiet web -- sh -c 'echo stale >/etc/ld.so.cache; ln -s /dev/null /etc/systemd/system/ldconfig.service'
    # It knows another base than this machine's.
    sed -i 's/^packages = .*/packages = "dpkg:0-0.0"/' /var/lib/onlay/overlays/web/overlay.toml
    rm -r /var/lib/onlay/overlays/web/layers/@seen
    boot web
    # shellcheck disable=SC2016
    onlay shell --quiet web -- bash -exc 'ldconfig -p | grep libc.so.6
        started=$(systemctl show --timestamp=unix --property=UserspaceTimestamp --value)
        test "$(stat -c %Y /etc/ld.so.cache)" -le "${started#@}"'
    onlay shell web -- poweroff
    ended
    test ! -e /var/lib/onlay/overlays/web/layers/@seen/pending
}

terminated() {
    boot web
    onlay shell web -- touch /usr/second-boot
    kill -TERM "$(cat /root/booted)"
    ended
    inside web -- 'test -e /usr/second-boot'
}

without_network() {
    boot offline --no-net
    onlay shell offline -- bash -exc 'ip -o link | grep -v LOOPBACK && exit 1; true'
    onlay shell offline -- poweroff
    ended
}

# As where /run is no tmpfs: systemd-nspawn would not remove its directory, and complain.
run_on_a_disk() {
    mkdir -p /results/nspawn
    mount --bind /results/nspawn /run/systemd/nspawn
    boot disk
    onlay shell disk -- poweroff
    ended
    umount /run/systemd/nspawn
    rm -r /results/nspawn
    refuse grep 'Attempted to remove' /results/console-disk.log
}

nobody_left() {
    refuse pgrep -x systemd-nspawn
    refuse machinectl show web
    test "$(systemctl is-system-running)" = running
}

await test -e /run/probe.pid
systemctl is-system-running --wait >/dev/null
onlay shell --quiet first -- true
remember
step boots boots
step services services
step joined joined
step registered registered
step mode-is-kept mode_is_kept
step powered-off powered_off
step keeps-changes keeps_changes
step follows-the-base follows_the_base
step terminated terminated
step without-network without_network
step run-on-a-disk run_on_a_disk
step nobody-left nobody_left
step host-untouched untouched
finish
