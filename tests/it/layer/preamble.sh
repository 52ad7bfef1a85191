# What every script of layer/disk.rs begins with, in the disk's directory. Mounts go with the mount namespace.
# shellcheck shell=bash
set -eu
mount -o loop,noatime disk.ext4 sysroot
repo=sysroot/ostree/repo

layer() { "$ONLAY" --root "$PWD/sysroot" --state "$PWD/state" layer "$@"; }

ostree_admin() {
    local verb=$1
    shift
    ostree admin "$verb" --sysroot=sysroot "$@"
}

# The directory of the deployment that is booted next.
next() { echo "sysroot/ostree/deploy/$OS/deploy/$(layer status --json | sed -n 's/^    "id": "\(.*\)",$/\1/p' | head -n 1)"; }

dpkg_in() {
    local root
    root=$(next)
    chroot "$root" dpkg --admindir=/usr/lib/sysimage/dpkg "$@"
}

# newer_base VERSION COMMAND…: with what the command puts into `extra`.
newer_base() {
    local version=$1
    shift
    rm -rf extra
    mkdir extra
    "$@"
    ostree commit --repo=$repo --bootable --branch="$OS" --add-metadata-string=version="$version" \
        --owner-uid=0 --owner-gid=0 --tree=ref="$OS" --tree=dir=extra >/dev/null
}

# become BRANCH VERSION: the base is from now on what this branch of the repository has.
become() {
    ostree commit --repo=$repo --bootable --branch="$OS" --add-metadata-string=version="$2" --tree=ref="$1" >/dev/null
}

# in_next COMMAND…: in the next deployment as it is when it has booted: read-only, with its own /etc, and a /var that systemd-tmpfiles has
# made.
in_next() {
    local root view=$PWD/view
    root=$(next)
    mkdir -p "$view"
    mount --bind "$root" "$view"
    mount --bind "$root/usr/etc" "$view/etc"
    mount -t tmpfs -o mode=755 var "$view/var"
    mount -t tmpfs -o mode=755 run "$view/run"
    mount -t tmpfs -o mode=1777 tmp "$view/tmp"
    mount -t proc proc "$view/proc"
    mount --bind /dev/null "$view/dev/null" 2>/dev/null || mount --rbind /dev "$view/dev"
    mount -o remount,bind,ro "$view"
    mount -o remount,bind,ro "$view/etc"
    chroot "$view" env -i LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin HOME=/tmp \
        /bin/sh -c 'systemd-tmpfiles --create --prefix=/var >/dev/null 2>&1; exec "$@"' sh "$@"
    local code=$?
    # What it has left running goes with the namespace.
    umount --recursive --lazy "$view"
    return $code
}
