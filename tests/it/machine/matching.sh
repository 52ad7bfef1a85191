# Which extensions systemd merges, and why, and what we say of the same ones: dozens of them in one merge, on hosts that
# say different things of themselves.
# shellcheck shell=bash

# candidate NAME FILE TEXT [STRICT]: an extension in a directory, with its release file and the attribute of that.
candidate() {
    local top=/var/lib/extensions/$1
    local file=$top/usr/lib/extension-release.d/extension-release.$2
    mkdir -p "$top/usr/share/$1" "${file%/*}"
    printf '%b' "$3" >"$file"
    test -z "${4-}" || strict "$file" "$4"
}

# There is no setfattr here; perl calls setxattr(2) by its number.
strict() {
    perl -e 'my ($f, $n, $v) = (@ARGV[0], "user.extension-release.strict", @ARGV[1]);
        syscall(188, $f, $n, $v, length $v, 0) == 0 or die $!' "$1" "$2"
}

candidates_of_all_kinds() {
    local version='ID=debian\nVERSION_ID=13\n'
    candidate any any 'ID=_any\n'
    candidate any-older any-older 'ID=_any\nVERSION_ID=12\n'
    candidate same same "$version"
    candidate quoted quoted "ID='debian'\nVERSION_ID=\"13\"\n"
    candidate spaced spaced ' ID = debian \n\tVERSION_ID=1\\3  \n'
    candidate repeated repeated 'ID=fedora\nVERSION_ID=13\nID=debian'
    candidate older older 'ID=debian\nVERSION_ID=12\n'
    candidate no-version no-version 'ID=debian\n'
    candidate empty-version empty-version 'ID=debian\nVERSION_ID=\n'
    candidate no-id no-id 'VERSION_ID=13\n'
    candidate empty-id empty-id 'ID=\nVERSION_ID=13\n'
    candidate other other 'ID=fedora\nVERSION_ID=13\n'
    candidate mine mine 'ID=mine\nVERSION_ID=13\n'
    candidate level-2 level-2 'ID=debian\nSYSEXT_LEVEL=2\n'
    candidate level-1 level-1 'ID=debian\nSYSEXT_LEVEL=1\n'
    candidate level-2-older level-2-older 'ID=debian\nSYSEXT_LEVEL=2\nVERSION_ID=12\n'
    candidate level-1-same level-1-same "${version}SYSEXT_LEVEL=1\n"
    candidate level-empty level-empty "${version}SYSEXT_LEVEL=\n"
    candidate level-other level-other 'ID=debian\nCONFEXT_LEVEL=2\n'
    candidate arch arch "${version}ARCHITECTURE=x86-64\n"
    candidate arch-any arch-any "${version}ARCHITECTURE=_any\n"
    candidate arch-empty arch-empty "${version}ARCHITECTURE=\n"
    candidate arch-uname arch-uname "${version}ARCHITECTURE=x86_64\n"
    candidate arch-arm64 arch-arm64 'ID=_any\nARCHITECTURE=arm64\n'
    candidate scope scope "${version}SYSEXT_SCOPE=system\n"
    candidate scope-both scope-both "${version}SYSEXT_SCOPE=\"portable  system\"\n"
    candidate scope-empty scope-empty "${version}SYSEXT_SCOPE=\n"
    candidate scope-portable scope-portable 'ID=_any\nSYSEXT_SCOPE=portable\nARCHITECTURE=arm64\n'
    candidate scope-initrd scope-initrd "${version}SYSEXT_SCOPE=initrd\n"
    candidate scope-other scope-other "${version}CONFEXT_SCOPE=portable\n"
    candidate nothing nothing ''
    candidate comments comments '# ID=_any\n; ID=_any\nwords\n'
    candidate no-text no-text 'ID=_any\nNAME=\0377\n'
    candidate cut_1.2 cut 'ID=_any\n'
    candidate cut+1 cut 'ID=_any\n'
    candidate cut-1 cut 'ID=_any\n'
    candidate cut-strict_1 cut-strict 'ID=_any\n' 1
    candidate named else 'ID=_any\n'
    candidate relaxed else 'ID=_any\n' 0
    candidate relaxed-word else 'ID=_any\n' no
    candidate strict else 'ID=_any\n' 1
    candidate odd else 'ID=_any\n' maybe
    candidate two one 'ID=_any\n' 0
    candidate two other 'ID=_any\n' 0
    candidate own own 'ID=_any\n'
    candidate own other 'ID=fedora\n' 0
    candidate linked elsewhere 'ID=_any\n'
    ln -s extension-release.elsewhere /var/lib/extensions/linked/usr/lib/extension-release.d/extension-release.linked
    mkdir -p /var/lib/extensions/bare/usr/share/bare
    candidate masked masked 'ID=_any\n'
    mkdir -p /etc/extensions/masked /run/extensions
    candidate hidden hidden 'ID=_any\n'
    mkdir -p /run/extensions/hidden/usr/share/hidden
    mkdir -p /srv/outside/usr/lib/extension-release.d
    echo ID=_any >/srv/outside/usr/lib/extension-release.d/extension-release.outside
    ln -s /srv/outside /etc/extensions/outside
    ln -s /nowhere /etc/extensions/dangling
}

# What systemd says of each, with the rule by which it was decided.
of_systemd() {
    SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console systemd-sysext merge >/results/merge.log 2>&1
    systemd-sysext status --json=short | grep -o '"hierarchy":"/usr"[^]]*]' >/results/merged || true
    systemd-sysext unmerge
    sed -n "
        s/^Extension '\(.*\)' carries no release data.*/\1 release-file/p
        s/^Extension '\(.*\)' is not suitable for scope.*/\1 scope/p
        s/^Extension '\(.*\)' is for architecture.*/\1 architecture/p
        s/^Extension '\(.*\)' does not contain ID.*/\1 id/p
        s/^Extension '\(.*\)' is for OS '[0-9].*/\1 version/p
        s/^Extension '\(.*\)' is for OS '[a-z].*/\1 id/p
        s/^Extension '\(.*\)' does not contain VERSION_ID.*/\1 version/p
        s/^Extension '\(.*\)' is for API level.*/\1 level/p
        s/^Extension '\(.*\)' matches '_any' OS.*/\1 any/p
        s/^No version info on the host .* ID in \(.*\) matched.*/\1 id/p
        s/^Version info of extension '\(.*\)' matches host.*/\1 version/p
    " /results/merge.log | while read -r name rule; do
        if grep -qF "\"$name\"" /results/merged; then echo "$name yes $rule"; else echo "$name no $rule"; fi
    done | sort | grep -v '^masked '
}

# What we say. systemd tells an equal level from an equal version in no word.
of_ours() {
    onlay ext check --json >/results/judged || true
    tr -d ' \n' </results/judged | sed 's/{"name":/\n&/g' | sed -n \
        's/^{"name":"\([^"]*\)".*"matches":\(true\|false\),"rule":"\([^"]*\)".*/\1 \2 \3/p' |
        sed 's/ true level$/ true version/; s/ true / yes /; s/ false / no /' | sort
}

# agree LEAST LINES…: on a host whose os-release has these lines, at least so many being merged.
agree() {
    local least=$1
    shift
    rm -f /etc/os-release
    printf '%s\n' "$@" >/etc/os-release
    of_systemd >/results/theirs
    of_ours >/results/ours
    cat /results/theirs
    test "$(wc -l </results/theirs)" -ge 45
    test "$(grep -c ' yes ' /results/theirs)" -ge "$least"
    diff /results/theirs /results/ours
}

# As all that is merged fits, or not, by what it says alone.
verdicts_are_systemds() {
    cp -a /etc/os-release /etc/os-release.kept
    candidates_of_all_kinds
    agree 15 ID=debian VERSION_ID=13
    agree 15 ID=debian VERSION_ID=13 SYSEXT_LEVEL=2
    agree 25 ID=debian
    agree 10 ID=debian SYSEXT_LEVEL=2
    agree 15 ID=mine 'ID_LIKE="rhel debian"' VERSION_ID=13
    agree 5 ID=mine ID_LIKE=debianish VERSION_ID=13
    # What is masked, hidden or leads nowhere is told besides.
    grep -A3 '"name": "masked"' /results/judged | grep '"state": "mask"'
    test "$(grep -c '"state": "hidden"' /results/judged)" = 2
    refuse grep dangling /results/judged
}

# A host that does not say what it is merges nothing at all; an extension with the base's own file keeps all from it.
all_are_kept_from_merging() {
    rm /etc/os-release
    echo VERSION_ID=13 >/etc/os-release
    refuse systemd-sysext merge
    of_ours | grep -v ' no host$' && return 1
    mv /etc/os-release.kept /etc/os-release
    mkdir -p /var/lib/extensions/any/usr/lib
    touch /var/lib/extensions/any/usr/lib/os-release
    refuse systemd-sysext merge
    systemd-sysext status --json=short >/results/merged
    refuse grep -F '"any-older"' /results/merged
    of_ours | grep '^any no os-release$'
    tell onlay ext check
    test "$code" = 1
    says 'as long as it is there, systemd merges no extension at all'
    rm /var/lib/extensions/any/usr/lib/os-release
    systemd-sysext merge
    systemd-sysext status --json=short | grep -F '"any-older"'
    systemd-sysext unmerge
    rm -r /etc/extensions /run/extensions /var/lib/extensions
}
