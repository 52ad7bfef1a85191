#!/bin/bash
# A host of its own, as far as Onlay can tell: a tree in a mount and a PID namespace, whose process 1 runs the checks. Its
# /usr is a mount that the checks make read-only and writable again; nothing boots, so it takes no time.
#
#   alone.sh DIR TREE ONLAY   runs DIR/share/checks.sh over TREE, in namespaces that were made for it alone
#
# Where DIR/plain is, its root is a copy of TREE on a file system of its own and no overlay, and /usr no mount.
#
# DIR/share is /results inside; DIR/repository, where there is one, is /var/local/repository. /var is a file system of
# its own, and so is the small /srv/small.
set -eu

dir=$1
tree=$2
root=$dir/root
here=$(dirname "$0")

images=(var=1G small=24M)
if [ -e "$dir/plain" ]; then images+=(root=1G); fi
for image in "${images[@]}"; do
    truncate --size="${image#*=}" "$dir/${image%=*}.ext4"
    mkfs.ext4 -q -F -m 0 -O '^has_journal' -E lazy_itable_init=1,nodiscard "$dir/${image%=*}.ext4"
done
mkdir -p "$dir/upper" "$dir/work" "$root" "$dir/old-var"
if [ -e "$dir/plain" ]; then
    mount -o loop,noatime "$dir/root.ext4" "$root"
    cp --archive "$tree/." "$root/"
else
    mount -t overlay -o "lowerdir=$tree,upperdir=$dir/upper,workdir=$dir/work" tree "$root"
fi
# An overlay over an overlay is made of its layers, which must be reached inside as they are named outside.
mkdir -p "$root$dir" "$root$tree"
mount --bind "$dir" "$root$dir"
mount --bind "$tree" "$root$tree"
mkdir -p "$root/var.new"
mount -o loop,noatime "$dir/var.ext4" "$root/var.new"
cp --archive "$root/var/." "$root/var.new/"
mount --move "$root/var.new" "$root/var"
mkdir -p "$root$dir" "$root$tree" "$root/var/lib/onlay" "$root/srv/small" "$root/results" "$root/old"
chmod 700 "$root/var/lib/onlay"
for bound in "$dir" "$tree"; do mount --bind "$bound" "$root$bound"; done
mount -o loop,noatime "$dir/small.ext4" "$root/srv/small"
mount --bind "$dir/share" "$root/results"
if [ -d "$dir/repository" ]; then
    mkdir -p "$root/var/local/repository"
    mount --bind "$dir/repository" "$root/var/local/repository"
fi
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs run "$root/run"
mount -t tmpfs tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
install "$3" "$root/usr/bin/onlay"
install "$here/../machine/steps.sh" "$root/usr/local/bin/"
cp "$here/../live/faults.sh" "$dir/share/"
if [ ! -e "$dir/plain" ]; then mount --bind "$root/usr" "$root/usr"; fi
cd "$root"
pivot_root . old
umount --lazy /old
# As systemd has it: what is mounted arrives in all namespaces that are made from here on.
mount --make-rshared /
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec /bin/bash /results/checks.sh
