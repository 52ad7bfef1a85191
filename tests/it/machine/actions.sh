#!/bin/sh
# Maintainer script of onlay-probe, the same for every occasion: does what scripts of real packages do, goes on
# whatever comes of it, and writes down what came of it.
#
# What could harm is done only on a machine that was made to be harmed: there, /etc/onlay-test-machine holds the
# process id of a daemon of the host.

log=/var/log/onlay-probe.log
echo "#### ${DPKG_MAINTSCRIPT_NAME:-by hand} $*" >>"$log"

try() {
    printf '== %s\n' "$1" >>"$log"
    timeout --kill-after=1 10 sh -c "$1" >>"$log" 2>&1 </dev/null
    printf -- '-> %s\n' $? >>"$log"
}

case ${DPKG_MAINTSCRIPT_NAME:-postinst} in
preinst | postrm) exit 0 ;;
prerm) try 'invoke-rc.d onlay-probe stop'; exit 0 ;;
esac

try 'ldconfig'
try 'systemd-sysusers'
try 'systemd-tmpfiles --create'
try 'systemctl daemon-reload'
try 'deb-systemd-helper enable onlay-probe.service'
try 'systemctl enable onlay-probe.service'
try 'update-rc.d onlay-probe defaults'
try 'deb-systemd-invoke start onlay-probe.service'
try 'invoke-rc.d onlay-probe start'
for place in run etc var usr opt boot srv; do
    try "echo written >/$place/onlay-probe-written"
done

[ -e /etc/onlay-test-machine ] || exit 0
daemon=$(cat /etc/onlay-test-machine)

# Services, its own and the host's, in every way.
for unit in onlay-probe.service cron.service probe.service; do
    for verb in start restart try-restart reload-or-restart kill stop; do
        try "systemctl $verb $unit"
    done
    try "deb-systemd-invoke restart $unit"
done
try 'systemctl disable --now cron.service'
try 'systemctl mask probe.service'
try 'systemctl daemon-reexec'
try 'systemd-run --wait true'
for verb in restart reload stop; do
    try "invoke-rc.d cron $verb"
    try "service cron $verb"
    try "service probe $verb"
    try "/etc/init.d/cron $verb"
    try "/etc/init.d/onlay-probe $verb"
done
try 'start-stop-daemon --stop --pidfile /run/probe.pid --retry TERM/1/KILL/1'
try 'start-stop-daemon --stop --signal HUP --name cron'

# Signals.
try 'kill -HUP "$(cat /run/probe.pid)"'
for signal in HUP USR1 TERM KILL STOP; do
    try "kill -$signal $daemon"
done
try "/usr/bin/kill -HUP -- -$daemon"
try 'kill -TERM "$(cat /run/crond.pid)"'
try 'pkill -HUP -f probe-daemon'
try 'pkill -TERM -x cron'
try 'pkill -HUP -s 0 -x cron'
try 'killall -HUP cron'
try 'killall -KILL cron'
try 'fuser -k -HUP /run/probe.pid'
try 'skill -HUP cron'
try 'perl -e "kill q(HUP), @ARGV" '"$daemon"
# 424 is pidfd_send_signal, 434 is pidfd_open on every architecture.
try "perl -e 'my \$f = syscall(434, $daemon + 0, 0); exit 1 if \$f < 0; exit(syscall(424, \$f, 1, 0, 0) == 0 ? 0 : 1)'"

# The init.
try 'kill -HUP 1'
try 'kill -s RTMIN+5 1'
try 'telinit u'
try 'telinit q'
try 'init q'
try 'init 6'
try 'dbus-send --system --print-reply --dest=org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager.Reload'
try 'busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager RestartUnit ss cron.service replace'
try 'busctl --address=unix:path=/run/systemd/private call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager Reload'
try 'NOTIFY_SOCKET=/run/systemd/notify systemd-notify STOPPING=1'
for command in reboot 'reboot -f' 'systemctl reboot --force --force' 'shutdown -r now' 'shutdown -h now' \
    'poweroff -f' 'halt -f' 'systemctl --no-block poweroff' 'systemctl isolate rescue.target'; do
    try "$command"
done

# The kernel, devices and mounts.
try 'sysctl --system'
try 'sysctl -w net.ipv4.ip_forward=1'
try 'echo 1 >/proc/sys/net/ipv4/ip_forward'
try 'udevadm control --reload'
try 'udevadm trigger'
try 'udevadm settle --timeout=1'
try 'modprobe dummy'
try 'swapoff -a'
try 'hostname onlay-probe'
try 'hostnamectl set-hostname onlay-probe'
try 'timedatectl set-timezone Asia/Tokyo'
try 'date -s 2001-01-01'
try 'touch /dev/onlay-probe'
try 'chmod 600 /dev/full'
try 'rm -f /dev/zero; mknod -m 666 /dev/zero c 1 5'
try 'mknod /dev/onlay-block b 7 0'
try 'mount -t tmpfs onlay-probe /mnt'
try 'umount /mnt'
try 'mount -o remount,rw /usr'
try 'mount --bind /srv /mnt && umount /mnt'
try 'journalctl --rotate --vacuum-size=1K'
try 'logger onlay-probe'
try 'loginctl terminate-user root'
echo '#### end' >>"$log"
