#!/bin/bash
# Hooks of zypper and dnf 4, on a host whose /usr is a mount.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

zypp=/usr/lib/zypp/plugins
dnf=/usr/lib/python3/dist-packages/dnf-plugins

absent() {
    refuse rpm --query lab-tool
}

installed() {
    find / -xdev | sort >/results/files
    tell onlay hooks install
    says "installed the hook of dnf: $dnf/onlay.py"
    says "installed the hook of zypper: $zypp/commit/onlay"
    test "$(stat -c '%a %U' $zypp/commit/onlay)" = '755 root'
    tell onlay hooks install
    says 'there already'
}

# Each program, on a host that can be written, is locked and is unlocked.
asked() {
    mount -o remount,bind,rw /usr
    tell "$@" install lab-tool
    test "$code" = 0
    silent
    "$@" remove lab-tool
    mount -o remount,bind,ro /usr
    tell "$@" install lab-tool
    test "$code" != 0
    says '/usr of this host is read-only, so nothing was installed'
    absent
    onlay unlock
    tell "$@" install lab-tool
    test "$code" = 0
    test "$(grep -c onlay: /results/said)" = 1
    says "this is temporary, until the host is locked or rebooted; 'onlay lock --save NAME' keeps it"
    rpm --query lab-tool
    onlay lock --discard
    absent
    # zypper's own words about what it does are told elsewhere than what a script reads.
    tell inside trial -- "$* install lab-tool; rpm --query lab-tool"
    test "$code" = 0
    says "this goes into overlay 'trial' alone"
    # A gpg-agent that zypper started notices only now and then that it is needed no more.
    timeout 90 sh -c 'until onlay rm trial; do sleep 0.2; done'
}

# dnf takes the word of a hook before it asks or gets anything; it is asked in vain where it would change nothing here.
stops_dnf() {
    tell dnf -y install lab-tool
    test "$code" = 1
    says 'Error: onlay: /usr of this host is read-only, so nothing was installed'
    test "$(grep -c onlay: /results/said)" = 1
    refuse grep -i 'metadata\|resolved\|Downloading\|read-only file system' /results/said
    tell dnf repoquery lab-tool
    test "$code" = 0
    silent
    tell dnf -y install --downloadonly --downloaddir=/tmp lab-tool
    silent
    refuse grep Traceback /results/said
}

# Where an installation goes elsewhere, this host does not matter.
elsewhere() {
    mkdir -p /tmp/root
    tell zypper -n --root /tmp/root install lab-tool
    silent
    tell dnf -y --installroot=/tmp/root --setopt=reposdir=/etc/yum.repos.d install lab-tool
    silent
}

without_the_program() {
    mount -o remount,bind,rw /usr
    mv /usr/bin/onlay /root/onlay
    for program in 'zypper -n' 'dnf -y'; do
        tell $program install lab-tool
        test "$code" = 0
        refuse grep -i 'onlay[: ]' /results/said
        $program remove lab-tool
    done
    mv /root/onlay /usr/bin/onlay
}

refused() {
    mount -o remount,bind,ro /usr
    onlay hooks install
    for verb in remove 'install --program /opt/onlay'; do
        tell onlay hooks $verb
        test "$code" = 1
        says "the hook of dnf has to be in '$dnf', which cannot be written"
    done
    onlay hooks status --json | grep -c '"state": "installed"' | grep 2
    mount -o remount,bind,rw /usr
}

removed() {
    onlay hooks remove
    find / -xdev | sort >/results/left
    # What the package managers themselves write is theirs.
    diff /results/files /results/left >/results/more || true
    refuse grep 'onlay\|plugins' /results/more
    test ! -e $zypp/commit
    onlay hooks status | grep 'zypper *absent'
}

step installed installed
step zypper asked zypper -n
step dnf asked dnf -y
step stops-dnf stops_dnf
step elsewhere elsewhere
step without-the-program without_the_program
step refused refused
step removed removed
