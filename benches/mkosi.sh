#!/bin/bash
# How long it takes to build an extension of packages, beside mkosi in its incremental mode, in one run. As root, with a network,
# after 'cargo build --release':
#
#   benches/mkosi.sh [ONLAY] [PACKAGE…]
#
# Both run in one Debian 13, a copy of the tree 'trixie' (scripts/test-trees) with Debian's own mkosi, for one base that mkosi has
# made there, and from packages that were downloaded before; what is left to mkosi is its incremental build of a sysext on that
# base, without a look at the mirror. Without packages: strace, gdb and clang. Medians of five runs in turn, in seconds.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
onlay=${1:-$(ls "$top"/target/*/release/onlay "$top"/target/release/onlay 2>/dev/null | head -n 1)}
shift || true
[ $# -gt 0 ] || set -- strace gdb clang
tree=${ONLAY_TEST_CACHE:-/var/cache/onlay-tests}/trixie
place=$(mktemp -d /var/tmp/onlay-bench.XXXXXX)
trap 'rm -rf --one-file-system "$place"' EXIT
mkdir "$place"/{upper,work,root,bench,scratch}
cp "$onlay" "$place/bench/onlay"

cat >"$place/bench/run.sh" <<'EOF'
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
runs=5
cd /bench

# configuration FORMAT NAME LINE…: a directory NAME.d for mkosi, which makes NAME in out/. Its packages come from one
# mirror, and not from those of updates and debug symbols, which not every mirror has.
configuration() {
    local format=$1 name=$2
    shift 2
    mkdir -p "$name.d" out cache packages
    printf '%s\n' "$@" '[Distribution]' Distribution=debian Release=trixie "LocalMirror=$mirror" '[Output]' \
        "Format=$format" "Output=$name" OutputDirectory=/bench/out '[Build]' Incremental=yes CacheDirectory=/bench/cache \
        PackageCacheDirectory=/bench/packages >"$name.d/mkosi.conf"
}

# quiet COMMAND…: what it says is shown when it fails.
quiet() {
    "$@" >/tmp/said 2>&1 || { cat /tmp/said && return 1; }
}

by_mkosi() {
    (cd "$1.d" && quiet mkosi --force --cache-only always build)
}

by_onlay() {
    local files=() file
    for file in "debs-$1"/*.deb; do files+=(-p "./$file"); done
    rm -f onlay-out/*
    # What scripts of clang's want is no package that it depends on: only Onlay looks, and says so.
    quiet ./onlay build "$1" --unfit --root out/base --output onlay-out "${files[@]}"
}

# seconds COMMAND…
seconds() {
    local start
    start=$(date +%s%N)
    "$@" >&2
    awk "BEGIN { printf \"%.2f\\n\", ($(date +%s%N) - $start) / 1e9 }"
}

median() {
    sort --numeric-sort | sed -n "$(((runs + 1) / 2))p"
}

# What the base lacks of a package's, as apt says.
download() {
    mkdir -p "debs-$1/partial"
    quiet apt-get --yes --download-only --no-install-recommends -o "Dir::Cache::archives=/bench/debs-$1" \
        -o Dir::State::status=/bench/out/base/var/lib/dpkg/status install "$1"
}

quiet apt-get update
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
quiet apt-get install --yes --no-install-recommends mkosi apt squashfs-tools erofs-utils systemd-repart bubblewrap uidmap cpio \
    zstd ca-certificates debian-archive-keyring
mkosi --version
mkdir -p onlay-out
configuration directory base '[Content]' Bootable=no CleanPackageMetadata=no Packages=systemd,udev,dpkg,apt
(cd base.d && quiet mkosi --force build)
for package; do
    download "$package"
    configuration sysext "$package" '[Content]' Bootable=no Overlay=yes BaseTrees=/bench/out/base "Packages=$package"
    # Once with the mirror, to have its packages and its cache.
    (cd "$package.d" && quiet mkosi --force build)
    : >times.mkosi
    : >times.onlay
    for _ in $(seq $runs); do
        seconds by_mkosi "$package" >>times.mkosi
        seconds by_onlay "$package" >>times.onlay
    done
    theirs=$(median <times.mkosi) ours=$(median <times.onlay)
    echo "$package, $(ls "debs-$package"/*.deb | wc -l) packages: mkosi $theirs s, $(du -m --apparent-size "out/$package.raw" | cut -f 1) MB;" \
        "onlay $ours s, $(du -m --apparent-size onlay-out/*.raw | cut -f 1) MB: $(awk "BEGIN { printf \"%.0f\", $theirs / $ours }") times as fast"
done
EOF

unshare --mount --propagation private bash -eus "$place" "$tree" "$@" <<'EOF'
place=$1 tree=$2
shift 2
root=$place/root
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$place/upper,workdir=$place/work" "$root"
mkdir -p "$root/bench"
mount --bind "$place/bench" "$root/bench"
# mkosi lays overlays itself, which go on no overlay.
mount --bind "$place/scratch" "$root/var/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
cat /etc/resolv.conf >"$root/etc/resolv.conf"
chroot "$root" bash /bench/run.sh "$@"
EOF
