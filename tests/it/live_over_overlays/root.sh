#!/bin/sh
# A machine whose root is a composefs: `root.sh DIR TREE ONLAY`, as its process 1. Unlocks it, then with somebody else's
# overlay over /usr, so that two lie on each other; and enters overlays over it, also where extensions are merged.
set -eux

place=$1
mkdir "$place/names" "$place/objects" "$place/meta" "$place/root"
# Names and metadata are in an image of their own, and contents in a layer in which nothing but them is looked for.
cp --archive "$2/." "$place/names/"
number=0
find "$place/names" -type f -size +0 | while read -r file; do
    number=$((number + 1))
    mv "$file" "$place/objects/$number"
    truncate --reference="$place/objects/$number" "$file"
    chmod --reference="$place/objects/$number" "$file"
    setfattr --name trusted.overlay.metacopy "$file"
    setfattr --name trusted.overlay.redirect --value "/$number" "$file"
done
mkfs.erofs --quiet "$place/meta.erofs" "$place/names"
mount -t erofs -o ro,loop "$place/meta.erofs" "$place/meta"
mount -t overlay composefs -o "ro,metacopy=on,redirect_dir=follow,lowerdir=$place/meta::$place/objects" "$place/root"
cd "$place/root"
mount -t devtmpfs dev dev
for dir in proc run tmp var; do mount -t tmpfs "$dir" "$dir"; done
mkdir run/old var/lib run/bin
cp "$3" run/bin/onlay
pivot_root . run/old
cd /
export PATH=/bin:/run/bin
busybox mount -t proc proc /proc
busybox umount -l /run/old
busybox mount --make-rshared /

refuse() {
    if "$@"; then
        echo "should have failed: $*"
        return 1
    fi
}

refuse touch /usr/x
mkdir -p /var/lib/onlay
onlay status

# One overlay below.
onlay unlock /usr
cp /bin/busybox /usr/bin/busybox
refuse touch /etc/x
onlay diff --live | busybox grep 'added .*/usr/bin/busybox'
/usr/bin/busybox sleep 1000 &
busybox usleep 100000
onlay lock --dry-run | busybox grep "^$! .*exe.*maps"
kill $!
wait $! || true
onlay lock --discard
refuse touch /usr/x
test ! -e /usr/bin/busybox

# Bound on itself, as some make it read-only: what is laid on it arrives beneath, too, and goes with it. And entered like that.
mount -o bind /usr /usr
onlay unlock /usr
echo ours >/usr/bin/ours
busybox test "$(busybox grep -c onlay-live /proc/self/mountinfo)" = 2
onlay lock --save bound
refuse busybox grep onlay-live /proc/self/mountinfo
onlay shell --no-home bound -- sh -exc 'busybox grep ours /usr/bin/ours'
onlay rm bound
busybox umount /usr

# Somebody else's, as bootc lays it without OSTree.
mkdir /tmp/upper /tmp/work
mount -t overlay transient -o lowerdir=/usr,upperdir=/tmp/upper,workdir=/tmp/work /usr
echo theirs >/usr/bin/theirs
onlay status | busybox grep "^Over /usr: *an overlay of somebody else's ('transient', writable)"
onlay unlock /usr
busybox grep theirs /usr/bin/theirs
echo ours >/usr/bin/ours
echo ours >/usr/bin/theirs
test ! -e /tmp/upper/bin/ours
onlay status | busybox grep "^Over /usr: .*'transient', writable), and on it onlay unlock"
onlay diff --live >/tmp/diff
busybox grep 'added .*/usr/bin/ours' /tmp/diff
busybox grep 'changed .*/usr/bin/theirs' /tmp/diff
onlay lock --save kept
busybox grep theirs /usr/bin/theirs
test ! -e /usr/bin/ours
touch /usr/bin/theirs
onlay unlock /usr --from kept
busybox grep ours /usr/bin/theirs
onlay lock --discard
busybox umount /usr

# What is in such a root is read, and written, as in any other.
onlay shell --no-home first -- sh -exc 'echo mine >/usr/bin/mine; busybox cat /usr/bin/mine'
onlay diff first >/tmp/diff
busybox grep 'added .*/usr/bin/mine' /tmp/diff

# Extensions over it: their layers cannot be reached.
mkdir -p /tmp/extension/bin /tmp/extension/lib/extension-release.d
echo ID=_any >/tmp/extension/lib/extension-release.d/extension-release.tool
echo of the extension >/tmp/extension/bin/tool
mount -t overlay sysext -o ro,lowerdir=/tmp/extension:/usr /usr
busybox cat /usr/bin/tool
onlay unlock /usr 2>/tmp/said || true
busybox grep "'/usr' is covered by systemd-sysext over an overlay" /tmp/said
refuse busybox grep onlay-live /proc/self/mountinfo

# Overlays see the base without them, and know no other.
onlay list >/tmp/list
refuse busybox grep changed /tmp/list
cd /usr/bin
onlay shell --no-home first -- sh -exc 'busybox grep mine /usr/bin/mine; test ! -e /usr/bin/tool; echo more >/usr/bin/more' 2>/tmp/said
busybox cat /tmp/said
busybox grep 'they are not shown inside' /tmp/said
refuse busybox grep 'base has changed\|extensions were' /tmp/said
cd /
onlay diff first >/tmp/diff
busybox grep 'added .*/usr/bin/more' /tmp/diff
refuse busybox grep 'tool\|extension' /tmp/diff
onlay rebase first 2>&1 | busybox grep 'nothing to do'
onlay shell --no-home --temp -- sh -exc 'echo x >/usr/bin/x; test ! -e /usr/bin/tool'
# Nothing was taken off of the host.
busybox cat /usr/bin/tool
busybox umount /usr
onlay shell --no-home first -- sh -exc 'busybox grep more /usr/bin/more' 2>/tmp/said
refuse busybox grep 'base has changed\|extensions\|shown' /tmp/said
onlay rm first
echo done
