#!/bin/bash
# Several in one overlay, tools for the running host, and names.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

# What is left running keeps the overlay in use, and is not the host's to lose.
background() {
    inside background -- 'setsid sleep 555 >/dev/null 2>&1 & echo left'
    await pgrep -f '^sleep 555'
    onlay list
    refuse onlay rm background
    # A later command is in the same view, and may end it: it is inside.
    inside background -- 'pkill -f "^sleep 555"'
    # It was told to end, and takes its time.
    await refuse pgrep -f '^sleep 555'
    await onlay rm background
}

# An init script inside starts its daemon inside, and stops that one.
daemon() {
    inside daemon -- 'apt-get -q update; apt-get -q -y install onlay-probe; /etc/init.d/onlay-probe start; sleep 0.2
        pgrep -f "^[^ ]*sleep 7777"; /etc/init.d/onlay-probe restart; sleep 0.2; pgrep -f "^[^ ]*sleep 7777"'
    pgrep -f '^[^ ]*sleep 7777'
    test ! -e /run/onlay-probe.pid
    inside daemon -- '/etc/init.d/onlay-probe stop; sleep 0.2; refuse pgrep -f "^[^ ]*sleep 7777"'
}

tool_installed() {
    inside tools -- 'apt-get -q update; apt-get -q -y install onlay-tool; onlay-strace --version | head -n 1'
    test ! -e /usr/bin/onlay-strace
}

traces_the_host() {
    inside tools -- "onlay-strace -f -o /tmp/trace -p $(cat /run/probe.pid) & sleep 0.5
        getent hosts db.example; sleep 0.2; kill -INT %1; wait %1 || true; cat /tmp/trace; grep recvfrom /tmp/trace"
    # It goes on as if nothing had been.
    getent hosts db.example
    grep 'State:.*S' "/proc/$(cat /run/probe.pid)/status"
}

starts_under_trace() {
    inside tools -- 'onlay-strace -f -o /tmp/trace sh -c "true; sleep 0 & wait"; grep exit_group /tmp/trace'
}

sees_the_host() {
    logger 'a line of the host'
    journalctl --sync
    inside tools -- 'journalctl --no-pager | grep "a line of the host"; journalctl --no-pager -u probe -n 3
        systemctl is-system-running || true; ps -p 1 -o comm= | grep systemd'
    inside tools -- "ss -lntpH | grep 127.0.0.1:7007 | grep pid=$(cat /run/probe.pid)"
    inside tools -- "ls -l /proc/$(cat /run/probe.pid)/exe; cat /proc/$(cat /run/probe.pid)/maps | grep perl"
}

# The host's sockets in /run cannot be reached, its name services can.
sockets() {
    inside tools -- 'refuse perl -MIO::Socket::UNIX -e "IO::Socket::UNIX->new(Peer => q(/run/probe.sock)) or die"'
    perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Peer => q(/run/probe.sock)) or die'
}

names='cat /etc/resolv.conf; getent hosts listed.example | grep 10.9.9.9; getent hosts localhost'
resolves='getent hosts db.example | grep 10.1.2.3; refuse getent hosts other.example'

names() {
    bash -exc "$names; $resolves"
    inside names -- "$names; $resolves"
    inside --isolate isolated -- "$names; $resolves"
    inside --temp -- "$names; $resolves"
    # What listens there would answer with the network that is to be kept away.
    touch /run/systemd/resolve/listener
    inside --isolate isolated -- 'test -e /run/systemd/resolve/listener'
    inside --isolate --no-net offline -- 'refuse test -e /run/systemd/resolve/listener'
    rm /run/systemd/resolve/listener
    # There is no way out, and it says so at once.
    inside --isolate --no-net offline -- "$names; refuse getent hosts db.example; ip -o link | grep LOOPBACK,UP"
}

# Each has its terminal; a command ends with the code that it had.
codes() {
    local code=0
    onlay shell -- sh -c 'exit 42' || code=$?
    test "$code" = 42
    code=0
    onlay shell --isolate codes -- sh -c 'kill -TERM $$' || code=$?
    test "$code" = 143
    code=0
    onlay shell -- no-such-command || code=$?
    test "$code" = 127
    script --quiet --return --command 'onlay shell -- sh -c "tty; test -t 0"' /dev/null
    script --quiet --return --command 'onlay shell --isolate codes -- sh -c "tty; test -t 0"' /dev/null
}

# Two at a time cannot lose an overlay or mount it twice.
at_once() {
    local n pids=()
    for n in 1 2 3 4 5 6 7 8; do
        onlay shell --quiet crowd -- sh -c "echo $n >/usr/crowd-$n; sleep 0.2" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n"; done
    inside crowd -- 'cat /usr/crowd-*; test "$(cat /usr/crowd-* | wc -l)" = 8'
}

await test -e /run/probe.pid
systemctl is-system-running --wait >/dev/null
onlay shell --quiet first -- true
remember
step join join
step join-isolated join --isolate
step background background
step daemon daemon
step tool-installed tool_installed
step traces-the-host traces_the_host
step starts-under-trace starts_under_trace
step sees-the-host sees_the_host
step sockets sockets
step names names
step codes codes
step at-once at_once
step host-untouched untouched
finish
