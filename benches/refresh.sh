#!/bin/bash
# How much of the time files of extensions are missing while they are merged anew, by 'onlay ext refresh' and by systemd's own
# 'refresh'; and how long each takes. As root, after 'cargo build --release':
#
#   benches/refresh.sh [ONLAY]
#
# It happens in a machine that is made for it, of the tree 'trixie' (scripts/test-trees), in which nothing boots. A file of an
# extension that is merged all the time is looked for without a pause, while another extension comes and goes twenty times.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
onlay=${1:-$(ls "$top"/target/*/release/onlay "$top"/target/release/onlay 2>/dev/null | head -n 1)}
tree=${ONLAY_TEST_CACHE:-/var/cache/onlay-tests}/trixie
place=$(mktemp -d /var/tmp/onlay-bench.XXXXXX)
trap 'rm -rf "$place"' EXIT
mkdir "$place/share"

# image NAME MEGABYTES: an extension with a file of its own
image() {
    local source=$place/source/$1
    mkdir -p "$source/usr/lib/extension-release.d" "$source/usr/share/$1"
    echo ID=_any >"$source/usr/lib/extension-release.d/extension-release.$1"
    head -c "$2M" /dev/urandom >"$source/usr/share/$1/data"
    mksquashfs "$source" "$place/share/$1_1_any.raw" -noappend -quiet -all-root -comp zstd >/dev/null
}

image stays 20
image comes 20

cat >"$place/share/checks.sh" <<'EOF'
mount -t devtmpfs devtmpfs /dev
mount -o remount,bind,ro /usr
exec >/results/said 2>&1
rounds=20

# Looks for the file until it is told to stop, and says how often, and how often in vain.
poll() {
    local all=0 missing=0
    while [[ ! -e /run/stop ]]; do
        for _ in {1..200}; do
            [[ -e /usr/share/stays/data ]] || missing=$((missing + 1))
        done
        all=$((all + 200))
    done
    echo "$all $missing" >/run/polled
}

# measure NAME COMMAND…: the command is given 'on' or 'off' besides.
measure() {
    local name=$1 start spent=0 round polled missing
    shift
    rm -f /run/stop
    poll &
    for round in $(seq $rounds); do
        for state in on off; do
            "prepare_$1" $state
            start=$(date +%s%N)
            "$@" >/run/words 2>&1 || cat /run/words
            spent=$((spent + $(date +%s%N) - start))
        done
    done
    touch /run/stop
    wait
    read -r polled missing </run/polled
    echo "$name: missing in $missing of $polled polls ($(perl -e "printf '%.3f', 100 * $missing / $polled") %);" \
        "$(perl -e "printf '%.0f', $spent / $rounds / 2e6") ms each" >>/results/measured
}

prepare_onlay() {
    if [ "$1" = on ]; then onlay -q ext enable --no-refresh comes; else onlay -q ext disable --no-refresh comes; fi
}

prepare_systemd-sysext() {
    if [ "$1" = on ]; then ln -sfn /results/comes_1_any.raw /run/extensions/comes.raw; else rm -f /run/extensions/comes.raw; fi
}

onlay ext add /results/stays_1_any.raw
onlay ext add --disabled /results/comes_1_any.raw
measure "onlay ext refresh" onlay ext refresh
onlay ext refresh --json --always | grep way >>/results/measured
onlay ext remove stays comes
ln -s /results/stays_1_any.raw /run/extensions/stays.raw
systemd-sysext refresh
measure "systemd-sysext refresh ($(systemd-sysext --version | head -n 1))" systemd-sysext refresh
EOF

unshare --mount --pid --fork --kill-child --propagation private \
    "$top/tests/it/alone/alone.sh" "$place" "$tree" "$onlay" || cat "$place/share/said"
cat "$place/share/measured"
