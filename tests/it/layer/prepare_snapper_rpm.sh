#!/bin/bash
# Makes of the tree `snapper-rpm` the disk of a host with one package manager: `prepare_snapper_rpm.sh DIR TREE MANAGER`. DIR then has
# `disk.btrfs`, to be mounted on DIR/root, and `packages`.
set -eux

dir=$1
tree=$2
manager=$3
cp --sparse=always --reflink=auto "$tree/$manager.btrfs" "$dir/disk.btrfs"
# Two file systems of one name cannot be mounted at once.
btrfstune -f -u "$dir/disk.btrfs" >/dev/null
cp --recursive "$tree/packages" "$dir/packages"
mkdir -p "$dir/root"
