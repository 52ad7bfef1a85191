# What the checks of hosts with snapshots share: beside machine/steps.sh, in the machine. Each has a function `one_database` besides.
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
    one_database
}

# Nobody is at work, and nothing is left of anybody's: each snapshot is known, whole, and not to be written to.
tidy() {
    refuse sh -c 'snapper --csvout list --columns userdata | grep in-progress'
    find /.snapshots -mindepth 1 -maxdepth 1 -printf '%f\n' | sort --numeric-sort |
        diff - <(snapper --csvout list --columns number | grep -vx 'number\|0')
    for place in /.snapshots/*/snapshot; do test "$(btrfs property get -ts "$place" ro)" = ro=true; done
    for name in overlay var; do test ! -e "/var/lib/onlay/layers/$name"; done
}
