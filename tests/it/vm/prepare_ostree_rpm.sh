#!/bin/bash
# Makes of the disk of the tree `ostree-rpm` that of a host with zypper whose base has an initramfs that boots, and a layer with a kernel that does: `prepare_ostree_rpm.sh
# DIR KERNEL TREE ONLAY`. DIR then has `ostree.ext4`, and `initramfs` with what mounts a deployment; KERNEL is a kernel of scripts/test-trees. In a mount namespace of its own, with which the mounts go.
#
# The base has a file in the place of a kernel, as all of that tree have. So the first boot is the layer's, kernel and initramfs, and who has that taken off boots as
# an emulator brings it.
set -eu

dir=$1
kernel=$2
onlay=$4
disk=$dir/disk
repo=$disk/ostree/repo
view=$dir/view
version=$(ls "$kernel/lib/modules")

# shellcheck source=tests/it/vm/kernel_rpm.sh
. "$(dirname "$(realpath "$0")")/kernel_rpm.sh"

inside() {
    chroot "$view" env -i LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin HOME=/tmp GNUPGHOME=/tmp/gnupg DRACUT_NO_XATTR=1 "$@"
}

# The tree of a branch, to be changed: its files are those of the repository, and only what lies over them is written to.
show() {
    mkdir -p "$view" "$dir/upper" "$dir/work"
    ostree checkout --repo="$repo" --require-hardlinks "$1" "$disk/shown"
    mount -t overlay view -o "lowerdir=$disk/shown,upperdir=$dir/upper,workdir=$dir/work" "$view"
    mkdir "$view/etc"
    mount --bind "$view/usr/etc" "$view/etc"
    mount -t tmpfs -o mode=1777 tmp "$view/tmp"
    mount -t tmpfs -o mode=755 var "$view/var"
    mkdir -m 1777 "$view/var/tmp"
    mount -t proc proc "$view/proc"
    # Of its own, and gone with it.
    mount -t tmpfs -o mode=755 dev "$view/dev"
    mknod -m 666 "$view/dev/null" c 1 3
    mknod -m 666 "$view/dev/urandom" c 1 9
    ln -s /proc/self/fd "$view/dev/fd"
}

# The program that finds the deployment, with its libraries.
keep_program() {
    local file
    for file in /usr/lib/ostree/ostree-prepare-root \
        $(inside ldd /usr/lib/ostree/ostree-prepare-root | grep --only-matching '/[^ ]*'); do
        mkdir -p "$dir/initramfs$(dirname "$file")"
        cp --dereference "$view$file" "$dir/initramfs$file"
    done
    cp "$view/usr/lib/ostree/prepare-root.conf" "$dir/initramfs/usr/lib/ostree/"
}

# What is in it comes to another branch.
commit() {
    umount "$view"/{dev,proc,var,tmp,etc}
    rmdir "$view/etc"
    ostree commit --repo="$repo" --bootable --branch="$1" --add-metadata-string=version="$2" --tree=dir="$view"
    umount "$view"
    rm -rf "$disk/shown" "$dir"/{view,upper,work}
}

# It has no drivers: the base has none.
make_initramfs() {
    inside depmod 1.0-layer
    inside dracut --quiet --no-hostonly --no-hostonly-cmdline --reproducible --kver 1.0-layer \
        --modules 'base dracut-systemd fs-lib kernel-modules ostree rootfs-block systemd systemd-initrd udev-rules' \
        --drivers 'ext4 overlay virtio_blk virtio_pci' /usr/lib/modules/1.0-layer/initramfs.img
}

mkdir -p "$disk"
cp --sparse=always --reflink=auto "$3/disk.ext4" "$dir/ostree.ext4"
mount -o loop,noatime "$dir/ostree.ext4" "$disk"
show zypper/1
keep_program
make_kernel virtio_pci virtio_blk overlay
make_initramfs
commit lab 1.1
# To be the base some day.
ostree commit --repo="$repo" --bootable --branch=next --add-metadata-string=version=2.1 --tree=ref=zypper/2
ostree admin deploy --sysroot="$disk" --os=lab --karg=root=/dev/vda --karg=rootfstype=ext4 --karg=rw lab
"$onlay" --root "$disk" --state "$disk/ostree/deploy/lab/var/lib/onlay" layer add "$dir"/layer-kernel-*.rpm
umount "$disk"
