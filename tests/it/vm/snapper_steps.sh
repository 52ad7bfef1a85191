# What the checks of a host with snapshots share: beside machine/steps.sh, in the machine.
# shellcheck shell=bash

# The number of the snapshot that is booted next, as snapper says.
next() { snapper --csvout list --columns default,number | sed -n 's/^yes,//p'; }

# runs NUMBER: this snapshot is the root, and cannot be written to, by its mount and by itself; nor is there another database of packages than its own.
runs() {
    findmnt --noheadings --output SOURCE / | grep "\[/@/.snapshots/$1/snapshot\]"
    onlay status | grep "(snapshot $1)"
    onlay layer status | grep "^$1 .* runs"
    findmnt --noheadings --output OPTIONS / | grep -w '^ro'
    test "$(btrfs property get -ts / ro)" = ro=true
    for place in /x /usr/x /etc/x; do refuse touch "$place"; done
    test "$(find /etc /opt /srv /usr /var -path /var/lib/onlay -prune -o -path '*/dpkg/status' -print)" = /usr/lib/sysimage/dpkg/status
    test "$(readlink --canonicalize /var/lib/dpkg)" = /usr/lib/sysimage/dpkg
    test -z "$(dpkg --audit)"
}

# has NAME…: these packages of ours, and no others, are installed, as they were packed.
has() {
    dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' 'onlay-*' | awk '{ print $1, $2 }' | diff - <(printf 'ii %s\n' "$@")
    dpkg --verify "$@" >/results/verified || true
    # What lies on other file systems is not in the snapshot: of /opt there is a link.
    refuse grep -v ' /srv/onlay-probe' /results/verified
}

# Nothing of ours is there; each package is what it was before.
plain() {
    dpkg-query --show | diff /root/packages -
    refuse dpkg-query --show 'onlay-*'
    for name in onlay-strace onlay-probe; do refuse command -v "$name"; done
    refuse getent passwd onlay-probe
    test ! -e /usr/lib/onlay/layers.json
}

# Nobody is at work, and nothing is left of anybody's: each snapshot is known, whole, and not to be written to.
tidy() {
    refuse sh -c 'snapper --csvout list --columns userdata | grep in-progress'
    find /.snapshots -mindepth 1 -maxdepth 1 -printf '%f\n' | sort --numeric-sort |
        diff - <(snapper --csvout list --columns number | grep -vx 'number\|0')
    for place in /.snapshots/*/snapshot; do test "$(btrfs property get -ts "$place" ro)" = ro=true; done
    for name in overlay var; do test ! -e "/var/lib/onlay/layers/$name"; done
}
