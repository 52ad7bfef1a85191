# What the checks of a host of OSTree's whose packages are RPMs share: beside machine/steps.sh, in the machine.
# shellcheck shell=bash

# Of rpm's databases there is one, which is whole, and tells the truth: every file is as its package has it. Other places are links to it. What boots beside its
# own packages has nothing that they need and lacks; and /usr cannot be written to.
sound() {
    refuse touch /usr/x
    test "$(find / -xdev \( -path /sysroot -o -path /var/lib/onlay \) -prune -o \( -name Packages.db -o -name rpmdb.sqlite \) -print)" = /usr/lib/sysimage/rpm/Packages.db
    test "$(rpm --eval '%{_dbpath}')" = /usr/lib/sysimage/rpm
    test "$(readlink --canonicalize /var/lib/rpm)" = /usr/lib/sysimage/rpm
    rpmdb --verifydb
    # All that the tree has in places which are the machine's own; what changes on its own; and what is told as left out.
    rpm --verify --all --nomtime 2>&1 | grep -v -e ' c /etc/' -e ' /var/' -e ' /run' -e ' /media$' -e '/sys$' -e ' /root$' >/results/verified || true
    diff /results/verified <(printf '%s\n' "$@" | sed '/^$/d')
}

# has_kernel VERSION: the deployment has this one alone.
has_kernel() {
    test "$(ls /usr/lib/modules)" = "$1"
}

# versions NAME…: as rpm says.
versions() { rpm --query --queryformat '%{NAME} %{VERSION}\n' "$@"; }

# What was taken out of the base is not there.
without_overridden() {
    for name in lab-old strace; do refuse rpm --query "$name"; done
    refuse command -v strace
    lab-strace -V | grep version
}

# A service of a layer runs, as a user of its own, for whom the root must be open.
serves() {
    systemctl start lab-daemon.service
    sleep 2
    test "$(stat --format %U "/proc/$(systemctl show --property MainPID --value lab-daemon.service)")" = lab-daemon
    test "$(stat --format %U:%a /var/lib/lab-daemon)" = lab-daemon:700
    test "$(stat --format %U:%G /run/lab-daemon)" = lab-daemon:lab-daemon
    test "$(stat --format %a:%U /)" = 755:root
}
