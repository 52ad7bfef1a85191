#!/bin/sh
# A machine whose root is an overlay: `root.sh DIR TREE ONLAY`, as its process 1. Unlocks it, then with somebody else's
# overlay over /usr, so that two lie on each other.
set -eux

place=$1
mkdir "$place/composed" "$place/root"
# Two layers, none of which can be written: what composefs makes.
mount -t overlay composefs -o "ro,lowerdir=$place/composed:$2" "$place/root"
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

# Extensions over it: their layers cannot be reached.
mkdir -p /tmp/extension/bin
mount -t overlay sysext -o lowerdir=/tmp/extension:/usr /usr
onlay unlock /usr 2>/tmp/said || true
busybox grep "'/usr' is covered by systemd-sysext over an overlay" /tmp/said
refuse busybox grep onlay-live /proc/self/mountinfo
busybox umount /usr
echo done
