#!/bin/bash
# What a cut has left of a host of OSTree's: `ostree_kept.sh ONLAY DIR`; DIR has its disk. Says what is booted next: the version of its base (or a dash), and the packages that are layered in it. That is whole,
# with its kernel, as the entry of the boot loader has it, and boots in a container; and a change more is none for what was left in the middle of one.
set -eu

onlay=$1
cd "$2"
mkdir -p sysroot
mount -o loop,noatime ostree.ext4 sysroot
repo=sysroot/ostree/repo

# With the machine's own state, as the cut has left it.
state=$(echo "$PWD"/sysroot/ostree/deploy/*/var/lib/onlay)
layer() { "$onlay" --root "$PWD/sysroot" --state "$state" layer "$@"; }

# The first deployment: its checksum and number, the version of its base, and its packages.
next() {
    python3 -c 'if True:
        import json, sys
        first = json.load(sys.stdin)[0]
        packages = first.get("layers", {}).get("packages", [])
        print(first["id"], first["base"].get("version") or "-", *sorted(package["name"] for package in packages))' < <(layer status --json)
}

# boots ID: this one is what the boot loader's first entry leads to, which has a kernel and an initramfs.
boots() {
    local entry link name
    entry=$(awk '$1 == "version" { print $2, FILENAME }' sysroot/boot/loader/entries/*.conf | sort --reverse --numeric-sort | head -n 1)
    entry=${entry#* }
    link=$(sed -n 's/^options .*ostree=\([^ ]*\).*/\1/p' "$entry")
    test "$(realpath "sysroot$link")" = "$(realpath sysroot/ostree/deploy/*/deploy/"$1")"
    for name in linux initrd; do test -s "sysroot/boot$(sed -n "s/^$name //p" "$entry")"; done
}

# whole ID: its files are as its commit has them, and beside them it has an /etc of its own, with what is the machine's there (and what `ostree admin unlock --hotfix` has
# made).
whole() {
    local tree
    tree=$(echo "$PWD"/sysroot/ostree/deploy/*/deploy/"$1")
    ostree diff --repo=$repo "${1%.*}" "$tree" >differs
    if grep -v '^A    \(etc\|\.usr-ovl-[a-z]*\)\(/\|$\)' differs >&2; then exit 1; fi
    test -e "$tree/etc/systemd/system/onlay-checks.service"
}

# starts ID: with its kernel away, it boots in a container as far as it does in the machine, and shuts down in order.
starts() {
    local deploy name container=(--quiet --register=no --keep-unit --link-journal=no --timezone=off --resolv-conf=off --private-network)
    deploy=$(echo "$PWD"/sysroot/ostree/deploy/*)
    for name in var:/var deploy/"$1"/usr:/usr; do container+=(--bind="$deploy/$name"); done
    mkdir -p share /run/systemd/nspawn
    # There nspawn leaves a directory, by the machine's name: two of these at a time must not meet.
    mount -t tmpfs nspawn /run/systemd/nspawn
    echo 'cat /proc/1/comm >/results/first' >share/checks.sh
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn "${container[@]}" --bind="$PWD/share:/results" --bind="$PWD/sysroot:/sysroot" \
        --directory="$deploy/deploy/$1" --boot systemd.unit=onlay-checks.service systemd.show_status=no </dev/null >said 2>&1 ||
        { cat said >&2 && exit 1; }
    umount /run/systemd/nspawn
    test "$(cat share/first)" = systemd
}

read -r id version packages < <(next)
boots "$id"
whole "$id"
ostree fsck --repo=$repo --quiet >said 2>&1 || { cat said >&2 && exit 1; }
starts "$id"
# With what is there already, by ostree's own rules of what is kept.
layer override remove procps --cached >said 2>&1 || { cat said >&2 && exit 1; }
read -r other _ < <(next)
test "$other" != "$id" || { cat said >&2 && exit 1; }
for name in overlay var; do test ! -e "$state/layers/$name"; done
boots "$other"
test -z "$(ls "$repo/tmp/onlay-staging")"
test ! -e "$repo/tmp/onlay-base"
umount sysroot
e2fsck -fn ostree.ext4 >said 2>&1 || { cat said >&2 && exit 1; }
echo "$version" ${packages:+"$packages"}
