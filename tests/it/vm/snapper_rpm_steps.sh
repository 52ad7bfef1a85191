# What the checks of a host with snapshots share whose packages are RPMs: beside snapper_steps.sh, in the machine.
# shellcheck shell=bash

one_database() {
    test "$(find / -xdev \( -name Packages.db -o -name rpmdb.sqlite \) -print)" = /usr/lib/sysimage/rpm/Packages.db
    test -z "$(find /opt /srv /var -path /var/lib/onlay -prune -o \( -name Packages.db -o -name rpmdb.sqlite \) -print)"
    test "$(readlink --canonicalize /var/lib/rpm)" = /usr/lib/sysimage/rpm
}

# sound LINE…: the database is whole, and tells the truth: every file is as its package has it, but for what is told here, what people edit, and what is the
# machine's own.
sound() {
    rpmdb --verifydb
    rpm --verify --all --nomtime 2>&1 | grep -v -e ' c /etc/' -e ' /var/' -e ' /run' -e ' /media$' -e '/sys$' -e ' /root$' >/results/verified || true
    diff /results/verified <(printf '%s\n' "$@" | sed '/^$/d')
}

# versions NAME…: as rpm says.
versions() { rpm --query --queryformat '%{NAME} %{VERSION}\n' "$@"; }

# The directory of what is booted next.
next_root() { echo "/.snapshots/$(next)/snapshot"; }

# boots VERSION ROOT: links lead to this kernel and its initramfs.
boots() {
    test "$(readlink "$2/boot/vmlinuz")" = "vmlinuz-$1"
    test "$(readlink "$2/boot/initrd")" = "initrd-$1"
    test -s "$2/boot/vmlinuz"
    test -s "$2/boot/initrd"
}
