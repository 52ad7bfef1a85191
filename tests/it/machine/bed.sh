#!/bin/bash
# A machine whose /usr cannot be written. In a mount namespace of its own, with which the mounts go:
#
#   bed.sh make DIR TREE ONLAY REPOSITORY   makes it: Debian from TREE, the program ONLAY, packages in /var/local
#   bed.sh boot DIR [WORD…]                 runs DIR/share/checks.sh in it, until it powers itself off; WORDs are what
#                                           the kernel is told
#   bed.sh put DIR IMAGES                   puts IMAGES into /var/local/images
#   bed.sh change DIR SCRIPT                changes it while it is off
#   bed.sh seal DIR                         from now on / cannot be written either: /etc is an overlay whose upper is in
#                                           /var, mounted by paths of whoever boots it, and so are /root and /boot
#
# /, /usr and /var are ext4 images of their own: overlayfs takes no upper from another overlay, and the file system
# of DIR may be anything. DIR/share is /results inside.
set -eu

verb=$1
dir=$2
machine=$dir/machine
here=$(dirname "$0")

# mount_images OPTION: what cannot be written in the machine is mounted with it.
mount_images() {
    local root=rw
    if [ -e "$dir/sealed" ]; then root=$1; fi
    mkdir -p "$machine"
    mount -o "loop,noatime,$root" "$dir/root.ext4" "$machine"
    if [ "$root" = rw ]; then mkdir -p "$machine/usr" "$machine/var"; fi
    mount -o "loop,noatime,$1" "$dir/usr.ext4" "$machine/usr"
    mount -o loop,noatime "$dir/var.ext4" "$machine/var"
    if [ -e "$dir/sealed" ]; then
        mount -t overlay etc "$machine/etc" \
            -o "lowerdir=$machine/etc,upperdir=$machine/var/lib/overlay/etc,workdir=$machine/var/lib/overlay/etc-work"
    fi
}

# As images of systems are made: what is to be written on the machine is not in them.
seal() {
    mkdir -p "$machine"/var/lib/overlay/etc "$machine"/var/lib/overlay/etc-work "$machine/results"
    cp --archive "$machine/root" "$machine/var/roothome"
    cp --archive "$machine/boot" "$machine/var/boot"
    printf '%s none bind\n' '/var/roothome /root' '/var/boot /boot' >>"$machine/etc/fstab"
}

put() {
    mkdir -p "$machine$(dirname "$1")"
    cat >"$machine$1"
}

set_up() {
    put /etc/systemd/system/onlay-checks.service <<'EOF'
[Unit]
# Not in an overlay of this machine that is booted.
ConditionKernelCommandLine=onlay.test.checks
After=cron.service dbus.socket probe.service
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=exec
ExecStart=/bin/bash /results/checks.sh
RuntimeMaxSec=330
[Install]
WantedBy=multi-user.target
EOF
    put /etc/systemd/system/probe.service <<'EOF'
[Service]
ExecStart=/usr/local/bin/probe-daemon
Restart=always
[Install]
WantedBy=multi-user.target
EOF
    put /etc/init.d/probe <<'EOF'
#!/bin/sh
### BEGIN INIT INFO
# Provides: probe
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
# As scripts were before systemd: `stop` signals whatever the pid file names.
case $1 in
stop | restart) kill "$(cat /run/probe.pid)" ;;
reload) kill -HUP "$(cat /run/probe.pid)" ;;
esac
EOF
    chmod +x "$machine/etc/init.d/probe"
    put /etc/systemd/system.conf.d/test.conf <<'EOF'
[Manager]
DefaultTimeoutStopSec=5s
EOF
    # The packages' timers would change files in the middle of a check, for reasons of their own.
    local units=$machine/etc/systemd/system timer
    for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim man-db systemd-tmpfiles-clean; do
        ln -s /dev/null "$units/$timer.timer"
    done
    # A login prompt comes up at any moment, and leaves files in /run.
    ln -s /dev/null "$units/console-getty.service"
    mkdir -p "$units/multi-user.target.wants"
    ln -s ../onlay-checks.service ../probe.service "$units/multi-user.target.wants/"
    install "$here/probe-daemon" "$machine/usr/local/bin/"
    cp "$here/steps.sh" "$here/actions.sh" "$here/matching.sh" "$machine/usr/local/bin/"
    # As systemd-resolved and resolvconf have it: a link into /run, to what names a resolver on this machine.
    rm -f "$machine/etc/resolv.conf"
    ln -s ../run/systemd/resolve/stub-resolv.conf "$machine/etc/resolv.conf"
    put /etc/tmpfiles.d/resolver.conf <<'EOF'
d /run/systemd/resolve 0755 root root
f /run/systemd/resolve/stub-resolv.conf 0644 root root - nameserver 127.0.0.53
EOF
    printf '127.0.0.1 localhost\n10.9.9.9 listed.example\n' | put /etc/hosts
    echo onlay-test | put /etc/hostname
    rm -f "$machine"/etc/apt/sources.list.d/*
    echo 'Acquire::Languages "none";' | put /etc/apt/apt.conf.d/99test
    echo 'deb [trusted=yes] file:/var/local/repository ./' | put /etc/apt/sources.list
    # As many hosts have them: file systems of their own.
    for place in home opt srv; do
        echo "onlay-$place /$place tmpfs mode=755 0 0"
    done | put /etc/fstab
}

# An extension of systemd's that is an image: make_extension DIR IMAGE
make_extension() {
    mkdir -p "$1/usr/bin" "$1/usr/lib/extension-release.d"
    echo ID=_any >"$1/usr/lib/extension-release.d/extension-release.image"
    printf '#!/bin/sh\necho image runs\n' >"$1/usr/bin/image"
    chmod +x "$1/usr/bin/image"
    truncate --size=1M "$2"
    mkfs.ext4 -q -F -O '^has_journal' -d "$1" "$2"
}

case $verb in
make)
    for image in root=512M usr=2G var=4G; do
        truncate --size="${image#*=}" "$dir/${image%=*}.ext4"
        mkfs.ext4 -q -F -m 0 -O '^has_journal' -E lazy_itable_init=1,nodiscard "$dir/${image%=*}.ext4"
    done
    mount_images rw
    cp --archive "$3/." "$machine/"
    install "$4" "$machine/usr/bin/onlay"
    cp --recursive "$5" "$machine/var/local/repository"
    make_extension "$dir/extension" "$machine/var/local/image.raw"
    set_up
    umount --recursive "$machine"
    ;;
put)
    mount_images rw
    cp --recursive "$3" "$machine/var/local/images"
    umount --recursive "$machine"
    ;;
seal)
    mount_images rw
    seal
    umount --recursive "$machine"
    touch "$dir/sealed"
    ;;
change)
    mount_images rw
    chroot "$machine" /bin/sh -euxc "$3"
    umount --recursive "$machine"
    ;;
boot)
    mount_images ro
    # nspawn leaves a directory there, by the machine's name: two of these at a time must not meet.
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs nspawn /run/systemd/nspawn
    # nspawn of systemd 252 puts containers on cgroup v1 where the outer machine has both.
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    # Settings of the network can be written, for the container has a network of its own: what keeps others from
    # changing the kernel's settings must have something to keep.
    export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
    # seccomp(2), by which the program asks to be told of signals: before systemd 256 only programs in groups that
    # containers lack were allowed to add filters.
    exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$machine" --machine=onlay-test \
        --private-network --link-journal=no --timezone=off --resolv-conf=off --bind="$dir/share:/results" \
        --system-call-filter=seccomp systemd.show_status=no onlay.test.checks "${@:3}" </dev/null
    ;;
esac
