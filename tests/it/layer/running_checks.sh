# What is done to layers on a deployment that runs, with the ostree and the systemd-sysext that it has.
# shellcheck shell=bash
# shellcheck source=tests/it/machine/steps.sh
. <(sed 's|/results/|/run/results/|g' /run/bin/steps.sh)

said=/run/results/said

# The next boot is another one than what runs.
has_next() {
    onlay layer status | grep -E ' next(,|$)'
}

# What the origin of what runs says to ostree.
origin() {
    grep -h unconfigured-state /sysroot/ostree/deploy/debian/deploy/"$(onlay layer status --json | grep -B 20 '"booted": true' |
        sed -n 's/^    "id": "\(.*\)",$/\1/p' | tail -n 1)".origin
}

newer_base() {
    mkdir -p /run/extra/usr/share
    echo "$1" >/run/extra/usr/share/base
    ostree commit --repo=/sysroot/ostree/repo --bootable --branch=debian --add-metadata-string=version="$1" \
        --owner-uid=0 --owner-gid=0 --tree=ref=debian --tree=dir=/run/extra
}

runs() {
    ostree admin status | tee $said
    onlay layer status | grep ' runs$'
    refuse has_next
    refuse origin
}

# What runs has no layers, and knows by itself nothing of those that come: ostree refuses all the same, as long as they do.
waiting() {
    onlay layer add onlay-tool
    has_next
    newer_base 13.2
    tell ostree admin upgrade
    test "$code" = 1
    says "the next boot has layers, which would be lost: 'onlay layer upgrade' takes them to a newer base"
    has_next
    # A second change goes on from there.
    onlay layer add --cached onlay-base
    onlay layer list | grep onlay-tool
    origin
    # Taken back, it is the base's own.
    onlay layer rollback
    refuse has_next
    refuse origin
    tell ostree admin upgrade --pull-only
    test "$code" = 0
    # What ends one way or another is judged by what is there.
    onlay layer add --cached onlay-tool
    onlay layer cleanup --pending --dry-run | grep 'would remove [0-9a-f]*'
    has_next
    onlay layer cleanup --pending
    refuse has_next
    refuse origin
    onlay layer add onlay-tool
    origin
    onlay layer remove --all
    refuse origin
    onlay layer rollback
    # Where it is not done, nothing is said.
    refuse onlay layer add --cached onlay-nothing
    refuse origin
}

# What was only to be finished at shutdown is gone after a power cut, and keeps nobody from upgrading.
cut() {
    onlay layer add --cached onlay-tool 2>$said
    says 'the next boot has that, once this system was shut down in order'
    origin
    rm /run/ostree/staged-deployment
    refuse has_next
    tell ostree admin upgrade --pull-only
    test "$code" = 1
    onlay layer remove --all --dry-run
    origin
    tell onlay layer remove --all
    says 'nothing to do'
    refuse origin
    tell ostree admin upgrade --pull-only
    test "$code" = 0
}

# With the newer base, the layers come along.
upgraded() {
    onlay layer add onlay-tool
    onlay layer upgrade 2>&1 | tee $said
    says 'base 13.1 to 13.2'
    onlay layer list | grep onlay-tool
    tell ostree admin upgrade
    test "$code" = 1
    has_next
    onlay layer rollback
    refuse origin
}

# What only comes can be seen at once; what has settings cannot, and then nothing is done.
at_once() {
    tell onlay layer add onlay-tool onlay-probe --apply-now
    test "$code" = 1
    says 'that cannot be there at once: onlay-probe has settings (/etc/'
    tell onlay layer override remove strace --apply-now
    test "$code" = 1
    says 'strace goes from the base'
    tell onlay layer upgrade --apply-now
    test "$code" = 1
    says 'the base is another one'
    refuse has_next
    refuse origin
    onlay layer add onlay-needy --dry-run --apply-now 2>$said
    says 'would be there at once, until the reboot: onlay-base 1.0, onlay-needy 1.0'
    test ! -e /usr/share/onlay-needy
    onlay layer add onlay-needy --apply-now 2>$said
    says 'is there at once, until the reboot: onlay-base 1.0, onlay-needy 1.0'
    has_next
    grep needy /usr/share/onlay-needy/file
    test "$(dpkg-query --show --showformat '${Version}' onlay-needy)" = 1.0
    onlay ext list | grep '^layers-until-reboot: active: until the reboot$'
    # Nothing of it outlives the boot.
    test ! -e /etc/onlay/extensions/layers-until-reboot.raw
    test ! -e /etc/systemd/system/onlay-extensions.service
    test -z "$(find /var/lib/onlay/images -name '*.raw' 2>/dev/null)"
}

# One more beside what is there, and off again.
more() {
    onlay layer add onlay-tool --apply-now --json >/run/json
    grep -A 4 '"at_once"' /run/json | tr -d ' \n' | grep '"onlay-base1.0","onlay-needy1.0","onlay-tool1.0"'
    onlay-strace -V | grep version
    grep needy /usr/share/onlay-needy/file
    onlay layer add onlay-tool --apply-now 2>$said
    says 'nothing to do: the next boot has that already'
    says 'is there at once, until the reboot: onlay-base 1.0'
    # A package that has a service, and a script.
    tell onlay layer remove onlay-tool --apply-now
    test "$code" = 0
    refuse onlay-strace -V
    onlay ext disable layers-until-reboot
    test ! -e /usr/share/onlay-needy
    refuse grep sysext /proc/self/mountinfo
    onlay layer rollback
}

# What was tried over what runs.
tried() {
    onlay shell try -- dpkg --install /var/packages/onlay-base_1.0_amd64.deb /var/packages/onlay-tool_1.0_amd64.deb
    onlay save try --layer 2>$said
    says 'added onlay-base 1.0'
    has_next
    onlay layer list | grep -c 'asked for' | grep 2
    onlay save try --layer --dry-run 2>&1 | grep 'nothing to do'
}

step runs runs
step waiting waiting
step cut cut
step upgraded upgraded
step at-once at_once
step more more
step tried tried
