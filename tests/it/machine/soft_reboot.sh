#!/bin/bash
# A soft-reboot, in which the kernel and its mounts go on: what is unlocked in passing ends with it, wholly, and what is
# persistent is laid anew.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

nothing_laid() {
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    refuse mountpoint /run/onlay/live/ram
    refuse touch /usr/bin/x
    test ! -e /usr/bin/onlay-tool
    refuse dpkg-query --show onlay-tool
    test -z "$(dpkg --audit)"
}

unlock() {
    onlay unlock "$@"
    dpkg --install /var/local/repository/onlay-tool_*.deb
    await systemctl is-active onlay-unlocked
}

# What packages leave in /var is told when they have gone with the reboot.
unlock_and_leave() {
    unlock "$@"
    mkdir /var/log/onlay-tool
    touch /var/log/onlay-tool/log
}

left_is_told() {
    onlay status | grep 'Left in /var: */var/log/onlay-tool, 2 .*, of onlay-tool, which went as the host went down'
    onlay status --json | grep '"path": "/var/log/onlay-tool"'
    rm -r /var/log/onlay-tool
    refuse grep 'Left in' <(onlay status)
}

# What stops all that a target does not want is no shutdown.
another_target() {
    systemctl isolate multi-user.target
    onlay-strace --version | head -n 1
    systemctl is-active onlay-unlocked
}

# What is mounted is what a soft-reboot leaves where nobody takes it off.
what_systemd_does() {
    mkdir -p /run/by-hand/{up,work} /run/by-hand-opt/{up,work}
    mount -t overlay by-hand /usr -o lowerdir=/usr,upperdir=/run/by-hand/up,workdir=/run/by-hand/work
    mount -t overlay by-hand /var/lib/dpkg -o lowerdir=/var/lib/dpkg,upperdir=/run/by-hand-opt/up,workdir=/run/by-hand-opt/work
}

systemd_leaves_usr() {
    mountpoint /usr
    grep ' /usr .* by-hand ' /proc/self/mountinfo
    refuse grep ' /var/lib/dpkg .* by-hand ' /proc/self/mountinfo
    umount --lazy /usr
}

persistent_again() {
    onlay status | grep 'until it is locked, over reboots'
    test "$(grep -c onlay-live /proc/self/mountinfo)" = 5
    onlay-strace --version | head -n 1
    dpkg-query --show onlay-tool
    test -z "$(dpkg --audit)"
    await systemctl is-active onlay-unlock onlay-unlocked
    onlay lock --discard
}

# Ends this start of the machine; the next one begins with this script again.
soft_reboot() {
    local units=/run/systemd/system mount
    mkdir -p $units/onlay-checks.service.d
    printf '[Unit]\nSuccessAction=none\nFailureAction=none\n' >$units/onlay-checks.service.d/again.conf
    # They come from outside: nobody here would mount them again.
    for mount in results var; do
        mkdir -p $units/$mount.mount.d
        printf '[Unit]\nDefaultDependencies=no\n' >$units/$mount.mount.d/stay.conf
    done
    systemctl daemon-reload
    systemctl --no-block soft-reboot
    sleep infinity
}

await test -e /run/probe.pid
start=$(($(cat /run/starts 2>/dev/null || echo 0) + 1))
echo "$start" >/run/starts
case $start in
1)
    step unlock-in-passing unlock_and_leave
    step another-target another_target
    soft_reboot
    ;;
2)
    step nothing-in-passing nothing_laid
    step left-is-told left_is_told
    step unlock-on-disk unlock --on-disk
    soft_reboot
    ;;
3)
    step nothing-on-disk nothing_laid
    step no-layers test -z "$(ls /var/lib/onlay/live)" # nor a word of what is there no more
    step by-hand what_systemd_does
    soft_reboot
    ;;
4)
    step systemd-leaves-usr systemd_leaves_usr
    step unlock-persistently unlock --persistent
    soft_reboot
    ;;
5)
    step persistent-again persistent_again
    step nothing-in-the-end nothing_laid
    rm /run/systemd/system/onlay-checks.service.d/again.conf
    systemctl daemon-reload
    ;;
esac
finish
