#!/bin/bash
# Makes of the disk of the tree `ostree` one whose base has a repository of packages in itself:
# `prepare.sh DIR DISK REPOSITORY`; DIR then has `disk.ext4`, to be mounted on DIR/sysroot.
set -eux

dir=$1
repository=$3
cp --sparse=always --reflink=auto "$2" "$dir/disk.ext4"
mkdir -p "$dir/sysroot" "$dir/extra/usr/share" "$dir/extra/usr/etc/apt"
mount -o loop,noatime "$dir/disk.ext4" "$dir/sysroot"
cp --recursive "$repository" "$dir/extra/usr/share/packages"
echo 'deb [trusted=yes] file:/usr/share/packages ./' >"$dir/extra/usr/etc/apt/sources.list"
ostree commit --repo="$dir/sysroot/ostree/repo" --bootable --branch=debian --add-metadata-string=version=13.1 \
    --owner-uid=0 --owner-gid=0 --tree=ref=debian --tree=dir="$dir/extra"
ostree admin deploy --sysroot="$dir/sysroot" --os=debian --karg=rw debian
ostree admin undeploy --sysroot="$dir/sysroot" 1
umount "$dir/sysroot"
