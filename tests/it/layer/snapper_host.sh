# After snapper_preamble.sh, where scripts are to run on the host itself: what is mounted is what was booted.
# shellcheck shell=bash

# booted SCRIPT [chroot]: there, as the system that runs, or in a chroot as people enter one to repair it. What lies in `programs` and `packages`,
# and onlay, is found in /run, which is new.
booted() {
    cp "$ONLAY" programs/onlay
    # shellcheck disable=SC2016 # names of the script below
    unshare --mount --propagation private bash -c '
        set -eu
        for place in dev run tmp; do mount -t tmpfs -o mode=755 "$place" "root/$place"; done
        mount -t proc proc root/proc
        mount -t sysfs sysfs root/sys
        mknod -m 666 root/dev/null c 1 3
        mknod -m 666 root/dev/zero c 1 5
        mknod -m 666 root/dev/urandom c 1 9
        ln -s /proc/self/fd root/dev/fd
        cp -r programs packages root/run/
        if [ "$2" ]; then
            enter=(chroot root)
        else
            enter=()
            cd root
            pivot_root . mnt
            cd /
            umount --lazy /mnt
        fi
        exec "${enter[@]}" env -i LC_ALL=C.UTF-8 HOME=/root PATH=/run/programs:/usr/sbin:/usr/bin LD_LIBRARY_PATH=/run/programs bash -c "$1"
    ' bash "set -eu
        $1" "${2-}"
}
