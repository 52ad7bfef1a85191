#!/bin/bash
# dpkg and apt on a Debian whose database is in /usr, while extensions are merged by systemd-sysext, and with them the database
# that was made for that. The host's /usr is read-only.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

database=/usr/lib/sysimage/dpkg

base() {
    dpkg-query --show >"/results/$1.dpkg"
    apt list --installed 2>/dev/null | sort >"/results/$1.apt"
    find $database -type f -exec sha256sum {} + | sort >"/results/$1.files"
}

before() {
    mkdir /usr/lib/sysimage
    mv /var/lib/dpkg $database
    ln -s ../../$database /var/lib/dpkg
    mount -o remount,bind,ro /usr
    base before
    refuse dpkg --search /usr/bin/onlay-strace
    refuse dpkg --status lab-deb
}

merged() {
    # Images are merged by loop devices.
    mount -t devtmpfs devtmpfs /dev
    onlay ext add /results/tools*.raw
    onlay-strace -V
    # tmpfiles.d has put it there.
    grep configured /etc/lab-deb.conf
    onlay ext check
}

listed() {
    dpkg-query --show >/results/merged.dpkg
    diff /results/before.dpkg /results/merged.dpkg | grep '^[<>]' | sort | diff /results/expected -
    dpkg --search /usr/bin/onlay-strace | grep '^onlay-tool: /usr/bin/onlay-strace$'
    dpkg --search /etc/lab-deb.conf | grep '^lab-deb:amd64: '
    dpkg --listfiles lab-deb | grep '^/usr/share/lab-deb/file$'
    refuse dpkg --search /usr/share/doc/lab-deb/dropped
    dpkg --list lab-deb | grep '^ii  lab-deb:amd64 '
    dpkg-query --show --showformat '${Conffiles}\n' lab-deb | grep '^ /etc/lab-deb.conf '
    dpkg --verify lab-deb onlay-tool
    dpkg --audit >/results/said
    test ! -s /results/said
    echo edited >>/etc/lab-deb.conf
    dpkg --verify lab-deb | grep '^??5?????? c /etc/lab-deb.conf$'
    setpriv --reuid=65534 --clear-groups dpkg --search /usr/bin/onlay-strace
}

by_apt() {
    apt list --installed 2>/dev/null | grep '^lab-deb/'
    apt-get check
    tell apt-get --simulate install lab-deb
    says 'lab-deb is already the newest version'
    tell apt-get --simulate remove lab-deb
    says 'Remv lab-deb'
    tell apt-get --yes remove lab-deb
    test "$code" != 0
    grep -i 'read-only file system' /results/said
    tell dpkg --remove onlay-tool
    test "$code" != 0
    grep -i 'read-only file system' /results/said
}

# An extension that is merged is built again, and a newer one of it, over the base: neither apt nor what judges takes it for
# a part of that.
built_again() {
    local images=/results/again repository=/srv/again
    mkdir -p $images $repository
    dpkg-deb --raw-extract /results/lab-deb.deb $repository/lab
    sed -i 's/^Version: .*/Version: 1:2.0-4/' $repository/lab/DEBIAN/control
    echo newer >$repository/lab/usr/share/lab-deb/file
    dpkg-deb --build $repository/lab $repository/newer.deb
    offer /results/lab-deb.deb
    echo "deb [trusted=yes] file:$repository ./" >/etc/apt/sources.list.d/again.list
    tell onlay build tools -p lab-deb --output $images
    test "$code" = 0
    grep "onlay: to have it on this host: 'onlay ext add $images/tools_2.0-3_x86-64.raw'" /results/said
    offer $repository/newer.deb
    tell onlay build tools -p lab-deb --output $images
    test "$code" = 0
    refuse grep 'in the base, too' /results/said
    tell onlay build tools -p $repository/newer.deb --output $images
    test "$code" = 0
    # Others than root cannot take it off, and are told so.
    tell setpriv --reuid=65534 --regid=65534 --clear-groups onlay build tools -p $repository/newer.deb --output /tmp
    says 'onlay: the extensions that are merged are taken for a part of the base: only root sees it without them'
    # It was merged all the time.
    onlay-strace -V
    # Nor is it in what stands for the base.
    onlay ext base $images/base
    tell onlay build tools -p $repository/newer.deb --base $images/base --output $images
    test "$code" = 0
    refuse grep 'in the base' /results/said
    rm /etc/apt/sources.list.d/again.list
}

# What the repository has: offer FILE
offer() {
    cp "$1" /srv/again/offered.deb
    {
        dpkg-deb --field "$1"
        echo "Filename: ./offered.deb"
        echo "Size: $(stat -c %s "$1")"
        echo "SHA256: $(sha256sum "$1" | cut -d ' ' -f 1)"
    } >/srv/again/Packages
    rm -rf /var/lib/apt/lists/*again*
}

# Links are made anew, and systemd merges them after us.
as_at_boot() {
    systemd-sysext unmerge
    refuse dpkg --status lab-deb
    rm -r /run/extensions /run/onlay
    onlay ext refresh --at-boot
    refuse dpkg --status lab-deb
    # Had systemd not merged it.
    onlay ext list | grep "^tools: next boot: systemd has not merged it at this boot .*: 'onlay ext refresh' does"
    systemd-sysext merge
    dpkg --search /usr/bin/onlay-strace
    onlay ext list >/results/said
    grep '^tools .* active ' /results/said
}

# As an update works in the next snapshot: what is merged is not there.
elsewhere() {
    mkdir /root/base
    mount --bind / /root/base
    mount --bind /var /root/base/var
    chroot /root/base dpkg-query --show | diff /results/before.dpkg -
    umount /root/base/var /root/base
}

unmerged() {
    onlay ext remove tools
    refuse dpkg --status lab-deb
    base after
    for kind in dpkg apt files; do
        diff "/results/before.$kind" "/results/after.$kind"
    done
}

# What was installed in an overlay is known as well when that is kept as an extension.
saved() {
    rm /etc/lab-deb.conf
    inside kept -- 'dpkg --install /results/lab-deb.deb'
    cd /results
    onlay save kept --ext kept --drop usr/share/doc
    tell onlay ext add /results/kept_*.raw
    test "$code" = 0
    refuse says 'dpkg does not'
    dpkg --search /usr/share/lab-deb/file | grep '^lab-deb:amd64: '
    dpkg --search /etc/lab-deb.conf | grep '^lab-deb:amd64: '
    dpkg --verify lab-deb
    onlay ext remove kept
}

step before before
step merged merged
step listed listed
step apt by_apt
step built-again built_again
step as-at-boot as_at_boot
step elsewhere elsewhere
step unmerged unmerged
step saved saved
finish
