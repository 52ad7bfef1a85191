#!/bin/bash
# Makes images of extensions: images.sh DIR TREE. Each has a program that says what it is.
set -eu

dir=$1
tree=$2
source=$dir/source

# image NAME VERSION [SCRIPT [FILE]]: the script puts more below the directory where it runs.
image() {
    rm -rf "$source"
    mkdir -p "$source/usr/bin" "$source/usr/lib/extension-release.d"
    echo ID=_any >"$source/usr/lib/extension-release.d/extension-release.$1"
    printf '#!/bin/sh\necho %s %s\n' "$1" "$2" >"$source/usr/bin/$1"
    chmod +x "$source/usr/bin/$1"
    (cd "$source" && eval "${3:-true}")
    mksquashfs "$source" "$dir/${4:-$1_$2_any.raw}" -noappend -quiet -no-progress -all-root >/dev/null
}

# Another name, as long, in a program.
renamed() {
    LC_ALL=C sed -i 's/libselinux[.]so[.]1/libneedful.so.1/g' "$1"
}

image one 1
image one 2
image one 2 'echo more >usr/bin/other' other_2.raw
image two 1 'mkdir -p opt/two; echo x >opt/two/file'
image three 1
image seed 1 'cd usr/lib/extension-release.d; mv extension-release.seed extension-release.seed-1.x86-64'
image nameless 1 'rm -r usr/lib/extension-release.d'
image foreign 1 'echo ID=fedora >usr/lib/extension-release.d/extension-release.foreign'
image clash 1 'mkdir -p opt; echo x >opt/two'
# A program and its library, each of an image of its own.
libraries=usr/lib/x86_64-linux-gnu
image needy 1 "cp '$tree/usr/bin/ls' usr/bin/needs; renamed usr/bin/needs"
image wanted 1 "mkdir -p $libraries; cp '$tree/$libraries/libselinux.so.1' $libraries/libneedful.so.1
    renamed $libraries/libneedful.so.1; cp $libraries/libneedful.so.1 '$dir'"
# One whose loader no host has, and one for /etc.
image loaderless 1 "cp '$tree/usr/bin/ls' usr/bin/lost; LC_ALL=C sed -i 's,/lib64/ld-linux-,/lib64/ld-alien-,' usr/bin/lost"
image settings 1 'mkdir -p etc/extension-release.d; mv usr/lib/extension-release.d/* etc/extension-release.d/; rm -r usr; echo x >etc/settings'
# Two versions of which the second has little that is new.
image sizeable 1 "cp '$tree/usr/bin/bash' usr/bin/data"
image sizeable 2 "cp '$tree/usr/bin/bash' usr/bin/data"
image large 1 'head -c 30M /dev/urandom >usr/bin/data'
# Of a service: its user, its files, and what is to be restarted.
image served 1 'mkdir -p usr/lib/systemd/system usr/lib/sysusers.d usr/lib/tmpfiles.d
    mkdir usr/lib/systemd/system/multi-user.target.upholds
    ln -s ../served.service usr/lib/systemd/system/multi-user.target.upholds/
    printf "EXTENSION_RELOAD_MANAGER=1\nEXTENSION_RESTART_UNITS=served.service\nEXTENSION_RELOAD_OR_RESTART_UNITS=probe.service\n" >>usr/lib/extension-release.d/extension-release.served
    printf "[Service]\nExecStart=/usr/bin/sleep infinity\nUser=served\n" >usr/lib/systemd/system/served.service
    echo "u served -" >usr/lib/sysusers.d/served.conf
    echo "d /var/lib/served 0700 served" >usr/lib/tmpfiles.d/served.conf'
rm -r "$source"
