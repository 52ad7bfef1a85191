#!/bin/bash
# Makes two neighbouring versions of an image of Debian's packages, and measures what an update from one to the other costs:
#
#   benches/delta.sh [PACKAGE]
#
# On Debian 12. The new version is gdb, or another package, and what it needs, in apt's newest versions; in the old one, packages of
# which apt knows two versions (those of bookworm and of bookworm-security) are the older one, but for those named in $same, so
# that about as much changes as in one security update. What every Debian has is left out.
set -eu

package=${1:-gdb}
same='libssl3 libglib2.0-0'
base='perl* libperl* debconf dpkg tar cdebconf libdebian* libtext* liblocale* libc6 libgcc-s1 gcc-* install-info coreutils login
    passwd adduser libpam* util-linux libmount1 libblkid1 libuuid1 libselinux1 libsemanage* libcrypt1 libaudit* libcap-ng0 libattr1
    libacl1 libsystemd0 usrmerge libgdbm*'
top=$(cd "$(dirname "$0")/.." && pwd)
onlay=$(ls "$top"/target/*/release/onlay "$top"/target/release/onlay 2>/dev/null | head -n 1)
place=$(mktemp -d /var/tmp/onlay-bench.XXXXXX)
trap 'rm -rf "$place"' EXIT
mkdir -p "$place/old" "$place/new" "$place/root/usr/lib" "$place/root/var/lib/dpkg/info"
echo ID=debian >"$place/root/usr/lib/os-release"
touch "$place/root/var/lib/dpkg/status"

is_base() {
    local pattern
    for pattern in $base; do
        # shellcheck disable=SC2053
        [[ $1 == $pattern ]] && return
    done
    return 1
}

recurse='--recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances'
names=()
# Patterns are of packages, not of files here.
set -f
# shellcheck disable=SC2086
for name in $(apt-cache depends $recurse "$package" | grep '^[a-z]' | sort -u); do
    is_base "$name" || names+=("$name")
done
set +f
known=$(apt-cache madison "${names[@]}" | awk -F '|' '!/Sources/ { gsub(/ /, ""); print }' | sort -u)
old=() new=()
for name in "${names[@]}"; do
    versions=$(awk -F '|' -v name="$name" '$1 == name { print $2 }' <<<"$known" | sort -Vu)
    [[ $versions ]] || continue
    newest=$(tail -n 1 <<<"$versions")
    older=$(tail -n 2 <<<"$versions" | head -n 1)
    [[ " $same " == *" $name "* ]] && older=$newest
    new+=("$name=$newest") old+=("$name=$older")
done
(cd "$place/new" && apt-get -q download "${new[@]}" >/dev/null 2>&1)
(cd "$place/old" && apt-get -q download "${old[@]}" >/dev/null 2>&1)
diff <(ls "$place/old") <(ls "$place/new") | grep '^[<>]' || true

# build NAME OPTION…: both versions
build() {
    local name=$1 version
    shift
    for version in old new; do
        packages=()
        for file in "$place/$version"/*.deb; do
            packages+=(--package "$file")
        done
        "$onlay" --root "$place/root" --state "$place/state" build "$name" --version "$version" --output "$place" --match any \
            --unfit --replace --quiet "$@" "${packages[@]}" >/dev/null 2>&1
    done
    pairs+=("$place/${name}_old_x86-64.raw" "$place/${name}_new_x86-64.raw")
}
pairs=()
build squashfs-3 --compression zstd:3
build squashfs-15 --compression zstd:15
build erofs --format erofs
build disk --format ddi
cd "$top"
cargo bench --bench delta -- "${pairs[@]}"
