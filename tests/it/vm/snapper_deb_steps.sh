# What the checks of a host with snapshots share whose packages are Debian's: beside snapper_steps.sh, in the machine.
# shellcheck shell=bash

one_database() {
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
