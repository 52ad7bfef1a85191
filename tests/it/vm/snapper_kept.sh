#!/bin/bash
# What a cut has left of a host with snapshots while onlay-needy and onlay-probe came beside onlay-tool: `snapper_kept.sh ONLAY DIR`; DIR has its disk. What is booted next
# is what was before, or has all. Says how far it was: `before`, `begun` or `done`. Another change is made then, which leaves nothing of that.
set -eu

ONLAY=$1
here=$(dirname "$(realpath "$0")")
cd "$2"
mkdir root
# shellcheck source=tests/it/layer/snapper_preamble.sh
. "$here/../layer/snapper_preamble.sh"

marks() { snapper --csvout list --columns userdata | grep --count in-progress=yes || true; }

sound() {
    test "$(btrfs property get -ts "$(next)" ro)" = ro=true
    test -z "$(dpkg_in --audit)"
    # But for what lies on other file systems.
    dpkg_in --verify "$@" | grep --invert-match ' /opt/onlay-probe\| /srv/onlay-probe' && return 1
    true
}

# The names of our packages in what is booted next, installed or not.
names() { dpkg_in --list 'onlay-*' | awk '/^[a-z]+ / { print $1, $2 }' | paste --serial --delimiters ','; }

all=(onlay-base onlay-needy onlay-probe onlay-tool)
case $(names) in
'ii onlay-tool')
    sound onlay-tool
    if [ "$(marks)" = 0 ]; then echo before; else echo begun; fi
    ;;
"$(printf ',ii %s' "${all[@]}" | cut --characters 2-)")
    sound "${all[@]}"
    echo 'done'
    ;;
*)
    names >&2
    exit 1
    ;;
esac

layer add onlay-base >added 2>&1 || { cat added >&2 && exit 1; }
sound onlay-tool onlay-base
test "$(marks)" = 0
find root/.snapshots -mindepth 1 -maxdepth 1 -printf '%f\n' | sort --numeric-sort |
    diff - <(snapper --csvout list --columns number | grep -vx 'number\|0') >&2
trap - EXIT
off
cd "$top"
btrfs check --readonly disk.btrfs >check 2>&1 || { cat check >&2 && exit 1; }
