# Extensions from stores, on a host that does not boot, by a real systemd-sysext. Stores lie in /results/stores, as they are at
# some moments; a server outside shows them.
# shellcheck shell=bash
# shellcheck source=tests/it/machine/steps.sh
. /usr/local/bin/steps.sh
# shellcheck source=tests/it/client/host.sh
. /results/host.sh
# shellcheck source=tests/it/client/proxies.sh
. /results/proxies.sh

nothing_configured() {
    mkdir -p /etc/onlay
    tell onlay ext search
    test "$code" = 1
    says "no store is configured in '/etc/onlay/onlay.toml'"
    says 'hint: name one there: [store.NAME]'
    printf '[store.main]\nurl = "/x"\n' >/etc/onlay/onlay.toml
    tell onlay ext update
    says "cannot use '/etc/onlay/onlay.toml', line 1: store 'main' has no keys"
    use 2 'color = "red"'
    tell onlay ext stores
    test "$code" = 0
    says "onlay.toml, line 7: 'color' is not known, and not heeded"
    says "$(cat /results/fingerprint)"
    says '12 images'
    rm /etc/onlay/keys/store.asc
    tell onlay ext search
    says "store 'main': its key 'store.asc' is not there"
    sed -i "s/store.asc/$(cat /results/fingerprint)/" /etc/onlay/onlay.toml
    tell onlay ext search
    says 'is in no file of /etc/onlay/keys or /usr/lib/onlay/keys'
    cp /results/store.asc /etc/onlay/keys/any.asc
    onlay ext search
    # Anybody may look, and keeps what he has seen where his programs keep such things.
    mkdir -p /srv/home
    chown 65534:65534 /srv/home
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/srv/home)
    "${nobody[@]}" onlay ext search one | grep -E '^one +2 .* yes'
    test -e /srv/home/.cache/onlay/stores/main/index.json
    "${nobody[@]}" onlay ext list --available | grep '^one '
    "${nobody[@]}" onlay ext info one --offline | grep '^one '
    "${nobody[@]}" onlay ext stores | grep '12 images'
    tell "${nobody[@]}" env -u HOME onlay ext search
    says 'only root may do that'
    tell "${nobody[@]}" onlay ext add one
    says 'only root may do that'
    rm -r /srv/home
    rm /etc/onlay/keys/any.asc
    # What is switched off is listed, and not asked.
    printf '[store.off]\nenabled = false\nurl = "https://example.invalid/off"\n' >/etc/onlay/onlay.toml
    onlay ext stores | grep -E '^off +99 +- +\(disabled\) +https://example.invalid/off$'
    onlay ext stores --json | grep '"enabled": false'
    tell onlay ext search
    says 'no store is configured'
    mkdir -p /var/lib/onlay/stores/off
    onlay ext clean
    test -e /var/lib/onlay/stores/off
}

found() {
    show 2
    use now
    onlay ext search >/results/said
    grep -E '^one +2 +[0-9.]+ kB +main +- +yes' /results/said
    grep -E '^foreign +1 +[0-9.]+ kB +main +- +no' /results/said
    says "foreign 1: systemd does not merge it: it says ID=fedora, and the host is debian"
    says "needy 1: it needs libneedful.so.1, which is not found"
    says "loaderless 1: it needs the loader /lib64/ld-alien-x86-64.so.2, which is not there"
    says 'settings 1: it extends /etc (systemd-confext), and only what extends /usr and /opt is added'
    test "$(onlay ext search tw)" = "$(onlay ext search two)"
    # What a drop-in says of a channel is below what is said of the store.
    mkdir -p /etc/onlay/onlay.toml.d
    printf "[store.main]\nurl = '%s'\nchannel = '1'\n" "$url" >/etc/onlay/onlay.toml.d/10-channel.toml
    onlay ext search one | grep -E '^one +1 '
    rm /etc/onlay/onlay.toml.d/10-channel.toml
    onlay ext search nothing-like-that 2>&1 | grep 'nothing of that is in the stores'
    diff <(onlay ext list --available) <(onlay ext search)
    tell onlay ext update
    test "$code" = 0
    says 'no extension is enabled: there is nothing to update'
    test "$(onlay ext update --json 2>/dev/null | tr -d ' \n')" = '{"extensions":[]}'
    rm /results/requests
    rm -r /var/lib/onlay/stores
    tell onlay ext search --offline
    test "$code" = 1
    says "store 'main': nothing is known of it: it was never asked here"
    says 'hint: without --offline, it is asked'
    onlay ext info one >/results/said
    test "$(grep -c '^one ' /results/said)" = 2
    onlay ext info one=1 --json | grep '"version": "1"'
    for name in nothing nothing=1; do
        tell onlay ext info $name
        test "$code" = 1
        says "no store has 'nothing'"
    done
    tell onlay ext info one=9
    test "$code" = 1
    says "'one': no store has 9 of it; there is 2, 1"
    tell onlay ext add one=
    test "$code" = 2
    says "'one=': an extension is NAME or NAME=VERSION"
    # Whatever was asked: the store only once each time, and only whether it has changed.
    refuse grep -v index.json /results/requests
    test "$(grep -c '^200' /results/requests)" = 1
    rm /results/requests
    onlay ext search --offline | grep '^one '
    test ! -e /results/requests
}

added() {
    show 1
    use now
    # As a host that has not seen the newer index yet.
    rm -r /var/lib/onlay/stores
    tell onlay ext add --dry-run one
    says "'one' 1 of store 'main', "
    says "'one' 1 would be added and enabled"
    absent one
    # What would not last is refused before anything comes.
    cp /usr/bin/onlay /run/onlay-copy
    mkdir --mode=777 /srv/open
    cp /usr/bin/onlay /srv/open/
    for words in 'ext add one' 'ext add --dry-run one'; do
        # shellcheck disable=SC2086
        tell /run/onlay-copy $words
        test "$code" = 1
        says 'this program is not there at the next boot'
        # shellcheck disable=SC2086
        tell /srv/open/onlay $words
        test "$code" = 1
        says "this program, '/srv/open/onlay', is started at boot where there are extensions, and '/srv/open': others than root may write it"
        says 'hint: what runs at boot lies where only root may write'
    done
    mkdir -p /srv/bare/usr/bin /srv/bare/etc/onlay/keys /srv/bare/usr/lib
    cp /usr/bin/onlay /srv/bare/usr/bin/
    cp /etc/os-release /srv/bare/usr/lib/
    cp -r /etc/onlay/. /srv/bare/etc/onlay/
    tell onlay --root /srv/bare ext add one
    test "$code" = 3
    says 'this host has no systemd-sysext'
    rm -r /srv/bare /srv/open /run/onlay-copy
    refuse grep raw /results/requests
    absent one
    tell onlay ext add one two
    test "$code" = 0
    says "fetched 'one' 1 from store 'main': "
    says "'one' 1 added and enabled"
    says 'merged: one, two'
    test "$(one; cat /opt/two/file)" = "$(printf 'one 1\nx')"
    cmp $images/one_1_any.raw /results/images/one_1_any.raw
    merged one two
    test -z "$(find $images -name '.*' -type f)"
    rm /results/requests
    tell onlay ext add one
    says "'one' 1 is there already"
    test "$(requests)" = '304 /now/index.json -'
    tell onlay ext add one=7
    test "$code" = 1
    says "cannot add 'one': no store has 7 of it; there is 1"
    tell onlay ext add two nothing
    says "cannot add 'nothing': no store has it"
    says "hint: 'onlay ext search' lists what they have"
}

updated() {
    rm -f /results/requests
    tell onlay ext update --unchanged-exit-77
    test "$code" = 77
    says 'all extensions are the newest that fit'
    test "$(requests)" = '304 /now/index.json -'
    onlay ext update
    show 2
    tell onlay ext update --dry-run
    says "'one' 1 would become 2 of store 'main'"
    test "$(one)" = 'one 1'
    tell onlay ext update --unchanged-exit-77
    test "$code" = 0
    says "'one' is 2 now, and was 1"
    says 'merged anew: one'
    test "$(one)" = 'one 2'
    refuse onlay ext update nothing
    # What somebody has taken away comes again.
    rm $images/one_2_any.raw
    tell onlay ext update --dry-run
    says "'one' 2 would come again from store 'main'"
    tell onlay ext update
    test "$code" = 0
    says "'one' 2 is there again"
    cmp $images/one_2_any.raw /results/images/one_2_any.raw
    test "$(one)" = 'one 2'
    onlay ext update one 2>&1 | grep "'one' stays 2: it is the newest that fits"
    onlay ext update one --json | grep '"changed": false'
    grep -E '^200 /now/one_2_any.raw -$' /results/requests
}

back() {
    tell onlay ext rollback one --dry-run
    says "'one' 1 would be enabled"
    test "$(one)" = 'one 2'
    rm -f /results/requests
    tell onlay ext rollback one
    test "$code" = 0
    says "'one' is pinned to 1"
    test "$(one)" = 'one 1'
    test ! -e /results/requests
    test "$(onlay ext pin)" = 'one 1'
    onlay ext pin --json | grep '"version": "1"'
    onlay ext update one 2>&1 | grep "'one' stays 1: it is pinned"
    test "$(one)" = 'one 1'
    tell onlay ext update
    test "$code" = 0
    says "'one' stays 1: it is pinned; store 'main' has 2"
    says 'the others are the newest that fit'
    onlay ext list | grep -E '^one +1 .* active, pinned +yes'
    onlay ext list | grep -E '^one +2 .* disabled +-'
    onlay ext list --json | grep '"pinned": true'
    # No other version of it comes without a word.
    tell onlay ext add one
    test "$code" = 1
    says "'one' is pinned to 1, and would become 2"
    says "hint: 'onlay ext unpin one' lets it be updated again; 'onlay ext add one=2' makes it that, and keeps it so"
    tell onlay ext pin one=2
    test "$code" = 1
    says "'one' 2 is not enabled: 1 is"
    onlay ext pin one=1
    onlay ext add one=2 2>&1 | grep "'one' stays pinned, now to 2"
    onlay ext enable one=1 2>&1 | grep "'one' stays pinned, now to 1"
    onlay ext pin nothing 2>&1 | grep "extension 'nothing' is not enabled"
    tell onlay ext rollback one
    test "$code" = 1
    says "there is no image of 'one' that is older than 1, which is enabled"
    # With the extension goes its pin, for nobody thinks of that when it comes again.
    onlay ext pin two
    onlay ext remove --dry-run two
    test "$(onlay ext pin)" = "$(printf 'one 1\ntwo 1')"
    onlay ext remove two 2>&1 | grep "'two' is not pinned any more"
    test "$(onlay ext pin)" = 'one 1'
    onlay ext add two
    onlay ext unpin one 2>&1 | grep "'one' is not pinned any more"
    onlay ext pin 2>&1 | grep 'nothing is pinned'
    test "$(onlay ext pin)" = ''
    rm -f /results/requests
    onlay ext update
    test "$(one)" = 'one 2'
    # It is there already.
    test "$(requests)" = '304 /now/index.json -'
    refuse onlay ext pin nothing
    onlay ext pin one
    onlay ext pin one 2>&1 | grep 'is pinned already, to 2'
    onlay ext unpin one
}

# What does not fit is known before it has come.
unfit() {
    show 2
    tell onlay ext add needy
    test "$code" = 1
    says "cannot add 'needy': 1 of store 'main' does not fit: it needs libneedful.so.1, which is not found"
    tell onlay ext add three foreign
    test "$code" = 1
    says "cannot add 'foreign': 1 of store 'main' does not fit: systemd does not merge it: it says ID=fedora"
    absent three
    tell onlay ext add --unfit three settings
    test "$code" = 1
    says "cannot add 'settings': 1 of store 'main' does not fit: it extends /etc"
    absent settings
    tell onlay ext add loaderless
    says "cannot add 'loaderless': 1 of store 'main' does not fit: it needs the loader /lib64/ld-alien-x86-64.so.2"
    refuse grep raw /results/requests
    # Together with what it needs, it does.
    onlay ext add needy wanted
    merged needy one two wanted
    onlay ext remove needy wanted
    tell onlay ext add --unfit foreign
    says "'foreign' 1 added and enabled, but held back"
    onlay ext remove foreign
}

# refused STORE WORDS: nothing is added of it, and nothing stays.
refused() {
    use "$1"
    tell onlay ext add three
    test "$code" = 1
    says "$2"
    absent three
    tell onlay ext update
    merged one two
}

hostile() {
    refused strangers "store 'main': the signature of index.json is not good"
    refused altered "store 'main': the signature of index.json is not good"
    refused unsigned "store 'main': index.json is not signed"
    refused expired "store 'main': what it lists was to be believed until 2020-01-01, and has expired"
    refused soon "is to be believed until 'tomorrow', which is no day"
    refused size 'bytes, and it should have 4097'
    refused digest 'it has another SHA-256 than it should have'
    refused damaged 'it has another SHA-256 than it should have'
    refused host "store 'main': it says of three_1_any.raw what it is not: which hosts it is for"
    refused needs "store 'main': it says of three_1_any.raw what it is not: which libraries it needs"
    refused swapped "store 'main': three_1_any.raw cannot be used"
    refused cut 'it has 1000 bytes, and it should have'
    refused gone 'three_1_any.raw: it is not there'
    refused garbage "store 'main': its index.json is none"
    refused nowhere "there is no store at $url/nowhere: neither index.json nor SHA256SUMS is there"
    use damaged
    tell onlay ext add three
    says 'hint: what is there is not what was signed'
    use strangers
    tell onlay ext add three
    says "hint: where that is who publishes it now, compare the fingerprint"
    # One that may not be read, or is none, is no obstacle to the others.
    use 2
    printf '[store.file]\nurl = "/etc/passwd"\nkeys = "store.asc"\n' >>/etc/onlay/onlay.toml
    tell onlay ext search one
    test "$code" = 1
    says "store 'file': there is no store at /etc/passwd"
    says 'one   2'
    # With the same list, unsigned stores are only believed when that was said, loudly.
    use unsigned "signature = 'none'"
    sed -i /keys/d /etc/onlay/onlay.toml
    tell onlay ext add three
    says "store 'main' is believed without a signature"
    test "$code" = 0
    onlay ext remove three
}

# Somebody shows an old index.
replayed() {
    show 2
    use now
    onlay ext search
    show 1
    tell onlay ext update
    test "$code" = 1
    says "store 'main': its index is older than one that was seen before: it has serial 2, and 3 was seen"
    says 'hint: somebody may show you an old copy of it'
    # Nor is the older kind of list believed instead: what was seen is, as long as it is good.
    rm /results/stores/now/index.json
    tell onlay ext update
    test "$code" = 1
    says "store 'main' is as it was the last time: cannot fetch $url/now/index.json: it is not there"
    tell onlay ext search one
    test "$code" = 0
    says 'one   2'
    test "$(one)" = 'one 2'
    show 2
    onlay ext update
}

# What the network has broken off is gone on with; while the store cannot be reached, its list is what it was.
broken_off() {
    local cut
    show 2
    use now 'retries = 0'
    for cut in 0 40 200 700 2000; do
        echo "three_1 $cut" >/results/cut
        tell onlay ext add three
        test "$code" = 1
        says 'ended'
        test ! -e $images/three_1_any.raw
        test "$(find $images -name '.*.part' | wc -l)" = 1
    done
    rm /results/cut /results/requests
    onlay ext add three
    grep -E '^206 /now/three_1_any.raw bytes=[0-9]+-$' /results/requests
    cmp $images/three_1_any.raw /results/images/three_1_any.raw
    test -z "$(find $images -name '.*' -type f)"
    onlay ext remove three
    echo "three_1 1000" >/results/cut
    refuse onlay ext add three
    onlay ext clean --dry-run 2>&1 | grep 'what is left of a download'
    onlay ext clean
    test -z "$(find $images -name '.*' -type f)"
    echo 'index 30' >/results/cut
    tell onlay ext search one
    test "$code" = 0
    says "store 'main' is as it was the last time: cannot fetch $url/now/index.json"
    says 'one   2'
    # Whether there is anything new is not known then.
    tell onlay ext update
    test "$code" = 1
    refuse says 'newest'
    tell onlay ext stores
    test "$code" = 1
    rm -r /var/lib/onlay/stores/main
    tell onlay ext search one
    test "$code" = 1
    rm /results/cut
}

# An update fetches what older versions have not: a patch, else blocks, else all of it; and it is the same image.
from_older() {
    local store
    for store in grown-2 grown-3 grown-4; do
        use grown-1
        onlay ext add grown
        use $store
        tell onlay ext update grown
        says "'grown' is 2 now, and was 1"
        says "fetched 'grown' 2 from store 'main': "
        if [ $store = grown-4 ]; then refuse says ' was here'; else says ' was here'; fi
        cmp $images/grown_2_any.raw /results/images/grown_2_any.raw
        test -z "$(find $images -name '.*' -type f)"
        mv /results/requests /results/requests-$store
        onlay ext remove grown
    done
    grep -E '^200 /grown-2/grown_2_any.raw.from-[0-9a-f]{12}.patch -$' /results/requests-grown-2
    test "$(wc -l </results/requests-grown-2)" = 2
    grep -E '^404 /grown-3/grown_2_any.raw.from-[0-9a-f]{12}.patch -$' /results/requests-grown-3
    grep -E '^200 /grown-3/grown_2_any.raw.blocks -$' /results/requests-grown-3
    grep -E '^206 /grown-3/grown_2_any.raw bytes=' /results/requests-grown-3
    refuse grep -E '^200 /grown-3/grown_2_any.raw -$' /results/requests-grown-3
    grep -E '^200 /grown-4/grown_2_any.raw -$' /results/requests-grown-4
    # Nor is it another image where the older one was damaged meanwhile.
    use grown-1
    onlay ext add grown
    chmod u+w $images/grown_1_any.raw
    dd if=/dev/zero of=$images/grown_1_any.raw bs=1k seek=200 count=50 conv=notrunc 2>/dev/null
    use grown-2
    onlay ext update grown
    cmp $images/grown_2_any.raw /results/images/grown_2_any.raw
    onlay ext remove grown
}

# Wherever the network dies on the way from an older version to the next: one of them is there, and the next update makes it the newer one.
dying() {
    local cut
    use grown-1
    onlay ext add grown
    # Of a patch, of the list of blocks, and of parts of the image itself.
    for cut in 2:.patch:0 2:.patch:90 2:.patch:5000 3:.blocks:20 3:.blocks:400 3:2_any.raw:90 3:2_any.raw:40000 3:2_any.raw:400000; do
        use "grown-${cut%%:*}" 'retries = 0'
        cut=${cut#*:}
        echo "${cut%:*} ${cut#*:}" >/results/cut
        tell onlay ext update grown
        if [ "$code" = 0 ]; then
            cmp $images/grown_2_any.raw /results/images/grown_2_any.raw
        else
            says 'ended'
            test "$(readlink /etc/onlay/extensions/grown.raw)" = $images/grown_1_any.raw
            test ! -e $images/grown_2_any.raw
            rm /results/cut
            onlay ext update grown
            cmp $images/grown_2_any.raw /results/images/grown_2_any.raw
        fi
        test -z "$(find $images -name '.*' -type f)"
        onlay ext rollback grown
        onlay ext unpin grown
        rm $images/grown_2_any.raw*
    done
    onlay ext remove grown
}

# Several stores: the lower number counts first; names can be left to one of them; a path is as good as a URL.
several() {
    show 2
    use now "only = ['t*', 'one']"
    mkdir -p /etc/onlay/onlay.toml.d
    printf '[store.local]\nurl = ["/nowhere", "/results/stores/1"]\nkeys = "store.asc"\npriority = 5\n' \
        >/etc/onlay/onlay.toml.d/20-local.toml
    onlay ext search >/results/said
    grep -E '^one +1 .* local +newer' /results/said
    grep -E '^three +1 .* main ' /results/said
    refuse grep foreign /results/said
    onlay ext update one 2>&1 | grep "'one' stays 2: it is newer than all that stores have"
    # One that cannot be used is told, and the others are used.
    sed -i s,stores/1,stores/strangers, /etc/onlay/onlay.toml.d/20-local.toml
    tell onlay ext update
    test "$code" = 1
    says "store 'local': the signature of index.json is not good"
    onlay ext stores --json | grep '"problem": "the signature'
    tell onlay ext add three
    test "$code" = 0
    onlay ext remove three
    rm /etc/onlay/onlay.toml.d/20-local.toml
}

# Stores of others have names and digests alone; what else is wrong is known when an image has come.
of_others() {
    use others
    rm -rf /var/lib/onlay/stores
    onlay ext search >/results/said
    grep -E '^three +3 +- +main +- +-' /results/said
    grep -E '^one +1 ' /results/said
    tell onlay ext add three
    test "$code" = 0
    says "'three' 3 added and enabled"
    test -e $images/three_3_any.raw
    rm /results/requests
    onlay ext update
    test "$(requests)" = '304 /others/SHA256SUMS -'
    onlay ext remove three
    tell onlay ext add four
    test "$code" = 1
    says 'four_1_any.raw cannot be used'
    absent four
    # One that is compressed as a whole is the image that it is without that.
    use others-packed
    onlay ext update two
    cmp $images/two_2_any.raw /results/images/two_1_any.raw
    tell onlay ext add five
    test "$code" = 1
    says 'five_1_any.raw.zst cannot be unpacked: ends inside its compressed data'
    absent five
    test -z "$(ls -A $images | grep -e '[.]part$' -e zst)"
    # As it was, for the steps that follow.
    onlay ext rollback two
    rm $images/two_2_any.raw
    # Each extension in a directory of its own, and images that are named for their files.
    use others/seed
    tell onlay ext add seed
    test "$code" = 0
    says "'seed' 1 added and enabled"
    test "$(seed)" = 'seed 1'
    onlay ext remove seed
    # Who shows an old list is not believed, once a newer one was seen.
    show others-older
    use now
    onlay ext search | grep '^three '
    show others
    onlay ext search | grep '^four '
    show others-older
    tell onlay ext add three
    test "$code" = 1
    says "store 'main': its SHA256SUMS is older than one that was seen before: it was signed at 20"
    says 'hint: somebody may show you an old copy of it'
    absent three
    show others
    onlay ext search | grep '^four '
    for bad in unsigned:'SHA256SUMS is not signed' altered:'the signature of SHA256SUMS is not good' expired:'2020-01-01, and has expired'; do
        use "others-${bad%%:*}"
        tell onlay ext add three
        test "$code" = 1
        says "${bad#*:}"
        absent three
    done
}

# Over TLS, by what the host trusts; nobody leads away from it.
encrypted() {
    echo 127.0.0.1 localhost >>/etc/hosts
    url=$(cat /results/secure)
    use 2
    rm -rf /var/lib/onlay/stores
    export SSL_CERT_FILE=/results/other.pem
    tell onlay ext search one
    test "$code" = 1
    says "cannot fetch $url/2/index.json: invalid peer certificate: UnknownIssuer"
    export SSL_CERT_FILE=/results/authority.pem
    onlay ext search one | grep '^one  *2 '
    onlay ext add three
    onlay ext remove three
    url=https://127.0.0.1:${url##*:}
    use 2
    tell onlay ext search one
    says 'invalid peer certificate'
    url=$(cat /results/secure)
    use plain
    tell onlay ext search one
    test "$code" = 1
    says "it leads on to another scheme, 'http'"
    # Where nothing is trusted, nobody is.
    export SSL_CERT_FILE=/results/fingerprint
    use 2
    tell onlay ext search one
    says 'this host has no certificates of authorities to trust'
}

# Of a version that has little new in it, only that comes.
by_parts() {
    show 1
    use now
    rm -rf /var/lib/onlay/stores
    onlay ext add sizeable
    show 2
    tell onlay ext update sizeable
    test "$code" = 0
    says "'sizeable' is 2 now, and was 1"
    requests
    refuse grep '^200 /now/sizeable_2_any.raw -' /results/requests
    cmp $images/sizeable_2_any.raw /results/images/sizeable_2_any.raw
    test -z "$(find $images -name '.*' -type f)"
    onlay ext remove sizeable
}

# Versions are kept as configured, and what is used is never removed.
kept() {
    show 2
    use now
    sed -i '1i keep = 1' /etc/onlay/onlay.toml
    mkdir -p /.snapshots/7/snapshot/etc/onlay/extensions
    ln -s $images/one_1_any.raw /.snapshots/7/snapshot/etc/onlay/extensions/one.raw
    onlay ext clean
    test -e $images/one_1_any.raw
    rm -r /.snapshots
    onlay ext clean --dry-run 2>&1 | grep "the image of 'one' 1 would be removed"
    test -e $images/one_1_any.raw
    onlay ext clean 2>&1 | grep "the image of 'one' 1 removed"
    test ! -e $images/one_1_any.raw
    onlay ext add one=1
    tell onlay ext update
    says "removed the image of 'one' 1, which is old"
    test ! -e $images/one_1_any.raw
    test "$(one)" = 'one 2'
    mkdir -p /var/lib/onlay/stores/gone
    onlay ext clean 2>&1 | grep "what is known of store 'gone' forgotten"
    test ! -e /var/lib/onlay/stores/gone
}

# The next snapshot has what fits it, and so it has by tukit's plugin.
of_a_snapshot() {
    local next=/.snapshots/8/snapshot
    show 1
    use now
    rm -rf /var/lib/onlay/stores
    mkdir -p $next/usr/bin $next/bin $next/usr/lib/x86_64-linux-gnu/systemd $next/etc/onlay $next/var
    cp /usr/bin/onlay $next/usr/bin/
    cp /bin/sh $next/bin/
    cp /usr/lib/os-release $next/usr/lib/
    cp -a /usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-* $next/usr/lib/x86_64-linux-gnu/systemd/
    cp -a /lib64 $next/ && mkdir -p $next/lib/x86_64-linux-gnu
    cp -aL /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 $next/lib/x86_64-linux-gnu/
    cp -a /etc/onlay/. $next/etc/onlay/
    rm -f $next/etc/onlay/extensions/*
    tell onlay --root $next ext add one=1
    test "$code" = 0
    show 2
    mkdir -p /etc/tukit/plugins
    test "$(onlay ext timer)" = off
    onlay ext timer on 2>&1 | grep 'extensions are updated every day'
    test "$(onlay ext timer)" = on
    onlay ext timer --json | grep '"plugin": true'
    grep '^ExecStart="/usr/bin/onlay" --state "/var/lib/onlay" ext update$' /etc/systemd/system/onlay-update.service
    test -L /etc/systemd/system/timers.target.wants/onlay-update.timer
    /etc/tukit/plugins/onlay init-pre
    /etc/tukit/plugins/onlay execute-post $next 8 true
    test "$(readlink $next/etc/onlay/extensions/one.raw)" = $images/one_1_any.raw
    # It has the snapshot by another path, in a mount namespace of its own.
    mkdir /tmp/transactional-update-x
    unshare --mount --propagation private sh -exc "mount --bind $next /tmp/transactional-update-x
        /etc/tukit/plugins/onlay finalize-pre /tmp/transactional-update-x 8"
    rmdir /tmp/transactional-update-x
    test "$(readlink $next/etc/onlay/extensions/one.raw)" = $images/one_2_any.raw
    # What has been enabled there is found by the snapshot's own path later.
    test ! -e $images/roots.json
    sed -i '1i keep = 1' /etc/onlay/onlay.toml
    onlay ext clean
    test -e $images/one_2_any.raw
    onlay ext timer off
    test ! -e /etc/tukit/plugins/onlay
    test -z "$(find /etc/systemd/system -name 'onlay-update*')"
    onlay ext timer off 2>&1 | grep 'are not updated by themselves$'
    rm -r /.snapshots
}

mount -t devtmpfs devtmpfs /dev
mount -o remount,bind,ro /usr
step nothing-configured nothing_configured
step found found
step added added
step updated updated
step back back
step unfit unfit
step hostile hostile
step replayed replayed
step broken-off broken_off
step from-older from_older
step dying dying
step several several
step of-others of_others
step encrypted encrypted
step proxied proxied
step proxy-refuses proxy_refuses
step proxy-dies proxy_dies
step by-parts by_parts
step kept kept
step of-a-snapshot of_a_snapshot
finish
