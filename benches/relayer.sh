#!/bin/bash
# What it costs to put layers on a newer base, when all that takes was downloaded before:
#
#   benches/relayer.sh [PACKAGES] [ROUNDS]
#
# The base is a real Debian with its apt (tree `ostree` of scripts/test-trees). The packages are like those of a distribution: programs with manual
# pages, libraries with ldconfig's trigger, settings, services; 40 files and 400 kB each, each with a dependency. In each round the base changes in 100
# files, and `onlay layer upgrade --cached` puts all packages into the new one; what it says of its time is printed, in
# milliseconds (`--json` of `onlay layer`: solve and install are the package manager's, deploy is ostree's), what the whole took, and what `dpkg --install` of the same files takes
# alone, in RAM, beside it. Needs root, ostree, dpkg-deb. $ONLAY is the program, if it is not the one that was built here.
set -eu

count=${1:-60}
rounds=${2:-5}
top=$(cd "$(dirname "$0")/.." && pwd)
onlay=${ONLAY:-$(ls "$top"/target/*/release/onlay "$top"/target/release/onlay 2>/dev/null | head -n 1)}
cache=${ONLAY_TEST_CACHE:-/var/cache/onlay-tests}
if [ -z "${ONLAY_BENCH_PLACE:-}" ]; then
    ONLAY_BENCH_PLACE=$(mktemp -d "${TMPDIR:-/var/tmp}/onlay-bench.XXXXXX")
    export ONLAY_BENCH_PLACE
    # Mounts go with the namespace, and after them the directory.
    trap 'rm -rf "$ONLAY_BENCH_PLACE"' EXIT
    unshare --mount --propagation private "$0" "$count" "$rounds"
    exit
fi
cd "$ONLAY_BENCH_PLACE"

# package NUMBER: in tree/, then a file in repository/.
package() {
    local name tree
    name=$(printf 'onlay-bench-%03d' "$1")
    tree=tree/$name
    mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$tree/usr/lib/$name" "$tree/usr/share/doc/$name" "$tree/usr/share/man/man1"
    for number in $(seq 1 36); do head -c 10000 /dev/urandom >"$tree/usr/lib/$name/$number"; done
    head -c 40000 /dev/urandom >"$tree/usr/bin/$name"
    echo "$name" >"$tree/usr/share/doc/$name/copyright"
    echo ".TH $name 1" | gzip -9n >"$tree/usr/share/man/man1/$name.1.gz"
    printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: Benches <benches@localhost>\nDescription: a package\n' "$name" >"$tree/DEBIAN/control"
    if [ "$1" -gt 1 ]; then printf 'Depends: onlay-bench-%03d (>= 1.0), libc6\n' $((($1 + 1) / 2)) >>"$tree/DEBIAN/control"; fi
    case $(($1 % 4)) in
    0)
        mkdir -p "$tree/usr/lib/x86_64-linux-gnu"
        head -c 10000 /dev/urandom >"$tree/usr/lib/x86_64-linux-gnu/$name.so.1"
        echo 'activate-noawait ldconfig' >"$tree/DEBIAN/triggers"
        ;;
    1)
        mkdir -p "$tree/etc"
        echo 'a=1' >"$tree/etc/$name.conf"
        echo "/etc/$name.conf" >"$tree/DEBIAN/conffiles"
        ;;
    2)
        printf '#!/bin/sh\nset -e\nif [ "$1" = configure ]; then mkdir -p /var/lib/%s; fi\n' "$name" >"$tree/DEBIAN/postinst"
        chmod 755 "$tree/DEBIAN/postinst"
        ;;
    esac
    (cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-deb --root-owner-group --build "$tree" repository >/dev/null
}

mkdir -p repository sysroot extra/usr/share extra/usr/etc/apt
for number in $(seq 1 "$count"); do package "$number"; done
(cd repository && dpkg-scanpackages --multiversion . /dev/null >Packages 2>/dev/null)
cp --sparse=always --reflink=auto "$cache/ostree/disk.ext4" disk.ext4
mount -o loop,noatime disk.ext4 sysroot
repo=sysroot/ostree/repo
cp --recursive repository extra/usr/share/packages
echo 'deb [trusted=yes] file:/usr/share/packages ./' >extra/usr/etc/apt/sources.list
# newer VERSION: a base with what is in extra/.
newer() {
    ostree commit --repo=$repo --bootable --branch=debian --add-metadata-string=version="$1" --owner-uid=0 --owner-gid=0 \
        --tree=ref=debian --tree=dir=extra >/dev/null
}
newer 1
ostree admin deploy --sysroot=sysroot --os=debian --karg=rw debian >/dev/null

# alone: milliseconds of dpkg by itself, over the base.
alone() {
    local begun
    ostree checkout --repo=$repo --require-hardlinks debian sysroot/plain
    mkdir -p ram view
    mount -t tmpfs ram ram
    mkdir ram/upper ram/work
    mount -t overlay -o "lowerdir=sysroot/plain,upperdir=ram/upper,workdir=ram/work" view view
    mount -t tmpfs var view/var
    mkdir -p view/var/lib view/var/log
    ln -s /usr/lib/sysimage/dpkg view/var/lib/dpkg
    cp --recursive view/usr/etc/. view/etc/
    mount --rbind /dev view/dev
    begun=$(date +%s%N)
    chroot view sh -c 'dpkg --force-unsafe-io --force-confnew --install /usr/share/packages/*.deb >/var/log/said 2>&1' || { cat view/var/log/said >&2 && exit 1; }
    echo $((($(date +%s%N) - begun) / 1000000))
    umount --recursive --lazy view
    umount --lazy ram
    rm -rf sysroot/plain
}

layer() { "$onlay" --root "$PWD/sysroot" --state "$PWD/state" layer "$@"; }

names=()
for number in $(seq 1 "$count"); do names+=("$(printf 'onlay-bench-%03d' "$number")"); done
layer add "${names[@]}" >/dev/null
for round in $(seq 1 "$rounds"); do
    rm -rf extra
    mkdir -p extra/usr/share/newer
    for number in $(seq 1 100); do echo "$round $number" >"extra/usr/share/newer/$number"; done
    newer $((round + 1))
    sync
    begun=$(date +%s%N)
    layer upgrade --cached --json >said
    ended=$(date +%s%N)
    echo "$(sed -n 's/^    "\([a-z]*\)": \([0-9]*\),\?$/\1 \2/p' said | tail -n 5 | tr '\n' ' ')whole $(((ended - begun) / 1000000)) dpkg-alone $(alone)"
done
ostree fsck --repo=$repo --quiet
