#!/bin/bash
# Makes of the tree `snapper-rpm` the disk of a host with zypper, whose first snapshot has no kernel that boots, and whose second one has a layer with one:
# `prepare_snapper_rpm.sh DIR KERNEL TREE ONLAY`. DIR then has `disk.btrfs`; KERNEL is a kernel of scripts/test-trees. In a mount namespace of its own, with which the
# mounts go.
#
# snapper and its daemon come from the tree `snapper` beside that one: nobody has packed them as RPMs. To the host they are files of no package.
set -eu

dir=$1
kernel=$2
tree=$3
onlay=$4
here=$(dirname "$(realpath "$0")")
view=$dir/root
version=$(ls "$kernel/lib/modules")

# shellcheck source=tests/it/vm/kernel_rpm.sh
. "$here/kernel_rpm.sh"

inside() {
    chroot "$view" env -i LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin HOME=/tmp GNUPGHOME=/tmp/gnupg "$@"
}

# The first snapshot, to be changed.
show() {
    mount -o loop,noatime "$dir/disk.btrfs" "$view"
    btrfs property set -ts "$view" ro false
    mount -t tmpfs -o mode=1777 tmp "$view/tmp"
    mount -t tmpfs -o mode=755 var "$view/var"
    mkdir -p "$view"/var/{lib,tmp}
    mount -t proc proc "$view/proc"
    # Of its own, and gone with it.
    mount -t tmpfs -o mode=755 dev "$view/dev"
    mknod -m 666 "$view/dev/null" c 1 3
    mknod -m 666 "$view/dev/urandom" c 1 9
    ln -s /proc/self/fd "$view/dev/fd"
}

hide() {
    umount "$view"/{dev,proc,var,tmp}
    btrfs property set -ts "$view" ro true
    umount "$view"
}

# What these packages of a Debian have, with the libraries that are missing.
copy_programs() {
    local from=$dir/debian name file
    mkdir "$from"
    cp --sparse=always --reflink=auto "$1" "$dir/debian.btrfs"
    # Two file systems of one name cannot be mounted at once.
    btrfstune -f -u "$dir/debian.btrfs" >/dev/null
    mount -o loop,ro "$dir/debian.btrfs" "$from"
    for name in btrfs-progs libsnapper7t64 snapper; do
        cat "$from/usr/lib/sysimage/dpkg/info/$name"{,:amd64}.list 2>/dev/null || true
    done | grep -v '^/etc/apt\|^/usr/share/[^d]' | while read -r file; do
        if [ -f "$from$file" ] && [ ! -e "$view$file" ]; then echo "$file"; fi
    done >"$dir/programs"
    for file in /usr/bin/btrfs /usr/bin/snapper /usr/sbin/snapperd; do
        chroot "$from" ldd "$file" | grep --only-matching '/[^ ]*'
    done | sort --unique | while read -r file; do
        if [ ! -e "$view$file" ]; then echo "$file"; fi
    done >>"$dir/programs"
    sed 's,^/,,; s,^bin/,usr/bin/,; s,^sbin/,usr/sbin/,; s,^lib/,usr/lib/,' "$dir/programs" | sort --unique |
        tar --create --directory "$from" --dereference --hard-dereference --files-from - | tar --extract --directory "$view" --keep-directory-symlink
    inside ldconfig
    inside snapper --version
    umount "$from"
    rm "$dir/debian.btrfs"
}

# What boots is found by links, as SUSE has them; of the base's kernel only they boot nothing.
make_links() {
    ln -s ../usr/lib/modules/1.0-layer/vmlinuz "$view/boot/vmlinuz-1.0-layer"
    echo initramfs >"$view/boot/initrd-1.0-layer"
    ln -s vmlinuz-1.0-layer "$view/boot/vmlinuz"
    ln -s initrd-1.0-layer "$view/boot/initrd"
}

# Whoever has no udev later mounts by names that the kernel gives.
make_units() {
    local units=$view/etc/systemd/system places
    places=$(awk '$3 == "btrfs" && $2 != "/" { print $2 }' "$view/etc/fstab" | tr '\n' ' ')
    printf '%s\n' '[Unit]' DefaultDependencies=no Before=local-fs.target '[Service]' Type=oneshot \
        "ExecStart=/bin/sh -c 'for place in $places; do mountpoint --quiet \$\$place || mount \$\$place || exit; done'" >"$units/subvolumes.service"
    mkdir -p "$units/local-fs.target.wants"
    ln -s ../subvolumes.service "$units/local-fs.target.wants/"
}

"$here/../layer/prepare_snapper_rpm.sh" "$dir" "$tree" zypper 2>/dev/null
show
copy_programs "$tree/../snapper/disk.btrfs"
make_kernel virtio_pci virtio_blk overlay btrfs
make_links
make_units
hide

# The layer.
cd "$dir"
ONLAY=$onlay
# shellcheck source=tests/it/layer/snapper_preamble.sh
. "$here/../layer/snapper_preamble.sh"
layer add "$dir"/layer-kernel-3.0-*.rpm
