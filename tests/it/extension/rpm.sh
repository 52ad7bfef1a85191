#!/bin/bash
# rpm, and zypper or dnf, on a host whose packages are RPMs, while extensions are merged by systemd-sysext, and with them the
# database that was made for that. The host's /usr is read-only.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

database=/usr/lib/sysimage/rpm
zypper='zypper -n --no-refresh --no-gpg-checks'
dnf=$(command -v dnf dnf5 | head -n 1)
# As SUSE's hosts have it, and others.
if [ -e $database/Packages.db ]; then manager=zypper; else manager=dnf; fi

all() {
    rpm --query --all --queryformat '%{NAME} %{ARCH} %{EVR}\n' | sort
}

installed() {
    case $manager in
    zypper) $zypper search --installed-only --details | grep '^i' ;;
    dnf) "$dnf" --quiet list --installed ;;
    esac
}

# What the base has, in the words of rpm and the package manager; and all files of its database.
base() {
    all >"/results/$1.rpm"
    installed | sort >"/results/$1.manager"
    find $database -type f ! -name '*-shm' -exec sha256sum {} + | sort >"/results/$1.files"
}

before() {
    mount -o remount,bind,ro /usr
    refuse touch /usr/bin/x
    base before
    refuse rpm --query lab-tool
    refuse rpm --query --file /usr/bin/lab-strace
}

merged() {
    # Images are merged by loop devices.
    mount -t devtmpfs devtmpfs /dev
    # Where there is no room for the database, extensions are merged all the same.
    mkdir -p /var/lib/onlay/database
    mount -t tmpfs -o size=1M full /var/lib/onlay/database
    tell onlay ext add /results/*.raw
    test "$code" = 0
    says 'onlay: the package database is without extensions: '
    says 'No space left on device'
    lab-strace -V
    refuse rpm --query lab-tool
    test -z "$(ls /var/lib/onlay/database)"
    umount /var/lib/onlay/database

    tell onlay ext refresh
    test "$code" = 0
    sed -n "s/^onlay: \('.*' has .*\)/\1/p" /results/said | diff /results/remarks -
    mount | grep 'sysext on /usr'
    refuse touch /usr/bin/x
    lab-strace -V
    tell onlay ext refresh
    test "$code" = 0
    refuse says 'merged anew'
    onlay ext list | grep '^tools .* active '
    onlay ext refresh --json | grep "'tools' has lab-config in version 2.0-1, which replaces the base's 1.0-1"
    onlay ext check
    # What is generated is there once.
    test "$(find /var/lib/onlay/database -mindepth 1 -maxdepth 1 -type d | wc -l)" = 1
}

# What was added is there, what was replaced is there once, and all else is as it was.
listed() {
    all >/results/merged.rpm
    diff /results/before.rpm /results/merged.rpm >/results/changed || true
    cat /results/changed
    grep '^[<>]' /results/changed | sort | diff /results/expected -
    rpm --query --file /usr/bin/lab-strace | grep '^lab-tool-1.0-1'
    rpm --query --whatprovides lab-tool | grep '^lab-tool-1.0-1'
    rpm --query --whatprovides /usr/bin/lab-strace | grep '^lab-tool-1.0-1'
    rpm --query --list lab-tool | grep /usr/share/lab-hooks/tool
    rpm --query --state lab-rich | grep 'not installed *.*/usr/share/lab-rich'
    rpm --query --info lab-tool >/results/said
    # rpm 6 writes it on lines of its own.
    grep -A 2 '^Signature' /results/said | grep -i 'key'
    # Who is not root has no other view.
    setpriv --reuid=65534 --clear-groups rpm --query --file /usr/bin/lab-strace
}

sound() {
    rpm --verify lab-tool lab-rich lab-epoch lab-kernel
    rpm --verify lab-config >/results/verified || true
    # Settings that are there already stay as they are.
    grep -E '^..5.* c /etc/lab-config/replaced.conf' /results/verified
    # Nothing else is wrong that was not so before.
    rpm --verify --all >/results/verified || true
    refuse grep -v -e /etc/lab-config -e ' /run$' /results/verified
    rpmdb --verifydb
}

# What only root can do on a host that can be written fails as on any that cannot.
read_only() {
    for command in 'rpm --erase lab-rich' 'rpm --install /srv/repo/base/noarch/lab-leaf-1.0-1.noarch.rpm' \
        'rpm --erase lab-config' 'rpm --rebuilddb'; do
        tell $command
        test "$code" != 0
        grep -i 'read-only file system' /results/said
        refuse grep -iE 'corrupt|malformed|sqlite|database disk' /results/said
    done
}

by_zypper() {
    installed >/results/said
    grep -E 'lab-tool .*1.0-1' /results/said
    tell $zypper install --dry-run lab-tool
    test "$code" = 0
    # The repository has a newer one.
    says 'going to be upgraded'
    tell $zypper install --dry-run lab-daemon
    test "$code" = 0
    says 'lab-daemon'
    tell $zypper remove --dry-run lab-tool
    test "$code" = 0
    says 'going to be REMOVED'
    tell $zypper verify --dry-run
    says 'are satisfied'
}

by_dnf() {
    installed >/results/said
    grep -E 'lab-tool.*1.0-1' /results/said
    tell "$dnf" --assumeno install lab-tool-1.0
    says 'already installed'
    tell "$dnf" --assumeno install lab-daemon
    says 'lab-daemon'
    tell "$dnf" check
    test "$code" = 0
}

# As an update works in the next snapshot: what is merged is not there.
elsewhere() {
    mkdir /root/base
    mount --bind / /root/base
    mount --bind /proc /root/base/proc
    # shellcheck disable=SC2016
    chroot /root/base rpm --query --all --queryformat '%{NAME} %{ARCH} %{EVR}\n' | sort | diff /results/before.rpm -
    umount /root/base/proc /root/base
}

# Whatever instant somebody is killed at, the next one has it right.
killed() {
    for delay in 0.02 0.1 0.2 0.3; do
        for verb in disable enable; do
            # So that there is something to be made each time.
            local used
            used=$(basename "$(dirname "$(readlink /run/extensions/zzz-onlay-packages)")")
            find /var/lib/onlay/database -mindepth 1 -maxdepth 1 -type d ! -name "$used" -exec rm -r {} +
            timeout --signal=KILL "$delay" onlay ext $verb newer || true
            rpm --query --all >/dev/null
        done
    done
    onlay ext enable newer
    onlay ext refresh
    all | diff /results/merged.rpm -
}

unmerged() {
    onlay ext disable newer
    rpm --query lab-tool lab-epoch >/results/said
    diff - /results/said <<<$'lab-tool-1.0-1.x86_64\nlab-epoch-20.0-1.noarch'
    onlay ext disable tools
    # Nobody needs it any more.
    test -z "$(ls /var/lib/onlay/database)"
    refuse rpm --query lab-tool
    base after
    for kind in rpm manager files; do
        diff "/results/before.$kind" "/results/after.$kind"
    done
}

# The database is about what is merged: systemd may refuse what is thought to fit.
held_back() {
    mkdir /srv/wrap
    cat >/srv/wrap/systemd-sysext <<'EOF'
#!/bin/sh
if [ -e /run/extensions/newer.raw ]; then
    case $* in *\ merge) echo 'it is not wanted' >&2 && exit 1 ;; esac
fi
exec /usr/bin/systemd-sysext "$@"
EOF
    chmod +x /srv/wrap/systemd-sysext
    tell env PATH="/srv/wrap:$PATH" onlay ext enable tools newer
    test "$code" = 1
    says "'newer' is held back: systemd does not merge it"
    refuse says "'newer' has"
    rpm --query lab-tool lab-epoch >/results/said
    diff - /results/said <<<$'lab-tool-1.0-1.x86_64\nlab-epoch-20.0-1.noarch'
    onlay ext disable tools newer
}

# What was installed in an overlay is known as well when that is kept as an extension.
saved() {
    inside kept -- 'rpm --install /srv/repo/base/x86_64/lab-tool-1.0-1.x86_64.rpm'
    cd /results
    onlay save kept --ext kept
    tell onlay ext add /results/kept_*.raw
    test "$code" = 0
    refuse says 'package database'
    rpm --query --file /usr/bin/lab-strace | grep '^lab-tool-1.0-1'
    rpm --verify lab-tool
    onlay ext remove kept
}

step before before
step merged merged
step listed listed
step sound sound
step read-only read_only
step "by-$manager" "by_$manager"
step elsewhere elsewhere
step killed killed
step unmerged unmerged
step saved saved
step held-back held_back
finish
