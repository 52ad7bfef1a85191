# A host that uses stores: they lie in /results/stores, as they are at some moments, and servers outside show them.
# shellcheck shell=bash
# shellcheck disable=SC2034 # who sources it uses what is said here

url=$(cat /results/url)
images=/var/lib/onlay/images

merged() {
    local names
    names=$(grep -o '/run/systemd/sysext/extensions/[^/]*' /proc/self/mountinfo | sort -u | sed 's|.*/||' | paste -sd ' ')
    test "$names" = "$*"
}

# use STORE [LINE…]: the host uses one store, and no other; its name is the store's, unless it is said.
use() {
    local store=$1
    shift
    mkdir -p /etc/onlay/keys
    cp /results/store.asc /etc/onlay/keys/
    {
        echo 'timeout = 2'
        echo 'retries = 1'
        echo 'retry-wait-ms = 1'
        echo '[store.main]'
        echo "url = '$url/$store'"
        echo "keys = ['store.asc']"
        printf '%s\n' "$@"
    } >/etc/onlay/onlay.toml
    rm -f /results/requests /results/cut
}

# show STORE: what the store at /now has from now on.
show() {
    rm -rf /results/stores/now
    cp -a "/results/stores/$1" /results/stores/now
    rm -f /results/requests /results/cut
}

requests() {
    cat /results/requests
}

# No image of it, and nothing that is left of a download.
absent() {
    test -z "$(find $images \( -name "*$1*" -o -name '.*' \) -type f)"
    test ! -L "/etc/onlay/extensions/$1.raw"
}
