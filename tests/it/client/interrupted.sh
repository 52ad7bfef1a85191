# What is killed, or finds no room, at every step on the way to another state of the disk, on a host that does not boot.
# shellcheck shell=bash
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/client/host.sh
. /results/host.sh

# All calls by which a disk becomes another one, but for what opens a file: what follows that is here; and for directories, which are there.
changing='renameat renameat2 linkat symlinkat unlinkat pwrite64 write ftruncate fallocate'

# injected WHAT ARGUMENTS…: as if that had happened to one of these calls, one after the other, each time to the next one of its kind,
# until there is no further one; `whole` looks each time.
injected() {
    local what=$1 call number
    shift
    for call in $changing; do
        for number in $(seq 30); do
            prepare
            tell timeout 20 strace -f --seccomp-bpf -qq -o /results/trace -e "trace=$call" -e "inject=$call:$what:when=$number" onlay "$@"
            whole
            case $what in
            signal=*) if [ "$code" = 0 ]; then break; fi ;;
            *) if ! grep -q INJECTED /results/trace; then break; fi ;;
            esac
            # Who fails is told why.
            test "$code" = 0 || test "$code" -gt 128 || grep -i 'no space left' /results/said
        done
        test "$number" -lt 30
        test "$code" = 0
    done
    prepare
    onlay -q "$@"
    whole
}

# Adding: it is there as a whole, or it is not. Updating and going back: one version or the other.
injected_everywhere() {
    local what=$1
    show 2
    use now
    onlay ext remove three two || true
    onlay -q ext add one=1
    onlay -q ext update
    prepare() {
        rm -rf /var/lib/onlay/stores
        rm -f $images/three_1_any.raw* $images/.*.part $images/.*.from /etc/onlay/extensions/three.raw
    }
    whole() {
        test ! -e $images/three_1_any.raw || cmp $images/three_1_any.raw /results/images/three_1_any.raw
        test ! -L /etc/onlay/extensions/three.raw || test -e $images/three_1_any.raw
        test "$(one)" = 'one 2'
    }
    injected "$what" ext add --no-refresh three
    prepare
    prepare() {
        rm -f /etc/onlay/pins/one $images/one_2_any.raw* $images/.*.part $images/.*.from
        ln -sfn $images/one_1_any.raw /etc/onlay/extensions/one.raw
    }
    whole() { test -e "$(readlink /etc/onlay/extensions/one.raw)"; cmp "$(readlink /etc/onlay/extensions/one.raw)" "/results/images/$(basename "$(readlink /etc/onlay/extensions/one.raw)")"; }
    injected "$what" ext update --no-refresh
    prepare() {
        rm -f /etc/onlay/pins/one
        ln -sfn $images/one_2_any.raw /etc/onlay/extensions/one.raw
    }
    # Who went back has it pinned: no update brings it forward.
    whole() { test "$(readlink /etc/onlay/extensions/one.raw)" != $images/one_1_any.raw || test -e /etc/onlay/pins/one; }
    injected "$what" ext rollback --no-refresh one
    onlay ext unpin one
    onlay ext update
    test "$(one)" = 'one 2'
    onlay ext clean
    test -z "$(find $images -name '.*' -type f)"
    rm /results/trace
}

# Where there is no room, nothing stays that was not there.
full_disk() {
    local state=/srv/small/state left
    show 2
    use now
    mkdir -p $state
    tell onlay --state $state ext add large
    test "$code" = 1
    grep -i 'no space left' /results/said
    test -z "$(find $state/images -type f -name '*[pr]a[rw]*')"
    for left in 0 4 8 12 16 24 32 48 64 96; do
        rm -f /srv/small/filler
        dd if=/dev/zero of=/srv/small/filler bs=1k 2>/dev/null || true
        truncate --size=-${left}k /srv/small/filler
        tell onlay --state $state ext add --no-refresh three
        if [ "$code" = 0 ]; then
            says "it takes effect at the next boot, or with 'onlay --state /srv/small/state ext refresh'"
            break
        fi
        test ! -e $state/images/three_1_any.raw
        test -z "$(find $state/images -name '.*.part' 2>/dev/null)"
    done
    test "$code" = 0
    cmp $state/images/three_1_any.raw /results/images/three_1_any.raw
    onlay --state $state ext remove three
    rm -rf $state /srv/small/filler
}

mount -t devtmpfs devtmpfs /dev
mount -o remount,bind,ro /usr
step killed injected_everywhere signal=KILL
step no-room injected_everywhere error=ENOSPC
step full-disk full_disk
finish
