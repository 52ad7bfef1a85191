#!/bin/bash
# Makes of the disk of the tree `snapper` one whose first snapshot has a repository of packages in itself:
# `prepare_snapper.sh DIR DISK REPOSITORY`; DIR then has `disk.btrfs`, to be mounted on DIR/root.
set -eux

dir=$1
repository=$3
cp --sparse=always --reflink=auto "$2" "$dir/disk.btrfs"
# Two file systems of one name cannot be mounted at once.
btrfstune -f -u "$dir/disk.btrfs" >/dev/null
mkdir -p "$dir/root"
mount -o loop,noatime "$dir/disk.btrfs" "$dir/root"
btrfs property set -ts "$dir/root" ro false
cp --recursive "$repository" "$dir/root/usr/share/packages"
echo 'deb [trusted=yes] file:/usr/share/packages ./' >"$dir/root/etc/apt/sources.list"
btrfs property set -ts "$dir/root" ro true
umount "$dir/root"
