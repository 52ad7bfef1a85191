# What every script about a disk with snapshots begins with, in its directory, which has `disk.btrfs`. The file systems are off again when it
# ends, whoever of those that it started is still there.
# shellcheck shell=bash
set -eu
mount -o loop,noatime disk.btrfs root
device=$(findmnt --noheadings --output SOURCE root | sed 's/\[.*//')
for place in .snapshots home opt root srv usr/local var; do
    mount -o "noatime,subvol=/@/$place" "$device" "root/$place"
done
top=$PWD
off() {
    cd /
    for _ in {1..100}; do
        if umount --recursive "$top/root" 2>/dev/null; then
            # Else a kernel may take an older copy of this disk for a fault. A newer one does not remember any.
            btrfs device scan --forget "$device" 2>/dev/null || true
            return
        fi
        sleep 0.1
    done
    fuser --verbose --mount "$top/root"
    return 1
}
trap off EXIT
layer() { "$ONLAY" --root "$PWD/root" --state "$PWD/root/var/lib/onlay" layer "$@"; }
snapper() { command snapper --no-dbus --root "$PWD/root" "$@"; }
number() { snapper --csvout list --columns default,number | sed -n 's/^yes,//p'; }
next() { echo "root/.snapshots/${default:-$(number)}/snapshot"; }
dpkg_in() {
    local root
    root=$(next)
    chroot "$root" dpkg --admindir=/usr/lib/sysimage/dpkg "$@"
}
# package NAME SCRIPT [FIELD…]: NAME.deb, whose maintainer script that is.
package() {
    local name=$1 script=$2
    shift 2
    mkdir -p "$name/DEBIAN"
    printf '%s\n' "Package: $name" 'Version: 1' 'Architecture: all' 'Maintainer: x <x@y>' 'Description: x' "$@" >"$name/DEBIAN/control"
    printf '#!/bin/sh\n%s\n' "$script" >"$name/DEBIAN/postinst"
    chmod 755 "$name/DEBIAN/postinst"
    dpkg-deb --root-owner-group --build "$name" >/dev/null
}
# in_default COMMAND…: where all is to be otherwise from the beginning.
in_default() {
    local root
    root=$(next)
    btrfs property set -ts "$root" ro false
    (cd "$root" && "$@")
    btrfs property set -ts "$root" ro true
}
# in_next COMMAND…: in the next snapshot, with an empty /var.
in_next() {
    local root view=$PWD/view code=0
    root=$(next)
    mkdir -p "$view"
    mount --bind "$root" "$view"
    mount -t tmpfs -o mode=755 var "$view/var"
    mount -t tmpfs -o mode=755 run "$view/run"
    mount -t tmpfs -o mode=1777 tmp "$view/tmp"
    mount -t proc proc "$view/proc"
    mount --rbind /dev "$view/dev"
    mkdir -p "$view"/var/{cache,lib,log,tmp}
    ln -s ../../usr/lib/sysimage/rpm "$view/var/lib/rpm"
    chroot "$view" env -i LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin HOME=/tmp "$@" || code=$?
    umount --recursive --lazy "$view"
    return $code
}
# What rpm finds otherwise than it was in the first snapshot, where nobody has put anything into it; what is beside the snapshots it cannot see.
rpm_verified() {
    local first
    in_next rpmdb --verifydb
    first=$(default=1 in_next rpm --verify --all --nomtime 2>&1 || true)
    in_next rpm --verify --all --nomtime 2>&1 | grep -vxFe "$first" | grep -v ' /var/\| /usr/local/\| /opt\| /etc/zypp\| /etc/yum' || true
}
