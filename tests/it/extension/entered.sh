#!/bin/bash
# Overlays that are entered while extensions are merged, and while they are not: by a real systemd-sysext, on a host whose package
# database is in /usr, of rpm or of dpkg. An overlay is one thing, whatever is merged.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

overlays=/var/lib/onlay/overlays
if [ -e /usr/lib/sysimage/rpm ]; then
    # What the overlay installs, and what the extension has, with its program.
    own=lab-rich own_file=/srv/repo/base/noarch/lab-rich-1.0-1.noarch.rpm
    tool=lab-tool tool_file=/srv/repo/base/x86_64/lab-tool-1.0-1.x86_64.rpm program=/usr/bin/lab-strace
    add() { rpm --install --nodeps "$@"; }
    has() { rpm --query "$@"; }
    sound() { rpm --verify --nodeps "$@"; }
    owner() { rpm --query --file --queryformat '%{NAME}\n' "$1"; }
    all() { rpm --query --all --queryformat '%{NAME} %{ARCH} %{EVR}\n' | sort; }
    checked() { rpmdb --verifydb; }
else
    own=lab-deb own_file=/results/lab-deb.deb
    tool=onlay-tool tool_file=/results/onlay-tool.deb program=/usr/bin/onlay-strace
    add() { dpkg --install "$@"; }
    has() { dpkg --status "$@" | grep '^Status: install ok installed'; }
    sound() { dpkg --verify "$@"; }
    owner() { dpkg --search "$1" | sed 's/[: ].*//'; }
    all() { dpkg-query --show; }
    checked() { test -z "$(dpkg --audit)"; }
fi
export own own_file tool tool_file program
export -f add has sound owner all checked

# directory NAME: an extension without packages.
directory() {
    local top=/run/extensions/$1
    mkdir -p "$top/usr/bin" "$top/usr/share/$1" "$top/opt/$1" "$top/usr/lib/extension-release.d"
    echo ID=_any >"$top/usr/lib/extension-release.d/extension-release.$1"
    for name in usr/bin/$1 usr/share/$1/copied usr/share/$1/edited usr/share/$1/removed usr/share/$1/same opt/$1/file; do
        echo "$1" >"$top/$name"
    done
}

listed() {
    onlay diff "$@" >/results/listed
    cat /results/listed
}

lists() {
    grep -E -- "$1" /results/listed
}

prepared() {
    mount -t devtmpfs devtmpfs /dev
    if [ ! -e /usr/lib/sysimage/rpm ]; then
        mkdir /usr/lib/sysimage
        mv /var/lib/dpkg /usr/lib/sysimage/dpkg
        ln -s ../../usr/lib/sysimage/dpkg /var/lib/dpkg
    fi
    mkdir -p /usr/share/base /opt/base
    for name in edited removed; do echo base >/usr/share/base/$name; done
    echo base >/opt/base/file
    all >/results/base
}

# What was changed before the first extension was merged is there, files and packages, beside what that has.
before_and_after() {
    inside one -- 'echo one >/usr/bin/first; echo one >/usr/share/base/edited; rm /usr/share/base/removed
        echo one >/opt/base/file; add $own_file'
    onlay ext add /results/tools*.raw
    directory plain
    onlay ext refresh
    grep 'sysext /opt' <(awk '{print $1, $2}' /proc/mounts)
    # Before it is entered: what it changes, and nothing of what is merged.
    onlay diff one >/results/listed 2>/results/said
    test ! -s /results/said
    lists 'package .*'"$own"
    lists 'added .*/usr/bin/first'
    lists 'changed .*/usr/share/base/edited'
    lists 'removed .*/usr/share/base/removed'
    lists 'changed .*/opt/base/file'
    refuse lists "$tool|$program|plain|extension-release"
    onlay list | grep '^one .*which has changed'
    refuse onlay save one --ext too-early --dry-run
    onlay rebase one --dry-run
    onlay shell --dry-run one
    tell inside one -- 'grep one /usr/bin/first /usr/share/base/edited /opt/base/file; test ! -e /usr/share/base/removed
        test "$(cat /usr/bin/plain /opt/plain/file | sort -u)" = plain
        $program -V; has $own; has $tool; sound $own $tool; test $(owner $program) = $tool; checked
        all >/usr/share/all'
    test "$code" = 0
    says 'other extensions are merged than when this overlay was last entered: now they are plain, tools'
    onlay list | grep '^one ' | refuse grep changed
    listed one
    lists 'package .*'"$own"
    refuse lists "$tool|$program|plain|extension-release"
    lists 'added .*/usr/bin/first'
    lists 'changed .*/usr/share/base/edited'
    lists 'removed .*/usr/share/base/removed'
    lists 'changed .*/opt/base/file'
    # Nothing of the host was changed.
    grep base /usr/share/base/edited
    refuse has "$own"
    # In one place on disk.
    test -e $overlays/one/layers/@root/upper/usr/bin/first
    test ! -e $overlays/one/layers/usr
    silent_again one
}

# Entering it once more has nothing to follow, and nothing to say.
silent_again() {
    tell onlay -q shell "$1" -- true
    tell onlay shell "$1" -- true
    refuse says 'extensions'
    refuse says 'follows'
}

# What was changed while they are merged stays when they go; copies of what they had do not.
they_go() {
    inside one -- 'echo one >/usr/bin/second; : >>/usr/share/plain/copied; echo one >/usr/share/plain/edited
        rm /usr/share/plain/removed; : >>$program; echo one >/opt/plain/mine'
    listed one
    lists 'added .*/usr/bin/second'
    lists 'changed .*/usr/share/plain/edited'
    lists 'removed .*/usr/share/plain/removed'
    refuse lists "copied|$program|$tool"
    onlay ext disable tools
    rm -r /run/extensions/plain
    onlay ext refresh
    refuse grep sysext /proc/mounts
    # Before it is entered without them: what it copied of them is nobody's change.
    tell onlay diff one
    says 'it is compared with the base without any'
    mv /results/said /results/listed
    lists 'package .*'"$own"
    lists 'added .*/usr/bin/second'
    lists 'added .*/usr/share/plain/edited'
    lists 'added .*/opt/plain/mine'
    refuse lists "copied|plain/removed|$program|$tool"
    tell inside one -- 'grep one /usr/bin/first /usr/bin/second /usr/share/plain/edited /opt/plain/mine
        test ! -e $program; test ! -e /usr/share/plain/copied; test ! -e /usr/share/base/removed
        has $own; sound $own; checked; refuse has $tool'
    test "$code" = 0
    says 'extensions were merged when this overlay was last entered, and none are now'
    says '/usr/share/plain/edited: changed in the overlay, gone from the host'
    listed one
    lists 'package .*'"$own"
    refuse lists "$tool|$program|copied|plain/removed"
    silent_again one
    # They come again, and what was removed of them is there, as it is for their packages.
    directory plain
    onlay ext enable tools
    inside one -- 'grep one /usr/bin/second /usr/share/plain/edited; grep plain /usr/share/plain/removed
        has $tool; sound $own $tool; $program -V'
    silent_again one
}

# An overlay that is made while they are merged keeps what it installed itself when they go, and when they come again.
own_packages() {
    inside two -- 'add $own_file; echo two >/usr/bin/two'
    inside two -- 'sound $own $tool; checked'
    listed two
    lists 'package .*'"$own"
    refuse lists "$tool|$program"
    onlay save two --ext saved --version 1
    onlay inspect --files saved_1_*.raw >/results/listed
    lists 'usr/bin/two'
    refuse lists "plain|${program#/}"
    onlay ext disable tools
    rm -r /run/extensions/plain
    onlay ext refresh
    inside two -- 'has $own; sound $own; refuse has $tool; grep two /usr/bin/two; checked'
    # What it is itself is merged as an extension, and goes again.
    onlay ext add saved_1_*.raw
    has "$own"
    inside two -- 'has $own; sound $own; grep two /usr/bin/two; checked'
    silent_again two
    listed two
    refuse lists "$tool"
    onlay ext remove saved
    refuse has "$own"
    tell inside two -- 'has $own; sound $own; grep two /usr/bin/two; checked'
    test "$code" = 0
    listed two
    lists 'package .*'"$own"
    lists 'added .*/usr/bin/two'
    onlay rm two
}

# The same package in the overlay and in an extension.
same_package() {
    inside three -- 'add $tool_file; $program -V'
    onlay ext enable tools
    # It has that itself, though nothing of it differs from what is seen.
    for _ in 1 2; do
        listed three
        lists 'package .*'"$tool"
        lists "added .*$program"
        inside three -- 'has $tool; sound $tool; $program -V; checked'
    done
    onlay save three --ext mine --version 1
    onlay inspect --files mine_1_*.raw >/results/listed
    lists "${program#/}"
    onlay ext disable tools
    inside three -- 'has $tool; sound $tool; $program -V; checked'
    listed three
    lists 'package .*'"$tool"
    lists "added .*$program"
    onlay rm three
}

# A file that is no package's, where an extension has the same, or another, or a link.
same_file() {
    mkdir -p /run/extensions/plain
    inside four -- 'mkdir -p /usr/share/plain /opt/plain; echo plain >/usr/share/plain/same; echo four >/usr/share/plain/edited
        echo plain >/opt/plain/file'
    directory plain
    onlay ext refresh
    inside four -- 'grep plain /usr/share/plain/same /opt/plain/file; grep four /usr/share/plain/edited; cat /usr/share/plain/copied'
    silent_again four
    directory other
    onlay ext refresh
    inside four -- 'grep plain /usr/share/plain/same; grep four /usr/share/plain/edited; cat /usr/bin/other'
    rm -r /run/extensions/plain /run/extensions/other
    onlay ext refresh
    tell inside four -- 'grep plain /usr/share/plain/same /opt/plain/file; grep four /usr/share/plain/edited
        test ! -e /usr/share/plain/copied'
    test "$code" = 0
    refuse says 'has it no more'
    listed four
    lists 'added .*/usr/share/plain/same'
    lists 'added .*/opt/plain/file'
    onlay rm four
}

# The overlay has removed a directory over which something is merged, or has one of its own in its place.
replaced() {
    inside five -- 'rm -r /opt/base; mkdir /opt/base; echo five >/opt/base/five'
    inside six -- 'rm -r /opt; ln -s usr /opt'
    directory plain
    onlay ext refresh
    inside five -- 'grep five /opt/base/five; test ! -e /opt/base/file; grep plain /opt/plain/file'
    listed five
    lists 'removed .*/opt/base/file'
    tell inside six -- 'test "$(readlink /opt)" = usr; grep plain /usr/bin/plain'
    test "$code" = 0
    says '/opt is not shown inside'
    rm -r /run/extensions/plain
    onlay ext refresh
    inside five -- 'grep five /opt/base/five; test ! -e /opt/base/file'
    onlay rm five six
}

# systemd-confext merges over /etc, and systemd-sysext with a directory that can be written.
settings_and_mutable() {
    local top=/run/confexts/settings/etc
    echo base >/etc/base.conf
    inside seven -- 'echo seven >/etc/seven.conf; echo seven >/etc/base.conf; useradd --system --no-create-home seven'
    mkdir -p $top/extension-release.d
    echo ID=_any >$top/extension-release.d/extension-release.settings
    echo settings | tee $top/settings.conf >$top/copied.conf
    systemd-confext refresh
    inside seven -- 'grep seven /etc/seven.conf /etc/base.conf; grep settings /etc/settings.conf; getent passwd seven
        : >>/etc/copied.conf; echo more >/etc/more.conf'
    silent_again seven
    listed seven
    refuse lists 'settings|copied'
    systemd-confext unmerge
    inside seven -- 'grep seven /etc/seven.conf /etc/base.conf; grep more /etc/more.conf; getent passwd seven
        test ! -e /etc/copied.conf; test ! -e /etc/settings.conf'
    directory plain
    mkdir -p /var/lib/extensions.mutable/usr/share
    echo mutable >/var/lib/extensions.mutable/usr/share/mutable
    systemd-sysext --mutable=yes refresh
    touch /usr/share/written
    inside seven -- 'cat /usr/share/mutable /usr/share/written; echo seven >/usr/share/written; echo seven >/usr/share/seven'
    test ! -s /usr/share/written
    systemd-sysext unmerge
    rm -r /run/extensions/plain /var/lib/extensions.mutable
    inside seven -- 'grep seven /usr/share/seven /usr/share/written; test ! -e /usr/share/mutable'
    onlay rm seven
    rm -r /run/confexts
}

# In RAM, isolated, and while others are in it.
other_ways() {
    directory plain
    onlay ext refresh
    inside --temp -- 'echo x >/usr/bin/x; grep plain /usr/bin/plain; echo y >/usr/bin/plain; grep y /usr/bin/plain'
    # What keeps services from being started is there, and no change.
    refuse test -e /usr/sbin/policy-rc.d
    inside one -- '/usr/sbin/policy-rc.d || test $? = 101'
    onlay diff one >/results/listed
    refuse lists policy-rc
    inside --isolate one -- 'grep one /usr/bin/first; grep plain /usr/bin/plain; echo isolated >/usr/bin/isolated'
    inside one -- 'grep isolated /usr/bin/isolated'
    grep plain /usr/bin/plain
    hold held
    directory other
    onlay ext refresh
    cat /usr/bin/other
    inside held -- 'grep plain /usr/bin/plain; test ! -e /usr/bin/other; cat /usr/first; echo held >/usr/bin/held'
    release
    inside held -- 'cat /usr/bin/other; grep held /usr/bin/held; cat /usr/first'
    rm -r /run/extensions/plain /run/extensions/other
    onlay ext refresh
    inside held -- 'grep held /usr/bin/held; test ! -e /usr/bin/other'
    onlay rm held
}

# An earlier version kept what was changed meanwhile by itself.
of_an_earlier_version() {
    local layers=$overlays/old/layers
    directory plain
    onlay ext refresh
    inside old -- 'echo old >/usr/bin/old; echo old >/usr/share/plain/edited'
    mkdir "$layers/usr"
    mv "$layers/@root/upper/usr" "$layers/usr/upper"
    mv "$layers/@root/work-usr" "$layers/usr/work"
    mkdir -p "$layers/@root/upper/usr/bin"
    echo before >"$layers/@root/upper/usr/bin/before"
    cp -r $overlays/old $overlays/clash
    echo clash >$overlays/clash/layers/@root/upper/usr/bin/old
    inside old -- 'grep old /usr/bin/old /usr/share/plain/edited; grep before /usr/bin/before'
    test ! -e "$layers/usr"
    tell inside clash -- 'grep clash /usr/bin/old; grep before /usr/bin/before; grep plain /usr/share/plain/edited'
    test "$code" = 0
    says "stays in $overlays/clash/apart-usr"
    grep old $overlays/clash/apart-usr/upper/bin/old
    # Also where none are merged any more.
    mkdir "$layers/usr"
    mv "$layers/@root/upper/usr" "$layers/usr/upper"
    mkdir "$layers/usr/work"
    rm -r /run/extensions/plain
    onlay ext refresh
    inside old -- 'grep old /usr/bin/old; grep before /usr/bin/before'
    onlay rm old clash
}

# What an overlay holds is unlocked on the host, and what was unlocked is kept as an overlay.
live() {
    directory plain
    onlay ext refresh
    inside seven -- 'echo seven >/usr/bin/seven; echo seven >/usr/share/plain/edited'
    onlay unlock --from seven
    grep seven /usr/bin/seven /usr/share/plain/edited
    echo eight >/usr/bin/eight
    onlay diff --live | grep 'added .*/usr/bin/eight'
    onlay diff --live | refuse grep plain/copied
    onlay lock --save eight
    test ! -e /usr/bin/seven
    inside eight -- 'grep eight /usr/bin/eight; grep seven /usr/bin/seven /usr/share/plain/edited'
    test -e $overlays/eight/layers/@root/upper/usr/bin/eight
    rm -r /run/extensions/plain
    onlay ext refresh
    inside eight -- 'grep eight /usr/bin/eight; grep seven /usr/bin/seven; test ! -e /usr/share/plain/copied'
    onlay rm seven eight
}

# Packages installed on the unlocked host over the generated database.
live_packages() {
    onlay ext enable tools
    onlay unlock
    add "$own_file"
    has "$own" "$tool"
    onlay diff --live --packages >/results/listed
    lists "$own"
    refuse lists "$tool"
    onlay lock --save nine
    refuse has "$own"
    has "$tool"
    inside nine -- 'has $own; has $tool; sound $own $tool; checked'
    onlay ext disable tools
    inside nine -- 'has $own; refuse has $tool; sound $own; checked'
    onlay rm nine
}

# /usr is a file system of its own, and so has a layer of its own, whether anything is merged over it or not.
separate() {
    mount --bind /usr /usr
    inside ten -- 'echo ten >/usr/bin/ten; add $own_file'
    directory plain
    onlay ext enable tools
    inside ten -- 'grep ten /usr/bin/ten; grep plain /usr/bin/plain; has $own; has $tool; sound $own $tool; echo ten >/usr/bin/more'
    test -e $overlays/ten/layers/usr/upper/bin/more
    listed ten
    refuse lists "$tool|$program|plain"
    onlay ext disable tools
    rm -r /run/extensions/plain
    onlay ext refresh
    inside ten -- 'grep ten /usr/bin/ten /usr/bin/more; has $own; refuse has $tool; sound $own; checked'
    onlay rm ten
    umount --lazy /usr
}

# The host has what it had.
unchanged() {
    refuse grep sysext /proc/mounts
    all | diff /results/base -
}

cd /srv
step prepared prepared
step before-and-after before_and_after
step they-go they_go
step own-packages own_packages
step same-package same_package
if [ ! -e /results/packages-alone ]; then
    step same-file same_file
    step replaced replaced
    step settings-and-mutable settings_and_mutable
    step other-ways other_ways
    step of-an-earlier-version of_an_earlier_version
    step live live
    step live-packages live_packages
    step separate separate
fi
step unchanged unchanged
finish
