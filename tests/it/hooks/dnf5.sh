#!/bin/bash
# Hooks of dnf 5, on a host whose /usr is a mount.
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh

actions=/etc/dnf/libdnf5-plugins/actions.d

installed() {
    tell onlay hooks install dnf5
    says "installed the hook of dnf5: $actions/onlay.actions"
    tell dnf5 -y install lab-tool
    test "$code" = 0
    silent
    dnf5 -y remove lab-tool
}

# By now dnf 5 says so itself, before any hook.
locked() {
    mount -o remount,bind,ro /usr
    tell dnf5 -y install lab-tool
    test "$code" != 0
    says '/usr'
    refuse rpm --query lab-tool
}

unlocked() {
    onlay unlock
    tell dnf5 -y install lab-tool
    test "$code" = 0
    says "this is temporary, until the host is locked or rebooted; 'onlay lock --save NAME' keeps it"
    onlay lock --discard
    refuse rpm --query lab-tool
    tell inside trial -- 'dnf5 -y install lab-tool'
    test "$code" = 0
    says "this goes into overlay 'trial' alone"
    onlay rm trial
}

# A program that says that the host is locked where it is not: dnf has nothing to say against it.
stops() {
    mount -o remount,bind,rw /usr
    cat >/usr/local/bin/refuser <<'END'
#!/bin/sh
test "$3" != dnf5-before || echo 'error=the word of a hook'
END
    chmod +x /usr/local/bin/refuser
    onlay hooks install dnf5 --program /usr/local/bin/refuser
    tell dnf5 -y install lab-tool
    test "$code" != 0
    says 'the word of a hook'
    refuse rpm --query lab-tool
    cp /bin/false /usr/local/bin/refuser
    dnf5 -y install lab-tool
    dnf5 -y remove lab-tool
    rm /usr/local/bin/refuser
    tell dnf5 -y install lab-tool
    test "$code" = 0
    refuse grep refuser /results/said
}

removed() {
    onlay hooks remove
    test -z "$(ls -A "$actions")"
}

step installed installed
step locked locked
step unlocked unlocked
step stops stops
step removed removed
