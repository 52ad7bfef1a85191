#!/bin/bash
# What a store of very many images costs its publisher and its clients:
#
#   benches/store.sh [IMAGES]
#
# Images are small, of a hundred extensions with many versions each: a program, and a block that is another one in each, for which there are
# patches; each with a manifest of thirty packages. All are added by the program itself. Then one more is added, while strace counts what is
# read and written, and a client looks for one. They take 2 GB in $TMPDIR. $ONLAY is the program, if it is not the one that was built here.
set -eu

count=${1:-10000}
names=100
top=$(cd "$(dirname "$0")/.." && pwd)
onlay=${ONLAY:-$(ls "$top"/target/*/release/onlay "$top"/target/release/onlay 2>/dev/null | head -n 1)}
place=$(mktemp -d "${TMPDIR:-/var/tmp}/onlay-bench.XXXXXX")
trap 'rm -rf "$place"' EXIT
cd "$place"
export ONLAY_STORE_KEYS=$place/keys

# image NAME: one without compression, in which a mark can be replaced.
image() {
    mkdir -p "tree/usr/lib/extension-release.d" tree/usr/bin tree/usr/share
    printf 'ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n' >"tree/usr/lib/extension-release.d/extension-release.$1"
    cp /usr/bin/env "tree/usr/bin/$1"
    # A block of which a patch saves nearly all.
    { echo 'mark-0000000000'; head -c 70000 /bin/ls; } >tree/usr/share/mark
    mksquashfs tree "$1.raw" -noappend -quiet -no-progress -all-root -noD -noF >/dev/null
    rm -r tree
}

# batch FIRST LAST: images with these numbers, and their manifests, in new/.
batch() {
    python3 - "$1" "$2" "$names" <<'PYTHON'
import hashlib, json, random, sys
first, last, names = map(int, sys.argv[1:])
mark = b"mark-0000000000"
for number in range(first, last):
    name, version = "tool%02d" % (number % names), "%d.%d-1" % (number // names // 10 + 1, number // names % 10)
    data = open(name + ".raw", "rb").read()
    assert data.count(mark) == 1
    data = data.replace(mark, b"mark-%010d" % number)
    file = "%s_%s_x86-64.raw" % (name, version)
    open("new/" + file, "wb").write(data)
    chance = random.Random(number // 3)
    packages = [{"name": "lib%s-%d" % (name, i), "version": "%d.%d-%d" % (chance.randrange(9), chance.randrange(30), chance.randrange(5))}
                for i in range(30)]
    manifest = {"format": 1, "name": name, "version": version, "architecture": "x86-64", "packages": packages,
                "image": {"file": file, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    json.dump(manifest, open("new/" + file + ".json", "w"))
PYTHON
}

for number in $(seq 0 $((names - 1))); do image "$(printf 'tool%02d' "$number")"; done
"$onlay" -q store key make 'A Store' >/dev/null
"$onlay" -q store init store --key keys/*.key
for ((first = 0; first < count; first += 500)); do
    mkdir new
    last=$((first + 500 < count ? first + 500 : count))
    batch $first $last
    "$onlay" -q store add store new/*.raw
    rm -r new
    echo "$last images" >&2
done

mkdir new
batch "$count" $((count + 1))
echo "index.json: $(stat -c %s store/index.json) bytes; gzip -9 $(gzip -9 <store/index.json | wc -c), zstd -19 $(zstd -19 -q <store/index.json | wc -c)"
echo "SHA256SUMS: $(stat -c %s store/SHA256SUMS) bytes; images: $(cat store/*.raw | wc -c) in $(find store -name '*.raw' | wc -l)"
strace -f -y -o trace -e trace=read,pread64,readv,preadv,write,pwrite64,writev,copy_file_range,sendfile,openat,fsync "$onlay" -q store add store new/*.raw
bytes() { awk -v calls="$1" '$2 ~ "^(" calls ")\\(" { sum += $NF } END { print sum + 0 }' trace; }
echo "add of one more: $(bytes 'read|pread64|readv|preadv') bytes read, $(bytes 'write|pwrite64|writev') written, $(grep -c ' fsync(' trace) syncs; images opened:"
grep -o 'openat(.*"[^"]*\.raw"' trace | grep -o '[^"/]*\.raw' | sort | uniq -c

now() { date +%s%N; }
# timed WHAT COMMAND…: the median of five, in ms.
timed() {
    local what=$1 times=() begin
    shift
    for _ in 1 2 3 4 5; do
        begin=$(now)
        "$@" >/dev/null
        times+=($((($(now) - begin) / 1000000)))
    done
    echo "$what: $(printf '%s\n' "${times[@]}" | sort -n | sed -n 3p) ms"
}
timed 'add, what is there' "$onlay" -q store add store new/*.raw
timed 'sign' "$onlay" -q store sign store
timed 'list' "$onlay" -q store list store
timed 'publish, nothing to do' "$onlay" -q store publish store there

mkdir -p root/etc/onlay/keys root/usr/lib
printf 'ID=debian\nVERSION_ID=13\n' >root/usr/lib/os-release
cp store/key.asc root/etc/onlay/keys
printf '[store.big]\nurl = "%s/store"\nkeys = ["key.asc"]\n' "$place" >root/etc/onlay/onlay.toml
timed 'ext search, of a client' "$onlay" -q --root root --state state ext search tool42
