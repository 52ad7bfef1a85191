#!/bin/bash
# Makes a repository of packages for tests: `repository.sh DIR TREE`; TREE lends a program and a package.
#
# onlay-probe has all that a package can have: a program with a library of its own, a service both ways, settings of
# the kernel, users, and maintainer scripts that do whatever a real one was seen doing (see actions.sh).
set -eu

repository=$1
tree=$2
here=$(dirname "$0")
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$repository"

# control PACKAGE VERSION [FIELD…]
control() {
    mkdir -p "$work/$1/DEBIAN"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$2" "$architecture"
        printf 'Maintainer: Tests <tests@localhost>\nDescription: a package for tests\n'
        shift 2
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$work/$1/DEBIAN/control"
}

# put PACKAGE PATH MODE <CONTENT
put() {
    mkdir -p "$work/$1$(dirname "$2")"
    cat >"$work/$1$2"
    chmod "$3" "$work/$1$2"
}

build() {
    (cd "$work/$1" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-deb --root-owner-group --build -Znone "$work/$1" "$repository" >/dev/null
}

control onlay-probe 1.0
lib=$work/onlay-probe/usr/lib/onlay-probe
mkdir -p "$lib" "$work/onlay-probe/usr/bin"
printf 'int onlay_probe(void) { return 42; }\n' |
    gcc -shared -fPIC -x c -Wl,-soname,libonlayprobe.so.1 -o "$lib/libonlayprobe.so.1" -
printf '#include <stdio.h>\nint onlay_probe(void);\nint main(void) { return printf("probe %%d\\n", onlay_probe()) < 0; }\n' |
    gcc -x c -o "$work/onlay-probe/usr/bin/onlay-probe" - -x none "$lib/libonlayprobe.so.1"
# The program finds its library only where the maintainer script's ldconfig has worked.
echo /usr/lib/onlay-probe | put onlay-probe /etc/ld.so.conf.d/onlay-probe.conf 644
echo 'setting=1' | put onlay-probe /etc/onlay-probe.conf 644
printf '/etc/ld.so.conf.d/onlay-probe.conf\n/etc/onlay-probe.conf\n/etc/init.d/onlay-probe\n' |
    put onlay-probe /DEBIAN/conffiles 644
put onlay-probe /usr/lib/systemd/system/onlay-probe.service 644 <<'EOF'
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
EOF
put onlay-probe /etc/init.d/onlay-probe 755 <<'EOF'
#!/bin/sh
### BEGIN INIT INFO
# Provides: onlay-probe
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
# Without lsb/init-functions, so that nothing hands it on to systemd.
case $1 in
start) start-stop-daemon --start --background --make-pidfile --pidfile /run/onlay-probe.pid --exec /usr/bin/sleep -- 7777 ;;
stop) start-stop-daemon --stop --oknodo --retry TERM/5 --pidfile /run/onlay-probe.pid ;;
restart) "$0" stop && "$0" start ;;
esac
EOF
echo 'u onlay-probe - "a user for tests"' | put onlay-probe /usr/lib/sysusers.d/onlay-probe.conf 644
echo 'd /run/onlay-probe 0755 onlay-probe onlay-probe' | put onlay-probe /usr/lib/tmpfiles.d/onlay-probe.conf 644
echo 'net.ipv4.ip_forward = 1' | put onlay-probe /usr/lib/sysctl.d/99-onlay-probe.conf 644
echo 'SUBSYSTEM=="none", RUN+="/bin/true"' | put onlay-probe /usr/lib/udev/rules.d/99-onlay-probe.rules 644
for place in opt srv boot; do
    echo "$place" | put onlay-probe "/$place/onlay-probe/file" 644
done
for script in preinst postinst prerm postrm; do
    put onlay-probe "/DEBIAN/$script" 755 <"$here/actions.sh"
done
build onlay-probe

# A tool that is not on the host: a copy of one that is, under another name.
control onlay-tool 1.0
put onlay-tool /usr/bin/onlay-strace 755 <"$tree/usr/bin/strace"
build onlay-tool

# What the host's own update brings.
control onlay-base 1.0
echo base | put onlay-base /usr/share/onlay-base/file 644
build onlay-base

# What needs that.
control onlay-needy 1.0 'Depends: onlay-base'
echo needy | put onlay-needy /usr/share/onlay-needy/file 644
build onlay-needy

# The next version of a service that the tree has, with its real maintainer scripts.
dpkg-deb --raw-extract "$tree"/srv/debs/cron_*.deb "$work/cron"
sed -i 's/^Version: .*/&+onlay1/' "$work/cron/DEBIAN/control"
echo next | put cron /usr/share/doc/cron/onlay-test 644
build cron
cp "$tree"/srv/debs/anacron_*.deb "$repository/"

cd "$repository"
dpkg-scanpackages --multiversion . >Packages 2>/dev/null
