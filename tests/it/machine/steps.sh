# What every script of checks inside a machine begins with: named steps, whose code and output go to /results, and
# a witness of all that could show that the host was changed.
# shellcheck shell=bash

export LC_ALL=C SYSTEMD_COLORS=0 SYSTEMD_PAGER='' DEBIAN_FRONTEND=noninteractive

# step NAME COMMAND…: any failing command inside fails the step; the next step runs all the same.
step() {
    local name=$1
    shift
    printf '%s\n' "$name" >>/results/order
    (
        set -ex
        "$@"
    ) >"/results/$name.out" 2>&1 </dev/null
    echo $? >"/results/$name.code"
    echo "$name: $SECONDS s" >>/results/times
}

# The command must fail. (`!` would be no help: `set -e` does not look at what it negates.)
refuse() {
    if "$@"; then
        echo "should have failed: $*"
        return 1
    fi
}

# bash inherits it in overlays, too.
export -f refuse

# Runs a command that may fail; what it says is in /results/said, and its exit code in $code.
tell() {
    code=0
    "$@" >/results/said 2>&1 || code=$?
    cat /results/said
}

says() {
    grep -F -- "$1" /results/said
}

# Nothing was said by us.
silent() {
    refuse grep onlay: /results/said
}

# Runs in an overlay, the rest of the line as a shell script: inside OPTIONS… -- SCRIPT.
inside() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    timeout --kill-after=5 100 onlay shell "${options[@]}" -- bash -exc "$2"
}

# hold NAME OPTIONS…: enters in the background and stays, until `release`.
hold() {
    local name=$1
    shift
    rm -f /root/release
    onlay shell "$@" "$name" -- bash -c \
        'echo first >/usr/first; echo $$ >/root/held; until [ -e /root/release ]; do sleep 0.05; done' \
        >/results/held.log 2>&1 &
    await test -s /root/held
}

release() {
    touch /root/release
    wait
    rm -f /root/held
}

# join OPTIONS…: a second one in an overlay, while the first is in.
join() {
    hold join "$@"
    inside join -- 'cat /usr/first; echo second >/usr/second'
    refuse onlay rm join
    refuse onlay shell join --temp -- true
    release
    inside "$@" join -- 'cat /usr/first /usr/second'
    test ! -e /usr/first
    onlay rm join
}

# What runs in the overlay 'kept' when the machine loses its power: half a file, and a process in the middle of writing.
in_use() {
    onlay shell kept -- bash -c 'echo half >/usr/half; while :; do echo line >>/var/growing; sync; done' &
    await onlay shell kept -- test -s /var/growing
}

# What vm/checks.sh has left in the overlay 'kept', by Debian's own tools.
# shellcheck disable=SC2034
as_left='onlay-strace --version | head -n 1; test ! -e /usr/bin/strace; refuse dpkg --status strace; grep mine /etc/mine
    dpkg-query -W cron | grep onlay1; dpkg --verify onlay-tool cron; test -z "$(dpkg --audit)"
    test "$(ls /usr/share/common-licenses)" = new; test "$(stat -c %a /usr/bin/perl)" = 700'


# Nothing of the last boot is in the way.
idle() {
    onlay list
    onlay list --json | grep '"state": "idle"'
    test "$(onlay list --json | grep -c '"name"')" = 1
}

# Waits up to ten seconds until a command succeeds.
await() (
    set +x
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then exit; fi
        sleep 0.05
    done
    echo "waited in vain: $*"
    exit 1
)

# All that a maintainer script could have changed, as text.
witness() (
    set +x
    for unit in probe cron dbus; do
        systemctl show "$unit" -p Id -p MainPID -p NRestarts -p ActiveState -p UnitFileState \
            -p ActiveEnterTimestampMonotonic -p StateChangeTimestampMonotonic
    done
    # Changes when systemd reads its units again.
    systemctl show -p UnitsLoadTimestampMonotonic
    systemctl list-unit-files --no-legend
    systemctl list-jobs --no-legend
    echo "signals: $(cat /run/probe.signals)"
    ps -o pid,ni,stat,args -C perl -C cron | sed 's/[+<N]* */ /'
    dpkg-query --show | sha256sum
    getent passwd
    ldconfig -p | sha256sum
    cut -d ' ' -f 3- /proc/1/mountinfo
    cat /proc/swaps
    hostname
    cat /etc/hostname
    readlink /etc/localtime
    sysctl net.ipv4.ip_forward
    ip -o address
    # Names, kinds, modes and owners; times of what systemd keeps for itself there do change.
    find /dev /run -xdev -path /run/onlay -prune -o -path /run/log -prune -o \
        -path '/run/systemd/*' -prune -o -printf '%p %y %m %u %g\n' | sort
)

# What is newer than the stamp: neither homes, nor Onlay's own state, nor where the journal grows; and nspawn's mount
# of results.
newer() (
    set +x
    places=(/ /usr /var)
    for place in /srv /opt /home; do
        if mountpoint -q "$place"; then places+=("$place"); fi
    done
    find "${places[@]}" -xdev \( -path /root -o -path /var/roothome -o -path /home -o -path /var/lib/onlay -o -path /var/log/journal -o -path /results \) \
        -prune -o \( -newer /results/stamp -o -cnewer /results/stamp \) -print
)

remember() {
    touch /results/stamp
    # So that what follows at once is newer.
    sleep 0.02
    witness >/results/before
}

# Whether all is as it was at the last `remember`.
untouched() {
    witness >/results/after
    diff --unified=0 /results/before /results/after || return 1
    local found
    found=$(newer)
    if [ -n "$found" ]; then
        echo "changed on the host:" "$found"
        return 1
    fi
}

# Loop devices come and go where the kernel makes them, here as well as at boot.
devices() {
    cat >/etc/systemd/system/loop-devices.service <<'EOF'
[Unit]
DefaultDependencies=no
Before=systemd-sysext.service onlay-extensions.service
[Service]
Type=oneshot
ExecStart=mount -t devtmpfs devtmpfs /dev
[Install]
WantedBy=sysinit.target
EOF
    systemctl enable loop-devices
    mount -t devtmpfs devtmpfs /dev
}

# The end of a script: the machine has got this far.
finish() {
    echo finish >>/results/order
    echo 0 >/results/finish.code
}

# kept_while SECONDS MARK COMMAND…: what is on the disk of an emulated machine is kept at moments of a command, so long apart, and as MARK when it has
# just said to be done. What it says is in /results/added.
kept_while() {
    local seconds=$1 mark=$2 working count=1
    shift 2
    "$@" >/results/added 2>&1 &
    working=$!
    while [ -e "/proc/$working" ]; do
        echo "keep moment-$((count++))" >/dev/ttyS1
        sleep "$seconds"
    done
    wait "$working"
    echo "keep $mark" >/dev/ttyS1
    cat /results/added
}

# Cuts the power of an emulated machine, at once: what nobody has synced is lost, but for what is in /results.
power_cut() {
    finish
    sync /results/*
    # To whoever holds the plug.
    echo cut >/dev/ttyS1
    sleep infinity
}
