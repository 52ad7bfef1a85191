#!/bin/bash
# A deployment that runs, as far as ostree, systemd-sysext and Onlay can tell: its directory is the root of a mount and a PID namespace, whose
# process 1 runs the checks; the disk that it is on is /sysroot. Nothing boots, so it takes no time.
#
#   running.sh DIR ONLAY STEPS   runs DIR/share/checks.sh on DIR/disk.ext4, in namespaces that were made for it alone
#
# DIR/share is /results inside, DIR/packages is /var/packages.
set -eu

dir=$1
mount -o loop,noatime "$dir/disk.ext4" "$dir/sysroot"
root=$(echo "$dir"/sysroot/ostree/deploy/debian/deploy/*.0)
mount --bind "$root" "$root"
mount --bind "$dir/sysroot" "$root/sysroot"
mount --bind "$dir/sysroot/boot" "$root/boot"
mount --bind "$dir/sysroot/ostree/deploy/debian/var" "$root/var"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs run "$root/run"
mount -t tmpfs tmp "$root/tmp"
mount -t devtmpfs devtmpfs "$root/dev"
touch "$root/run/ostree-booted"
mkdir -p "$root/var/packages" "$root/var/lib/onlay" "$root/run/results" "$root/run/old" "$root/run/bin"
chmod 700 "$root/var/lib/onlay"
mount --bind "$dir/packages" "$root/var/packages"
mount --bind "$dir/share" "$root/run/results"
install "$2" "$3" "$root/run/bin/"
# ostree has a service started that finishes at shutdown what is staged: nothing shuts down here.
ln -s /usr/bin/true "$root/run/bin/systemctl"
# As ostree-prepare-root has it.
mount --bind "$root/usr" "$root/usr"
mount -o remount,bind,ro "$root/usr"
cd "$root"
pivot_root . run/old
umount --lazy /run/old
mount --make-rshared /
chroot . systemd-tmpfiles --create --prefix=/var --boot >/dev/null 2>&1 || true
export PATH=/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec /bin/bash /run/results/checks.sh
