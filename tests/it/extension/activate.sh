# Extensions added, merged, held back and removed on a host that does not boot, by a real systemd-sysext.
# shellcheck shell=bash
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

merged() {
    local names
    names=$(grep -o '/run/systemd/sysext/extensions/[^/]*' /proc/self/mountinfo | sort -u | sed 's|.*/||' | paste -sd ' ')
    test "$names" = "$*"
}

# state NAME VERSION STATE
state() {
    onlay ext list | grep -E "^$1 +$2 +[0-9.]+ k?B +$3 "
}

nothing() {
    merged
    test -z "$(find /run/extensions /etc/onlay/extensions -mindepth 1)"
    test ! -e /etc/systemd/system/onlay-extensions.service
}

added() {
    onlay ext list 2>&1 | grep 'there are no extensions'
    tell onlay ext add --dry-run /srv/images/one_1_any.raw
    says "'one' 1 would be added and enabled"
    refuse says '/usr could not be written any more'
    mount -o remount,bind,rw /usr
    tell onlay ext add --dry-run /srv/images/one_1_any.raw
    says "/usr could not be written any more as long as extensions are merged ('systemd-sysext unmerge' takes them off)"
    mount -o remount,bind,ro /usr
    cp /usr/bin/onlay /run/onlay-copy
    tell /run/onlay-copy ext add /srv/images/one_1_any.raw
    says 'this program is not there at the next boot'
    test -z "$(find /var/lib/onlay/images -name '*.raw*')"
    nothing
    onlay ext add /srv/images/one_1_any.raw 2>/results/said
    says "onlay: 'one' 1 added and enabled"
    says 'onlay: merged: one'
    refuse grep 'cannot be written' /results/said
    says 'dpkg does not know the packages of extensions'
    test "$(one)" = 'one 1'
    merged one
    refuse touch /usr/bin/x
    state one 1 active
    test "$(readlink /etc/onlay/extensions/one.raw)" = /var/lib/onlay/images/one_1_any.raw
    test "$(readlink /run/extensions/one.raw)" = /var/lib/onlay/images/one_1_any.raw
    grep '^ExecStart="/usr/bin/onlay" --state "/var/lib/onlay" ext refresh --at-boot$' \
        /etc/systemd/system/onlay-extensions.service
    test -L /etc/systemd/system/sysinit.target.wants/onlay-extensions.service
    # The same once more, by another name: nothing is to be done, and nothing is.
    local mount
    mount=$(grep ' - overlay sysext ' /proc/self/mountinfo)
    cp /srv/images/one_1_any.raw /srv/images/renamed-1.raw
    onlay ext add /srv/images/renamed-1.raw 2>/results/said
    says "'one' 1 is there already"
    test "$(grep ' - overlay sysext ' /proc/self/mountinfo)" = "$mount"
    onlay ext refresh 2>&1 | grep 'all is merged that is to be: one$'
    test "$(onlay ext refresh --json | grep '"way"')" = '  "way": "unchanged",'
    test "$(ls /var/lib/onlay/images)" = "$(printf 'one_1_any.raw\nverdicts.json')"
}

# A newer one takes its place; the older one stays, and can be had back.
newer() {
    onlay ext add /srv/images/one_2_any.raw /srv/images/two_1_any.raw 2>/results/said
    says "onlay: 'one' 2 added and enabled in place of 1: 'onlay ext enable one=1' goes back to that"
    says 'merged: two'
    says 'merged anew: one'
    # Of the host, once is enough.
    refuse says 'dpkg does not know'
    tell onlay ext list
    refuse says 'dpkg does not know'
    test "$(one; two; cat /opt/two/file)" = "$(printf 'one 2\ntwo 1\nx')"
    merged one two
    state one 1 disabled
    state one 2 active
    onlay status | grep 'Extensions: *one 1, disabled'
    onlay status --json | grep '"state": "active"'
    onlay ext enable one=1
    test "$(one)" = 'one 1'
    onlay ext enable one 2>&1 | grep "'one' 2 enabled"
    test "$(one)" = 'one 2'
    onlay ext enable --dry-run one=1 2>&1 | grep "'one' 1 would be enabled"
    onlay ext enable --dry-run one=1 --json | grep '"changed": true'
    onlay ext check one=1 two
    tell onlay ext check nothing
    test "$code" = 1
    test "$(one)" = 'one 2'
    onlay ext disable two --no-refresh 2>&1 | grep "takes effect at the next boot, or with 'onlay ext refresh'"
    two
    onlay ext list | grep '^two: active: disabled: it goes with the next refresh or boot'
    onlay ext refresh --dry-run | grep 'would take off two'
    onlay ext refresh
    refuse two
    test ! -e /opt/two
    state two 1 disabled
    refuse onlay ext enable nothing
    refuse onlay ext enable one=3 2>&1 | grep "there is no image of 'one' 3"
    onlay ext enable two
}

# What was laid by us is systemd's: its own tool finds it, takes it off and lays it again.
systemds_own() {
    systemd-sysext status --json=short | tr -d ' ' | grep '"hierarchy":"/usr","extensions":\["one","two"\]'
    systemd-sysext unmerge
    merged
    refuse one
    state one 2 'next boot'
    onlay ext list | grep "^one: next boot: 'onlay ext refresh' merges it now"
    onlay status | grep "one 2, next boot: 'onlay ext refresh' merges it now"
    onlay ext refresh 2>/results/said
    says 'onlay: merged now: one, two'
    test "$(one)" = 'one 2'
    systemd-sysext refresh
    test "$(one; two)" = "$(printf 'one 2\ntwo 1')"
    onlay ext refresh 2>&1 | grep 'all is merged that is to be'
    test "$(grep -c ' - overlay sysext ' /proc/self/mountinfo)" = 2
}

# No look for a file is in vain while extensions are merged anew; a kernel before 6.5 cannot do that.
without_a_gap() {
    onlay ext refresh --always --json >/results/said
    grep -E '"way": "(beneath|by-systemd)"' /results/said
    grep '"way": "beneath"' /results/said || return 0
    rm -f /srv/stop /srv/missing
    (
        set +x
        while [[ ! -e /srv/stop ]]; do [[ -e /usr/bin/one && -e /opt/two/file ]] || echo missing >>/srv/missing; done
    ) &
    for _ in 1 2 3; do onlay -q ext refresh --always; done
    touch /srv/stop
    wait $!
    test ! -e /srv/missing
    # While systemd's own does have one.
    merged one two
    test "$(grep -c ' - overlay sysext ' /proc/self/mountinfo)" = 2
}

# Who is in a mount namespace of his own sees what is merged there, and what is mounted in /usr stays.
everywhere() {
    mkdir -p /srv/seen
    unshare --mount --propagation slave sh -c \
        'while [ ! -e /srv/seen/stop ]; do one >/srv/seen/now.new 2>&1; mv /srv/seen/now.new /srv/seen/now; sleep 0.02; done' &
    await grep -x 'one 2' /srv/seen/now
    onlay ext enable one=1
    await grep -x 'one 1' /srv/seen/now
    onlay ext disable one
    await grep 'not found' /srv/seen/now
    onlay ext enable one
    await grep -x 'one 2' /srv/seen/now
    # And nothing of what was merged before is left there.
    test "$(grep -c ' - overlay sysext ' /proc/$!/mountinfo)" = 2
    touch /srv/seen/stop
    wait $!
    local before
    systemd-sysext unmerge
    mount -t tmpfs local /usr/local
    touch /usr/local/mine
    systemd-sysext merge
    before=$(ls /usr/local)
    systemd-sysext unmerge
    onlay ext refresh --always
    test "$(ls /usr/local)" = "$before"
    onlay ext disable one
    onlay ext enable one
    test "$(ls /usr/local)" = "$before"
    systemd-sysext unmerge
    test -e /usr/local/mine
    umount /usr/local
    onlay ext refresh
}

# Whatever cannot be used is refused before anything is changed, and with it all that was to be added.
refused() {
    local before
    before=$(onlay ext list --json)
    cd /srv/images
    head -c 300 three_1_any.raw >cut_1_any.raw
    tell onlay ext add cut_1_any.raw three_1_any.raw
    test "$code" = 1
    says "'/srv/images/cut_1_any.raw' cannot be used: "
    tell onlay ext add three_1_any.raw /etc/passwd
    test "$code" = 1
    tell onlay ext add /srv/small
    says "'/srv/small' cannot be used: it has no release file"
    cp three_1_any.raw again_1_any.raw
    tell onlay ext add three_1_any.raw again_1_any.raw
    says "are both extension 'three'"
    mkfifo pipe.raw
    tell timeout 20 onlay ext add pipe.raw
    test "$code" = 1
    echo no package >package.deb
    tell onlay ext add package.deb
    says "hint: it is a package: 'onlay build NAME --package /srv/images/package.deb' makes an image of it"
    tell onlay ext add nameless_1_any.raw
    says 'it has no release file'
    # What is read without an error, and is not what was built.
    mkdir -p /srv/altered/usr/share/altered
    echo unchanged >/srv/altered/usr/share/altered/word
    onlay build altered --tree /srv/altered --version 1 --match any --compression none --output /srv/images --unfit
    sed -i s/unchanged/replaced!/ altered_1_any.raw
    tell onlay ext add altered_1_any.raw
    test "$code" = 1
    says 'it is not as it was built'
    refuse onlay ext add missing.raw
    refuse onlay ext remove missing
    tell setpriv --reuid=65534 --regid=65534 --clear-groups onlay ext check
    says 'only root may do that'
    tell setpriv --reuid=65534 --regid=65534 --clear-groups onlay ext owner /usr/bin/env
    says 'only root may do that'
    refuse setpriv --reuid=65534 --regid=65534 --clear-groups onlay ext add three_1_any.raw
    mount --bind /etc /etc
    mount -o remount,bind,ro /etc
    tell onlay ext add three_1_any.raw
    says 'is read-only'
    umount /etc
    test "$(onlay ext list --json)" = "$before"
    test -z "$(find /var/lib/onlay/images -name '*three*')"
    merged one two
}

# What does not fit is not added, but others are; and later it may fit.
unfit() {
    cd /srv/images
    tell onlay ext add needy_1_any.raw three_1_any.raw
    test "$code" = 1
    says "'needy' 1 not added, since it does not fit: usr/bin/needs needs libneedful.so.1, which is not found"
    says "'three' 1 added and enabled"
    test "$(three)" = 'three 1'
    test ! -e /var/lib/onlay/images/needy_1_any.raw
    tell onlay ext add --unfit needy_1_any.raw
    test "$code" = 1
    says "'needy' 1 added and enabled, but held back: usr/bin/needs needs libneedful.so.1, which is not found"
    test "$(grep -c libneedful /results/said)" = 1
    tell onlay ext enable needy
    says "'needy' 1 is enabled already, and held back: usr/bin/needs"
    test "$(grep -c libneedful /results/said)" = 1
    onlay ext disable needy
    tell onlay ext enable needy
    says "'needy' 1 not enabled, since it does not fit: usr/bin/needs"
    says '(--unfit enables it all the same, to be merged when it fits)'
    onlay -q ext enable --unfit needy || test $? = 1
    merged one three two
    state needy 1 'held back'
    onlay ext list --json | grep '"fits": false'
    tell onlay ext refresh
    test "$code" = 1
    tell onlay ext add wanted_1_any.raw
    test "$code" = 0
    merged needy one three two wanted
    # Another one goes, and what needed it is held back.
    for verb in disable remove; do
        tell onlay ext $verb --dry-run wanted
        test "$code" = 0
        says "'needy' would be held back then: usr/bin/needs needs libneedful.so.1"
        onlay ext $verb --dry-run --json wanted | tr -d ' \n' | grep '"would_hold_back":\[{"name":"needy"'
    done
    merged needy one three two wanted
    tell onlay ext disable wanted
    says "'needy' is held back"
    merged one three two
    onlay ext remove needy wanted three
    # It says that it is for another host.
    tell onlay ext add foreign_1_any.raw
    says "systemd does not merge it: it says ID=fedora, and the host is debian"
    test "$code" = 1
    # One hides a directory of another one: the later one is held back.
    tell onlay ext add clash_1_any.raw
    test "$code" = 1
    says "in extension 'two'"
    merged one two
}

# As somebody would who changes the base by hand: below what is merged, and where no package manager notes it.
in_base() {
    unshare --mount --propagation private bash -ec '
        while grep -q " /usr .* - overlay sysext " /proc/self/mountinfo; do umount --lazy /usr; done
        mount -o remount,bind,rw /usr
        "$@"' in-base "$@"
}

# What is said of an extension is true, whoever has changed the base since it was judged.
by_hand() {
    local libraries=/usr/lib/x86_64-linux-gnu
    local library=$libraries/libneedful.so.1
    cd /srv/images
    onlay -q ext add --unfit needy_1_any.raw || test $? = 1
    state needy 1 'held back'
    tell onlay ext check needy
    says 'needy: would be merged, but does not fit'
    # What is held back is judged, too, where all are.
    tell onlay ext check
    test "$code" = 1
    says 'needy: would be merged, but does not fit; it is for any host (ID=_any)'
    in_base cp /srv/images/libneedful.so.1 $library
    state needy 1 'next boot'
    onlay ext refresh
    merged needy one two
    # Nothing was changed since, so nothing is judged again, and so nothing written.
    cp -a /var/lib/onlay/images/verdicts.json /srv/
    onlay ext list | grep -E '^needy +1 .* active +yes'
    test ! /var/lib/onlay/images/verdicts.json -nt /srv/verdicts.json
    # Another one in its place, which is none.
    in_base bash -ec "cp /etc/passwd $library.new; mv $library.new $library"
    onlay ext list | grep -E '^needy +1 .* active +no'
    onlay ext list | grep '^needy: active: would be held back: usr/bin/needs needs libneedful.so.1, which is not found'
    onlay status | grep 'needy 1, active: would be held back'
    tell onlay ext check
    says 'needy: is merged, but does not fit'
    in_base cp /srv/images/libneedful.so.1 $library
    onlay ext list | grep -E '^needy +1 .* active +yes'
    in_base rm $library
    onlay ext list | grep -E '^needy +1 .* active +no'
    tell onlay ext refresh
    says "'needy' is held back: usr/bin/needs needs libneedful.so.1"
    merged one two
    onlay ext remove needy
}

# Beside extensions that others put where systemd looks.
beside_others() {
    local theirs=/var/lib/extensions
    mkdir -p $theirs
    cd /srv/images
    cp three_1_any.raw $theirs/three.raw
    tell onlay ext add three_1_any.raw
    test "$code" = 1
    says "somebody else has put '/var/lib/extensions/three.raw' there, which is the same extension"
    onlay ext refresh 2>&1
    merged one three two
    onlay ext refresh 2>&1 | grep 'all is merged that is to be: one, two; of others: three$'
    onlay ext refresh --json | tr -d ' \n' | grep '"others":\["three"\]'
    onlay ext list | grep -E '^three +- +- +active +- +\(of others, /var/lib/extensions/three.raw\)'
    # Under another name of an image, it would be merged twice.
    mv $theirs/three.raw $theirs/three_1.raw
    tell onlay ext add three_1_any.raw
    says 'which is the same extension'
    rm $theirs/three_1.raw
    # One that systemd cannot open keeps it from merging any.
    head -c 4096 /dev/urandom >$theirs/noise.raw
    refuse systemd-sysext refresh
    tell onlay ext refresh
    says "'/var/lib/extensions/noise.raw' is masked, since systemd would merge nothing"
    onlay ext refresh --json | grep '"path": "/var/lib/extensions/noise.raw"'
    merged one two
    systemd-sysext refresh
    merged one two
    onlay ext list | grep '^noise: unreadable: .*(masked)'
    rm $theirs/noise.raw
    onlay ext refresh
    test ! -e /run/extensions/noise
    mkdir -p /etc/extensions
    head -c 4096 /dev/urandom >/etc/extensions/noise.raw
    tell onlay ext refresh
    test "$code" = 1
    says "as long as '/etc/extensions/noise.raw' is there, systemd merges nothing"
    # Refused before anything is changed, unless nothing is to be merged.
    for words in 'add three_1_any.raw' 'disable one' 'remove one' 'enable one=1'; do
        # shellcheck disable=SC2086
        tell onlay ext $words
        test "$code" = 1
        says "as long as '/etc/extensions/noise.raw' is there, systemd merges nothing"
        says 'hint: move it away'
    done
    test ! -e /var/lib/onlay/images/three_1_any.raw
    test "$(readlink /etc/onlay/extensions/one.raw)" = /var/lib/onlay/images/one_2_any.raw
    onlay ext add --no-refresh three_1_any.raw
    onlay ext remove --no-refresh three
    rm -r /etc/extensions
    systemd-sysext refresh
    merged one two
}

# Of several versions in one place, what systemd takes is judged, told and merged beside ours.
versions_of_others() {
    local theirs=/run/extensions/three.raw.v
    mkdir $theirs
    cd /srv/images
    cp three_1_any.raw $theirs/three_1.raw
    head -c 4096 /dev/urandom >$theirs/three_9_arm64.raw
    head -c 4096 /dev/urandom >$theirs/three_8+0-3.raw
    onlay ext list | grep -F "(of others, $theirs/three_1.raw)"
    onlay ext check | grep '^three: fits'
    tell onlay ext add three_1_any.raw
    says "somebody else has put '$theirs/three_1.raw' there, which is the same extension"
    onlay ext refresh --always 2>&1 | grep 'merged now: one, two; of others: three$'
    merged one three two
    tell onlay ext check "$theirs/three_9_arm64.raw"
    test "$code" = 1
    # A newer one that cannot be opened keeps systemd from merging any.
    head -c 4096 /dev/urandom >$theirs/three_2.raw
    refuse systemd-sysext refresh
    tell onlay ext refresh
    says "as long as '$theirs/three_2.raw' is there, systemd merges nothing"
    rm $theirs/three_*
    onlay ext check | grep '^three: systemd takes no version in /run/extensions/three.raw.v: '
    rmdir $theirs
    onlay ext refresh
    merged one two
}

# What systemd before 255 does not do by itself.
by_older_systemd() {
    local old=/srv/old name
    mkdir -p $old/{usr/bin,bin,etc,var} $old/usr/lib/x86_64-linux-gnu/systemd
    cp /bin/sh $old/bin/
    cp /usr/bin/onlay $old/usr/bin/
    cp /usr/lib/os-release $old/usr/lib/
    for name in 254 257; do
        rm -f $old/usr/lib/x86_64-linux-gnu/systemd/*
        touch $old/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-$name.so
        onlay --root $old ext add --unfit /srv/images/two_1_any.raw
        test -L $old/etc/systemd/system/sysinit.target.wants/onlay-extensions.service
        test $name = 257 || systemd-analyze verify --man=no $old/etc/systemd/system/onlay-extensions-reload.service
        test $name = 257 || test -L $old/etc/systemd/system/sysinit.target.wants/onlay-extensions-reload.service
    done
    test ! -e $old/etc/systemd/system/onlay-extensions-reload.service
    # What is there need not make sense for one to be disabled.
    head -c 4096 /dev/urandom >$old/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-x.so
    rm $old/usr/lib/os-release
    mkdir $old/usr/lib/os-release
    onlay --root $old ext disable two
    test -z "$(find $old/etc/systemd/system -name '*.service')"
    rm -r $old
}

# A directory is made an image; the same one again is the same image.
of_a_directory() {
    local top=/srv/tools/usr
    mkdir -p $top/bin $top/lib/extension-release.d
    echo ID=_any >$top/lib/extension-release.d/extension-release.tools
    printf '#!/bin/sh\necho tools\n' >$top/bin/tools
    chmod +x $top/bin/tools
    onlay ext add --dry-run /srv/tools
    onlay ext add --json /srv/tools >/results/json
    tr -d ' \n' </results/json | grep '"name":"tools".*"outcome":"added","enabled":true}\],"refresh":{"way":.*"added":\["tools"\]'
    test "$(tools)" = tools
    merged one tools two
    onlay ext add /srv/tools/ 2>&1 | grep 'is there already'
    onlay ext remove tools
    merged one two
}

# Images that are damaged, replaced or gone are held back alone.
damaged() {
    local images=/var/lib/onlay/images
    cd /srv/images
    onlay ext add three_1_any.raw
    truncate --size=300 $images/three_1_any.raw
    tell onlay ext refresh
    test "$code" = 1
    says "'three' is held back: "
    merged one two
    cp /srv/images/three_1_any.raw $images/three_1_any.raw
    onlay ext refresh
    merged one three two
    rm $images/three_1_any.raw
    tell onlay ext refresh
    says "'three' is held back: its image is gone"
    merged one two
    onlay ext list | grep -E '^three +1 +- +held back'
    onlay ext list | grep "^three: held back: its image is gone: 'onlay ext update' fetches it, if a store has it"
    tell onlay ext enable three
    test "$code" = 1
    says "'three' is enabled, and its image is gone: '/var/lib/onlay/images/three_1_any.raw'"
    says "hint: 'onlay ext add FILE' puts it there again"
    onlay ext remove three
    test ! -L /etc/onlay/extensions/three.raw
    ln -s /srv/images/three_1_any.raw /etc/onlay/extensions/three.raw
    tell onlay ext refresh
    says "'three' is held back: its image is not in /var/lib/onlay/images"
    merged one two
    onlay ext disable three
    # A damaged record is none.
    echo '{' >/run/onlay/extensions.json
    echo '{' >$images/verdicts.json
    onlay ext refresh
    merged one two
}

# An image that another snapshot has enabled is kept for that; and extensions of another root are chosen before it is booted.
of_other_roots() {
    local next=/.snapshots/7/snapshot
    mkdir -p $next/usr/bin $next/usr/lib/x86_64-linux-gnu/systemd $next/etc $next/var
    cp /usr/bin/onlay $next/usr/bin/
    cp /usr/lib/os-release $next/usr/lib/
    cp -a /usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-* $next/usr/lib/x86_64-linux-gnu/systemd/
    tell onlay --root $next ext add /srv/images/one_2_any.raw
    # There is no shell there, and it is told.
    says "'one' 2 not added, since it does not fit: usr/bin/one is a script for /bin/sh, which is not there"
    test "$code" = 1
    mkdir $next/bin
    cp /bin/sh $next/bin/
    onlay --root $next ext add --unfit /srv/images/one_2_any.raw
    test "$(readlink $next/etc/onlay/extensions/one.raw)" = /var/lib/onlay/images/one_2_any.raw
    test -e $next/etc/systemd/system/onlay-extensions.service
    onlay --root $next ext check | grep '^one: fits'
    tell onlay ext remove one
    says "'one' 2 disabled; its image is kept for $next"
    merged two
    refuse one
    test -e /var/lib/onlay/images/one_2_any.raw
    onlay ext enable one
    # Nor is another image put in its place.
    tell onlay ext add /srv/images/other_2.raw
    says "there is another image of 'one' 2, which $next uses"
    onlay ext remove one
    onlay ext add /srv/images/one_2_any.raw 2>&1 | grep "'one' 2 is there already, enabled"
    # Nor does the other root take it from this one.
    onlay --root $next ext remove one 2>&1 | grep "'one' 2 disabled; its image is kept for /$"
    test ! -e $next/etc/systemd/system/onlay-extensions.service
    local kept=/srv/next
    mv $next $kept
    rm -r /.snapshots
    # Nor where nobody would look for roots, but one was named.
    mkdir -p /srv/root
    cp -a $kept/. /srv/root/
    onlay --root /srv/root ext add --unfit /srv/images/one_1_any.raw
    tell onlay ext remove --dry-run one=1
    says "'one' 1 would be disabled; its image is kept for /srv/root"
    onlay --root /srv/root ext disable one
    tell onlay ext remove --dry-run one=1
    says "'one' 1 would be removed"
    # An older SUSE has what was changed in /etc of a snapshot elsewhere.
    mkdir -p /var/lib/overlay/{5,6}/etc/onlay/extensions /var/lib/overlay/work
    ln -s /var/lib/onlay/images/two_1_any.raw /var/lib/overlay/5/etc/onlay/extensions/two.raw
    ln -s /var/lib/onlay/images/two_1_any.raw /var/lib/overlay/6/etc/onlay/extensions/two.raw
    onlay ext remove --dry-run two 2>&1 | grep 'kept for /var/lib/overlay/5, /var/lib/overlay/6$'
    mount -t overlay etc /etc -o lowerdir=/etc,upperdir=/var/lib/overlay/6/etc,workdir=/var/lib/overlay/work
    onlay ext remove --dry-run two 2>&1 | grep 'kept for /var/lib/overlay/5$'
    umount /etc
    rm -r /var/lib/overlay
    onlay ext add --disabled /srv/images/one_1_any.raw
}

# By two at once, both come; whatever instant one is killed at, the next one finishes it, and nothing that is merged is missing.
at_once_and_killed() {
    local delay
    cd /srv/images
    onlay ext add three_1_any.raw &
    onlay ext add wanted_1_any.raw
    wait $!
    merged one three two wanted
    for delay in 02 05 10 20 30 40 60 90; do
        timeout --signal=KILL "0.$delay" onlay ext remove three wanted || true
        test "$(one)" = 'one 2'
        timeout --signal=KILL "0.$delay" onlay ext add three_1_any.raw wanted_1_any.raw || true
        test "$(one)" = 'one 2'
    done
    onlay ext refresh || true
    onlay ext add three_1_any.raw wanted_1_any.raw
    merged one three two wanted
    test "$(grep -c ' - overlay sysext ' /proc/self/mountinfo)" = 2
    onlay ext remove three wanted
    test -z "$(find /var/lib/onlay/images -name '*.new')"
}

# Killed after the new ones are there, and before the old ones are off: all works, and the next one takes off both.
killed_between() {
    tell strace -qq -o /dev/null -e trace=umount2 -e inject=umount2:signal=KILL onlay ext refresh --always
    if [ "$(grep -c ' - overlay sysext ' /proc/self/mountinfo)" = 2 ]; then
        # A kernel before 6.5.
        return
    fi
    test "$code" = 137
    test "$(one; two)" = "$(printf 'one 2\ntwo 1')"
    onlay ext check
    tell onlay ext enable one=1
    test "$code" = 0
    test "$(one; two)" = "$(printf 'one 1\ntwo 1')"
    test "$(grep -c ' - overlay sysext ' /proc/self/mountinfo)" = 2
    onlay ext enable one
}

# with_fault CALL WHAT ARGUMENTS…: the kernel answers a call of ours so, not one of those whom we start.
with_fault() {
    local call=$1 what=$2
    shift 2
    tell timeout 20 strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:$what" onlay "$@"
}

# Where the kernel puts nothing beneath, be it for the first or the second directory, systemd merges by itself.
nothing_beneath() {
    local when
    for when in 1 2; do
        with_fault move_mount error=EINVAL:when=$when ext refresh --always --json
        test "$code" = 0
        says '"way": "by-systemd"'
        merged one two
        test "$(grep -c ' - overlay sysext ' /proc/self/mountinfo)" = 2
    done
}

# Whatever the kernel refuses, all is as it was or as it is to be, and the next one finds its way.
refusals() {
    local call
    cd /srv/images
    for call in linkat:1 renameat:1 renameat:2 symlinkat:1 symlinkat:2 fsync:1 unshare:1 setns:1 umount2:1; do
        with_fault "${call%:*}" "error=EIO:when=${call#*:}" ext add three_1_any.raw
        test "$(one; two)" = "$(printf 'one 2\ntwo 1')"
        test "$code" != 0 || three
        onlay -q ext refresh
        onlay -q ext remove three || test ! -e /run/extensions/three.raw
    done
    merged one two
    test -z "$(find /var/lib/onlay/images /etc/onlay/extensions /run/extensions -name '*three*')"
}

full_disk() {
    mkdir -p /srv/small/state
    tell onlay --state /srv/small/state ext add /srv/images/large_1_any.raw
    test "$code" = 1
    grep -i 'no space left' /results/said
    says 'hint: free some space there, or give another place'
    refuse says '--temp'
    test -z "$(find /srv/small/state/images -name '*.raw*')"
    merged one two
}

# Without what merges them, nothing is changed.
no_systemd() {
    mount --bind /dev/null /usr/bin/systemd-sysext
    tell onlay ext add /srv/images/three_1_any.raw
    test "$code" = 3
    says "'systemd-sysext' is not installed"
    umount /usr/bin/systemd-sysext
    test ! -e /var/lib/onlay/images/three_1_any.raw
}

# systemd may refuse what we find nothing wrong with: it is held back alone; and where that is of no use, all is as it was.
systemd_refuses() {
    mkdir /srv/wrap
    cat >/srv/wrap/systemd-sysext <<'EOF'
#!/bin/sh
if [ -e "$(cat /srv/wrap/unwanted)" ]; then
    case $* in *\ merge) echo 'it is not wanted' >&2 && exit 1 ;; esac
fi
exec /usr/bin/systemd-sysext "$@"
EOF
    chmod +x /srv/wrap/systemd-sysext
    echo /run/extensions/three.raw >/srv/wrap/unwanted
    tell env PATH="/srv/wrap:$PATH" onlay ext add /srv/images/three_1_any.raw /srv/images/wanted_1_any.raw
    test "$code" = 1
    says "'three' is held back: systemd does not merge it: it is not wanted"
    merged one two wanted
    onlay ext list | grep -E '^three +1 .* held back'
    echo / >/srv/wrap/unwanted
    tell env PATH="/srv/wrap:$PATH" onlay ext enable one=1
    test "$code" = 1
    says 'systemd does not merge the extensions: it is not wanted'
    test "$(one)" = 'one 2'
    test "$(readlink /run/extensions/one.raw)" = /var/lib/onlay/images/one_2_any.raw
    merged one two wanted
    onlay ext enable one
    onlay ext remove three wanted
    merged one two
}

# As on hosts of OSTree's, where /opt is a link.
opt_elsewhere() {
    onlay ext disable two
    mv /opt /var/opt
    ln -s var/opt /opt
    onlay ext enable two
    cat /var/opt/two/file
    onlay ext enable one=1
    onlay ext enable one
    grep x /opt/two/file
    test "$(grep -c ' /var/opt .* - overlay sysext ' /proc/self/mountinfo)" = 1
    onlay ext disable two
    test ! -e /opt/two
    rm /opt
    mv /var/opt /opt
    onlay ext enable two
    merged one two
}

gone() {
    onlay ext disable --json one >/results/json
    tr -d ' \n' </results/json | grep '{"extensions":\[{"name":"one","changed":true,"enabled":false}\],"refresh":{'
    onlay ext enable --json one >/results/json
    tr -d ' \n' </results/json | grep '"name":"one","version":"2","changed":true,"enabled":true}'
    onlay ext remove --json one two >/results/json
    tr -d ' \n' </results/json | grep '"name":"two","version":"1","path":"/var/lib/onlay/images/two_1_any.raw","kept_for":\[\]'
    nothing
    refuse one
    test "$(ls /var/lib/onlay/images)" = verdicts.json
    onlay ext list 2>&1 | grep 'there are no extensions'
}

mount -t devtmpfs devtmpfs /dev
cp -r /results/images /srv/images
mount -o remount,bind,ro /usr
step added added
step newer newer
step systemds-own systemds_own
step without-a-gap without_a_gap
step everywhere everywhere
step refused refused
step unfit unfit
step by-hand by_hand
step beside-others beside_others
step versions-of-others versions_of_others
step by-older-systemd by_older_systemd
step of-a-directory of_a_directory
step damaged damaged
step of-other-roots of_other_roots
step at-once-and-killed at_once_and_killed
step killed-between killed_between
step nothing-beneath nothing_beneath
step refusals refusals
step full-disk full_disk
step no-systemd no_systemd
step systemd-refuses systemd_refuses
step opt-elsewhere opt_elsewhere
step gone gone
