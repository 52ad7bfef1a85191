#!/bin/bash
# Onlay on an older kernel: how layers are named to it, and that all else is as on ours. The older one boots twice: its power is
# cut while an overlay is in use and the host is unlocked over reboots. What cuts in the middle of commands would leave is
# kept for vm/after.sh to look at.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# What each kernel answers to a layer by descriptor, by what option it is told of layers instead, and by what not.
case $(uname -r) in
6.1.*) refusal=EOPNOTSUPP option=lowerdir other=lowerdir+ ;;
6.12.*) refusal=EBADF option=lowerdir+ other=lowerdir ;;
esac

# What could tell of a change of the host, at a price that an emulator can pay.
witness() (
    set +x
    systemctl show probe cron -p MainPID -p NRestarts -p ActiveState -p UnitFileState -p StateChangeTimestampMonotonic
    echo "signals: $(cat /run/probe.signals)"
    dpkg-query --show
    cut -d ' ' -f 3- /proc/1/mountinfo
    find /dev /run -xdev -path /run/onlay -prune -o -path '/run/systemd/*' -prune -o -printf '%p %y %m %u %g\n' | sort
)

temporary() {
    inside --temp -- 'echo x >/usr/temp; echo x >/etc/temp; echo x >/var/temp; echo x >/run/temp; rm /usr/bin/perl'
    inside --temp -- 'test ! -e /usr/temp; perl -e 1'
}

# Debian's own tools and a real service's own scripts; a directory in the place of one.
make() {
    inside kept -- 'dpkg --remove strace; dpkg --install /var/local/repository/onlay-tool_*.deb /var/local/repository/cron_*onlay1*.deb
        rm -r /usr/share/common-licenses; mkdir /usr/share/common-licenses; echo new >/usr/share/common-licenses/new
        chmod 700 /usr/bin/perl; echo mine >/etc/mine'
    inside kept -- "$as_left"
    refuse dpkg-query --show onlay-tool
    strace --version
}

# is_listed PATH CHANGE FILE
is_listed() {
    grep "{\"path\":\"$1\",\"change\":\"$2\",\"file\":\"$3\"" /results/diff
}

diff_tells() {
    onlay diff --json kept | tr -d ' \n' | sed 's/},/},\n/g' >/results/diff
    is_listed /usr/bin/onlay-strace added file
    is_listed /usr/bin/strace removed file
    is_listed /usr/bin/perl metadata file
    is_listed /var/lib/dpkg/status changed file
    is_listed /usr/share/common-licenses/GPL-3 removed file
    is_listed /usr/share/common-licenses/new added file
    is_listed /etc/mine added file
    refuse grep '"path":"/usr/bin/cron"' /results/diff
    cp /results/diff "/root/diff-$boot"
}

isolated() {
    inside --isolate --no-net isolated -- "echo x >/usr/isolated; refuse kill -HUP $(cat /run/probe.pid)
        test \$\$ -lt 100; test \"\$(ip -o link | wc -l)\" = 1; refuse mount -t tmpfs none /mnt"
    inside --isolate isolated -- 'cat /usr/isolated'
    test ! -e /usr/isolated
}

# The guard holds signals back by a filter, which asks us.
signals() {
    inside signals -- "refuse kill -HUP $(cat /run/probe.pid); refuse perl -e 'kill(q(TERM), @ARGV) or die' $(cat /run/probe.pid)
        sleep 100 & kill -TERM \$!; wait \$! || test \$? = 143; refuse mount -o remount,rw /usr"
}

removed() {
    onlay rm isolated signals
    test "$(ls /var/lib/onlay/overlays)" = "$(printf 'first\nkept')"
    inside isolated -- 'test ! -e /usr/isolated'
    onlay rm isolated first
}

# traced OPTIONS… -- SCRIPT: as `inside`, and looks how layers were named.
traced() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    strace -f -qq -s 500 -o /results/trace -e trace=fsconfig onlay shell "${options[@]}" -- bash -exc "$2"
    cat /results/trace
    grep "FSCONFIG_SET_FD, \"lowerdir+\", .* = -1 $refusal" /results/trace
    refuse grep 'FSCONFIG_SET_FD, .* = 0$' /results/trace
    grep "FSCONFIG_SET_STRING, \"$option\", .* = 0$" /results/trace
    refuse grep "FSCONFIG_SET_STRING, \"$other\"," /results/trace
}

# Other tools, and who reads mountinfo, find the layers by their names.
by_name() {
    traced named -- 'grep "lowerdir.*=/usr,upperdir=/var/lib/onlay/overlays/named/layers/" /proc/self/mountinfo
        echo x >/usr/named'
    grep "FSCONFIG_SET_STRING, \"$option\", \"/usr\"" /results/trace
    inside named -- 'cat /usr/named'
    onlay rm named
}

# Names that no kernel, or not every one, takes as text.
by_number() {
    local state
    for state in '/var/odd,a:b\c d' "/var/$(printf 'long%.0s' {1..50})/$(printf 'long%.0s' {1..50})"; do
        mkdir -p "$state"
        traced --state "$state" odd -- 'echo x >/usr/odd; rm /usr/bin/perl'
        grep 'FSCONFIG_SET_STRING, "upperdir", "[0-9]*"' /results/trace
        inside --state "$state" odd -- 'cat /usr/odd; test ! -e /usr/bin/perl'
        onlay rm --state "$state" odd
    done
}

# overlay LOWER NAME PLACE
overlay() {
    mkdir -p "/var/deep/$2".{up,work} "$3"
    mount -t overlay "$2" -o "lowerdir=$1,upperdir=/var/deep/$2.up,workdir=/var/deep/$2.work" "$3"
    echo "of $2" >"$3/of-$2"
    echo "of $2" >"$3/of-the-top"
}

# The kernel lays two overlays on each other, not three.
deep() {
    overlay / one /var/deep/one
    overlay /usr usr-one /var/deep/one/usr
    shallow='cat /of-one /usr/of-usr-one; cat /usr/of-the-top | grep usr-one; echo inside >/usr/of-the-top; rm /of-one'
    traced --root /var/deep/one shallow -- "$shallow"
    grep 'of one' /var/deep/one/of-one

    overlay /var/deep/one two /var/deep/two
    overlay /var/deep/one/usr usr-two /var/deep/two/usr
    traced --root /var/deep/two deep -- 'cat /of-one /of-two /usr/of-usr-one; grep usr-two /usr/of-the-top
        grep "of two" /of-the-top; echo inside >/usr/of-the-top; rm /of-one /usr/bin/perl'
    inside --root /var/deep/two deep -- 'grep inside /usr/of-the-top; test ! -e /of-one; test ! -e /usr/bin/perl'
    grep 'of usr-two' /var/deep/two/usr/of-the-top
    grep 'of one' /var/deep/two/of-one
    umount --recursive /var/deep/two /var/deep/one
    onlay rm shallow deep
}

# extension_is NAME: systemd finds an image of this name, and nothing else.
extension_is() {
    mkdir -p /run/extensions /run/verity.d
    ln -sfn "/var/local/images/$1" /run/extensions/x.raw
}

# systemd and dm-verity take an image of ours with its certificate; not without one, nor what is not what was signed.
signed_images() {
    local module number
    cd /var/local/images
    while read -r module; do insmod "modules/$module"; done <modules/order
    export SYSTEMD_LOG_TARGET=console
    extension_is signed.raw
    refuse systemd-sysext merge
    cp signer.crt /run/verity.d/
    systemd-sysext merge
    grep ^CRYPT-VERITY /sys/block/dm-*/dm/uuid
    cmp noise /usr/lib/noise
    systemd-sysext unmerge

    extension_is changed-data.raw
    systemd-sysext merge
    refuse cmp noise /usr/lib/noise
    number=$(cat changed-block)
    dmesg | grep "verity: .* data block $number is corrupted"
    systemd-sysext unmerge

    for changed in tree signature; do
        extension_is "changed-$changed.raw"
        refuse systemd-sysext merge
        refuse cat /usr/lib/noise
    done
    rm /run/extensions/x.raw

    # Older kernels than 6.10 know no zstd in erofs.
    local ways="none lz4" way name
    [ "$(printf '%s\n' 6.10 "$(uname -r)" | sort --version-sort | head -n 1)" != 6.10 ] || ways="$ways zstd"
    mkdir /run/erofs
    for way in $ways; do
        mount -t erofs -o loop "erofs-$way.raw" /run/erofs
        for name in noise text small; do cmp "$name" "/run/erofs/usr/lib/$name"; done
        umount /run/erofs
    done
}

# Added by us, one is read and judged before systemd gets to see it; and an older kernel has systemd merge it.
signed_images_are_added() {
    cd /var/local/images
    onlay ext add signed.raw 2>/results/said
    cat /results/said
    cmp noise /usr/lib/noise
    case $(uname -r) in
    6.1.*) says 'onlay: systemd merged them itself' ;;
    *) refuse grep 'merged them itself' /results/said ;;
    esac
    tell onlay ext add changed-data.raw
    says 'blocks of it are not those of its hash tree'
    rm /run/verity.d/signer.crt
    tell onlay ext refresh
    says "'x' is held back: it is signed, and no certificate in /etc/verity.d is that of who did"
    test ! -e /usr/lib/noise
    cp signer.crt /run/verity.d/
    onlay ext refresh
    cmp noise /usr/lib/noise
    onlay ext remove x
    test ! -e /usr/lib/noise
}

# The host itself is unlocked over reboots when the power is cut.
unlock_persistently() {
    onlay unlock --persistent
    dpkg --install /var/local/repository/onlay-tool_*.deb
    onlay-strace --version | head -n 1
}

# What was unlocked is there before services are.
unlock_found_whole() {
    onlay status | grep 'until it is locked, over reboots'
    test "$(grep -c onlay-live /proc/self/mountinfo)" = 5
    touch /usr/bin/written
    onlay-strace --version | head -n 1
    dpkg --verify onlay-tool
    is_on_layers "$(cat /run/crond.pid)"
    test -z "$(dpkg --audit)"
    onlay lock --discard
    refuse onlay lock
    refuse grep onlay-live /proc/[0-9]*/mountinfo
    refuse touch /usr/bin/written
    test -z "$(ls /var/lib/onlay/live)"
    test ! -e /etc/systemd/system/onlay-unlock.service
    refuse dpkg-query --show onlay-tool
    test -z "$(dpkg --audit)"
}

is_on_layers() {
    test "$(stat -f -c %i "/proc/$1/root/usr")" = "$(stat -f -c %i /usr)"
    test "$(stat -f -c %i "/proc/$1/exe")" = "$(stat -f -c %i /usr)"
}

found_whole() {
    # That it was one, with the kernel's own word.
    dmesg | grep 'EXT4-fs (vdc): recovery complete'
    inside kept -- "$as_left; grep half /usr/half; test -s /var/growing; rm /usr/half /var/growing"
    diff_tells
    diff /root/diff-1 /root/diff-2
    test ! -e /usr/bin/onlay-strace
    strace --version
}

# The host's own update while the machine runs.
base_changed() {
    mount -o remount,rw /usr
    dpkg --install /var/local/repository/onlay-base_*.deb
    mount -o remount,ro /usr
    onlay shell kept -- bash -exc "$as_left; grep base /usr/share/onlay-base/file" 2>&1 | tee /results/said
    test "${PIPESTATUS[0]}" = 0
    grep 'base has changed .*its packages did' /results/said
    onlay shell kept -- true 2>&1 | tee /results/said
    refuse grep 'base has changed' /results/said
}

# Another base, by a file that the overlay has only copied. A package manager would sync it.
next_base() {
    echo "base $1" >/etc/issue
    touch /var/lib/dpkg/status
    sync --file-system /etc/issue /var/lib/dpkg/status
}

# cut_at NAME COMMAND…: what is on disk at any moment of the time that it takes here is kept as a machine of this name.
cut_at() {
    "${@:2}" &
    sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    echo "keep $1" >/dev/ttyS1
    wait $!
}

# As far as it came, the host is locked or unlocked then, and what was kept of it is all or nothing.
cut_while_unlocking() {
    cut_at unlocking onlay unlock --persistent
    touch /usr/bin/unlocked
    sync --file-system /usr/bin/unlocked
    cut_at locking onlay lock --discard
}

cut_while_saving() {
    cut_at unlocking-on-disk onlay unlock --on-disk
    dpkg --install /var/local/repository/onlay-tool_*.deb
    echo saved >/usr/bin/saved
    cut_at saving onlay lock --save saved
}

# The overlay is as it was or merged.
cut_while_rebasing() {
    inside kept -- ': >>/etc/issue'
    next_base 1
    cut_at rebasing onlay rebase kept
}

# It tells there, and nowhere else, of layers that two overlays use at a time.
kernel_is_content() {
    refuse sh -c 'dmesg | grep -E "overlayfs:|BUG:|WARNING:|Call Trace"'
}

await test -e /run/probe.pid
boot=$(($(cat /var/boots 2>/dev/null || echo 0) + 1))
echo "$boot" >/var/boots
case $boot in
1)
    onlay shell --quiet first -- true
    remember
    step temporary temporary
    step make make
    step diff diff_tells
    # What is so on the oldest kernel and on ours is so in between.
    if [ "$refusal" = EOPNOTSUPP ]; then
        step join join
        step isolated isolated
        step signals signals
        step removed removed
    else
        onlay rm first
    fi
    step host-untouched untouched
    step by-name by_name
    step by-number by_number
    step kernel-is-content kernel_is_content
    step deep deep
    # What is old or new of images in kernels is older than both; and so is what a cut leaves.
    if [ "$refusal" = EBADF ]; then
        step signed-images signed_images
        step signed-images-are-added signed_images_are_added
        step base-changed base_changed
        step cut-while-rebasing cut_while_rebasing
        step cut-while-saving cut_while_saving
    else
        step in-use in_use
        step unlock-persistently unlock_persistently
    fi
    ;;
2)
    step unlock-found-whole unlock_found_whole
    step idle idle
    step found-whole found_whole
    step base-changed base_changed
    step cut-while-unlocking cut_while_unlocking
    step kernel-is-content kernel_is_content
    ;;
esac
finish
if [ "$boot $refusal" = '1 EOPNOTSUPP' ]; then
    sync /results/*
    # To whoever holds the plug.
    echo cut >/dev/ttyS1
    sleep infinity
fi
systemctl poweroff --force --force
