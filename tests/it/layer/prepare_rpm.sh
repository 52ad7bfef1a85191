#!/bin/bash
# Makes of the disk of the tree `ostree-rpm` that of a host with one package manager: `prepare_rpm.sh DIR TREE MANAGER`. DIR then
# has `disk.ext4`, to be mounted on DIR/sysroot, and `packages`.
set -eux

dir=$1
tree=$2
manager=$3
cp --sparse=always --reflink=auto "$tree/disk.ext4" "$dir/disk.ext4"
cp --recursive "$tree/packages" "$dir/packages"
mkdir -p "$dir/sysroot"
mount -o loop,noatime "$dir/disk.ext4" "$dir/sysroot"
ostree commit --repo="$dir/sysroot/ostree/repo" --bootable --branch=lab --add-metadata-string=version=1.1 --tree=ref="$manager/1"
ostree admin deploy --sysroot="$dir/sysroot" --os=lab --karg=rw lab
umount "$dir/sysroot"
