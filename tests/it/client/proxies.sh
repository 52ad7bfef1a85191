# Stores behind a proxy, which is tinyproxy, by TLS (CONNECT) and without.
# shellcheck shell=bash
# shellcheck disable=SC2154 # who sources it sets url, images and code

# start_proxy [LINE…]: with lines of its configuration. It stays until `stop_proxy`, also at the port that it had.
start_proxy() {
    printf '%s\n' 'Port 3128' 'Listen 127.0.0.1' 'Allow 127.0.0.1' 'Timeout 60' 'LogLevel Connect' \
        'LogFile "/results/proxy.log"' "$@" >/results/proxy.conf
    : >/results/proxy.log
    # One of a step that failed.
    if [ -e /results/proxy.pid ]; then stop_proxy; fi
    /results/tinyproxy -d -c /results/proxy.conf >/dev/null 2>&1 &
    echo $! >/results/proxy.pid
    await bash -c ': </dev/tcp/127.0.0.1/3128'
}

stop_proxy() {
    kill -KILL "$(cat /results/proxy.pid)"
    wait "$(cat /results/proxy.pid)" || true
    rm /results/proxy.pid
}

# What it was asked for.
asked_of_proxy() {
    sed -n 's/.*Request (file descriptor [0-9]*): //p' /results/proxy.log
}

# behind [LINE…]: a store over TLS of which nothing is known yet.
behind() {
    url=$(cat /results/secure)
    export SSL_CERT_FILE=/results/authority.pem
    use 2 "$@"
    rm -rf /var/lib/onlay/stores
}

proxied() {
    local by="proxy = 'http://127.0.0.1:3128'" name server
    start_proxy
    behind "$by"
    server=${url#https://}
    onlay ext search one | grep -E '^one +2 '
    test "$(asked_of_proxy)" = "CONNECT $server HTTP/1.1"
    tell onlay ext add three
    test "$code" = 0
    cmp $images/three_1_any.raw /results/images/three_1_any.raw
    onlay ext remove three
    # The environment's, where nothing is said, and where no exception is made.
    for name in https_proxy HTTPS_PROXY all_proxy; do
        : >/results/proxy.log
        behind
        env $name=127.0.0.1:3128 onlay ext search one | grep -E '^one +2 '
        test "$(asked_of_proxy)" = "CONNECT $server HTTP/1.1"
    done
    : >/results/proxy.log
    for name in '*' localhost 'example.org, .localhost'; do
        behind
        env https_proxy=http://127.0.0.1:3128 no_proxy="$name" onlay ext search one | grep -E '^one +2 '
    done
    behind "proxy = ''"
    env https_proxy=http://127.0.0.1:3128 onlay ext search one | grep -E '^one +2 '
    test -z "$(asked_of_proxy)"
    # It does not know whom the store's server is certified by; nor does it lead to what is said to be another one.
    behind "$by"
    SSL_CERT_FILE=/results/other.pem tell onlay ext search one
    test "$code" = 1
    says "cannot fetch $url/2/index.json: invalid peer certificate: UnknownIssuer (through the proxy http://127.0.0.1:3128)"
    # Without TLS, it asks by itself, and gets no further than one file each time.
    url=$(cat /results/url)
    use 2 "$by"
    : >/results/proxy.log
    onlay ext search one | grep -E '^one +2 '
    onlay ext add three
    cmp $images/three_1_any.raw /results/images/three_1_any.raw
    onlay ext remove three
    asked_of_proxy | grep -Fx "GET $url/2/index.json HTTP/1.1"
    asked_of_proxy | grep -Fx "GET $url/2/three_1_any.raw HTTP/1.1"
    refuse grep -F ': CONNECT ' /results/proxy.log
    stop_proxy
}

proxy_refuses() {
    local proxy=http://127.0.0.1:3128 where
    # Only with a name and a password.
    start_proxy 'BasicAuth me p-ss'
    for where in "$(cat /results/secure)" "$(cat /results/url)"; do
        behind "proxy = '$proxy'" 'retries = 9'
        url=$where
        sed -i "s,^url = .*,url = '$where/2'," /etc/onlay/onlay.toml
        tell onlay ext search one
        test "$code" = 1
        says "store 'main': cannot fetch $where/2/index.json: the proxy $proxy wants a name and a password that it knows (407)"
        says 'hint: '
        # It is not asked again.
        test "$(asked_of_proxy | wc -l)" = 1
        sed -i '/^proxy/s,//127,//me:wrong@127,' /etc/onlay/onlay.toml
        tell onlay ext search one
        test "$code" = 1
        # Without TLS, that may as well be said by the server.
        says "$(case $where in https*) echo "the proxy $proxy wants a name and a password that it knows" ;; *) echo the server says ;; esac)"
        says 401
        refuse says wrong
        sed -i 's,me:wrong,me:p%2Dss,' /etc/onlay/onlay.toml
        onlay ext add three
        cmp $images/three_1_any.raw /results/images/three_1_any.raw
        onlay ext remove three
        # What was known of a store is believed while its proxy refuses.
        sed -i 's,me:p%2Dss@,,' /etc/onlay/onlay.toml
        tell onlay ext search one
        test "$code" = 0
        says "store 'main' is as it was the last time: cannot fetch $where/2/index.json: the proxy $proxy wants"
        says 'one   2'
        : >/results/proxy.log
    done
    stop_proxy
    # To no other port than 443, as most are made; http is no matter of that.
    start_proxy 'ConnectPort 443'
    behind "proxy = '$proxy'" 'retries = 9'
    tell onlay ext search one
    test "$code" = 1
    says "cannot fetch $url/2/index.json: the proxy $proxy does not lead there: it says 403"
    test "$(asked_of_proxy | wc -l)" = 1
    url=$(cat /results/url)
    use 2 "proxy = '$proxy'"
    onlay ext search one | grep -E '^one +2 '
    stop_proxy
    # One that is not there, one that says nothing, and one of another kind.
    behind "proxy = '$proxy'"
    tell onlay ext search one
    test "$code" = 1
    says "cannot fetch $url/2/index.json: Connection refused (through the proxy $proxy)"
    behind "proxy = 'http://nowhere.invalid:3128'"
    tell onlay ext search one
    says "no address of the proxy http://nowhere.invalid:3128 is known"
    behind
    all_proxy=socks5://127.0.0.1:3128 tell onlay ext search one
    test "$code" = 1
    says "all_proxy of the environment cannot be used: proxies by 'socks5' are not known: http and https are"
}

# What it takes down with it comes again by the next one: the rest alone.
proxy_dies() {
    local adding part where
    for where in "$(cat /results/secure)" "$(cat /results/url)"; do
        start_proxy
        behind "proxy = 'http://127.0.0.1:3128'" "limit-rate = '10M'" 'retries = 50' 'retry-wait-ms = 100'
        sed -i "s,^url = .*,url = '$where/2'," /etc/onlay/onlay.toml
        onlay ext add --no-refresh large >/results/adding 2>&1 &
        adding=$!
        await sh -c "find $images -name '.*.part' -size +3M | grep ."
        stop_proxy
        part=$(find $images -name '.*.part' -size -25M)
        test -n "$part"
        sleep 0.5
        start_proxy
        wait $adding
        cmp $images/large_1_any.raw /results/images/large_1_any.raw
        grep -E '^206 /2/large_1_any.raw bytes=[0-9]{7,}-$' /results/requests
        test "$(grep -c '^200 /2/large_1_any.raw' /results/requests)" = 1
        onlay ext remove large
        stop_proxy
    done
    unset SSL_CERT_FILE
}
