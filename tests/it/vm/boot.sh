#!/bin/bash
# The machine of machine/bed.sh in an emulator, with a kernel of scripts/test-trees. In a mount namespace of its own:
#
#   boot.sh prepare DIR KERNEL               makes what the kernel begins with
#   boot.sh prepare-ostree DIR KERNEL TREE ONLAY PACKAGES
#                                            the same for a host of OSTree's, whose disk is a copy of the tree's; the PACKAGES
#                                            are in its /var/packages
#   boot.sh prepare-ostree-rpm DIR KERNEL TREE ONLAY
#                                            the same for one whose packages are RPMs, with a layer that has the kernel
#   boot.sh prepare-snapper DIR KERNEL TREE ONLAY PACKAGES
#                                            the same for a host with snapshots; the PACKAGES are in what is booted
#   boot.sh prepare-snapper-rpm DIR KERNEL TREE ONLAY
#                                            the same for one whose packages are RPMs, with a layer that has the kernel
#   boot.sh put-images DIR KERNEL IMAGES     what is in IMAGES goes to /var/local/images, with what it takes to check it
#   boot.sh boot DIR KERNEL [WORD…]          runs DIR/share/checks.sh, until the machine is off or asks that its power
#                                            be cut; the WORDs are more of what the kernel is told. Where the machine asks
#                                            that its disk be kept, DIR/kept/NAME has what a cut at that moment would have
#                                            left: a machine of machine/bed.sh, or the disk of a host of OSTree's or with snapshots
#
# The kernels have no way to share a directory: what is in DIR/share goes in and comes out on a disk.
set -eu

verb=$1
dir=$2
kernel=$3
more=("${@:4}")
here=$(dirname "$0")

# copy_modules PLACE MODULE…: with all that they need, and the order in which each finds that. Those that are for instructions
# of some processors only make others faster, and the emulated one may not have them.
copy_modules() {
    local place=$1 module
    for module in "${@:2}"; do
        modprobe --dirname "$kernel" --set-version "$(ls "$kernel/lib/modules")" --show-depends "$module"
    done | awk '$1 == "insmod" && $2 !~ "/kernel/arch/" && !seen[$2]++ { print $2 }' | while read -r module; do
        cp "$module" "$place/"
        basename "$module"
    done >"$place/order"
}

# What needs nothing but the kernel: a shell, the modules for disks, overlays and more MODULEs, and the way to the machine's own init.
# make_initramfs [MODULE…]
make_initramfs() {
    local root=$dir/initramfs
    mkdir -p "$root/modules" "$root/bin"
    cp "$here/init" "$root/init"
    cp "$(command -v busybox)" "$root/bin/"
    copy_modules "$root/modules" virtio_pci virtio_blk overlay "$@"
    (cd "$root" && find . | cpio --quiet --create --format=newc) >"$dir/initramfs.cpio"
}

# What starts slowly here and no check needs. Disks are mounted already, before udev would know of them.
needless=(
    kmod-static-nodes.service modprobe@.service systemd-modules-load.service
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket
    systemd-udev-trigger.service systemd-udev-load-credentials.service
    systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket systemd-journal-flush.service
    systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service
    systemd-ask-password-console.path systemd-ask-password-wall.path
    systemd-remount-fs.service systemd-random-seed.service systemd-sysctl.service systemd-update-utmp.service
    dev-hugepages.mount dev-mqueue.mount run-lock.mount sys-kernel-debug.mount sys-kernel-tracing.mount
    proc-sys-fs-binfmt_misc.automount
    systemd-sysusers.service systemd-update-done.service ldconfig.service systemd-journal-catalog-update.service
)

# The same, on disk: to tell the kernel of units takes a generator, and generators take longer than all else whenever systemd
# reads its units. So what they would make is there already, or is mounted by what the kernel begins with.
lighten() {
    local root=$dir/light/root usr=$dir/light/usr units unit generator
    mkdir -p "$root" "$usr"
    mount -o loop "$dir/root.ext4" "$root"
    mount -o loop,ro "$dir/usr.ext4" "$usr"
    units=$root/etc/systemd/system
    for unit in "${needless[@]}"; do ln -sfn /dev/null "$units/$unit"; done
    mkdir -p "$root/etc/systemd/system-generators" "$units/onlay-checks.service.d"
    for generator in "$usr"/lib/systemd/system-generators/*; do
        ln -s /dev/null "$root/etc/systemd/system-generators/$(basename "$generator")"
    done
    # Where others have the processor, too, what is slow is no hang.
    printf '[Unit]\nWants=cron.service probe.service\n[Service]\nRuntimeMaxSec=470\n' \
        >"$units/onlay-checks.service.d/emulated.conf"
    umount "$root" "$usr"
}

# keep NAME: what the disk that is written has at this moment. No process of the emulator's goes on meanwhile.
keep() {
    local place=$dir/kept/$1 pid disk
    pid=$(cat "$dir/pid")
    for disk in "$dir"/disk.btrfs "$dir"/ostree.ext4 "$dir"/var.ext4; do
        [ ! -e "$disk" ] || break
    done
    mkdir -p "$place"
    kill -STOP "$pid"
    while kill -0 "$pid" && ! grep -q '^State:.T' "/proc/$pid/status"; do sleep 0.01; done
    cp --sparse=always "$disk" "$place/"
    kill -CONT "$pid"
    [ "$disk" = "$dir/var.ext4" ] || return 0
    ln -s "$dir/root.ext4" "$dir/usr.ext4" "$place/"
    touch "$place/sealed"
}

# A kernel that is emulated on a busy machine may find its timer not to work (no_timer_check). Until the machine is off, or has written to its second
# serial port that its power is to be cut: then nobody in it, nor its kernel,
# hears of the end. What it gave to its disks is kept; what it only had in memory is lost.
run_until_off() {
    local linux=$kernel/vmlinuz initrd=$dir/initramfs.cpio
    if [ -e "$dir/linux" ]; then linux=$dir/linux initrd=$dir/initrd; fi
    local disk words=(console=ttyS0 quiet panic=-1 mitigations=off no_timer_check onlay.test.checks) emulator wish name heard=0
    words+=(systemd.unit=onlay-checks.service systemd.show_status=no $(cat "$dir/words") "${more[@]}")
    local machine=(-accel tcg -m 1024 -nodefaults -display none -no-reboot)
    # An old processor is emulated faster than a new one. QEMU 7.2 has a cmpxchg16b on which Linux 6.12 dies.
    machine+=(-cpu "qemu64,-cx16")
    for disk in $(cat "$dir/disks") results.ext4; do
        machine+=(-drive "file=$dir/$disk,format=raw,if=virtio,cache=unsafe")
    done
    rm -f "$dir/wishes" "$dir/pid"
    timeout --foreground 500 qemu-system-x86_64 "${machine[@]}" -pidfile "$dir/pid" -serial stdio \
        -serial "file:$dir/wishes" -kernel "$linux" -initrd "$initrd" -append "${words[*]}" &
    emulator=$!
    while kill -0 "$emulator" 2>/dev/null; do
        while read -r wish name; do
            heard=$((heard + 1))
            case $wish in
            keep) keep "$name" ;;
            cut)
                kill -KILL "$(cat "$dir/pid")"
                wait "$emulator" || true
                return 0
                ;;
            esac
        done < <(tail --lines="+$((heard + 1))" "$dir/wishes" 2>/dev/null | tr -d '\r')
        sleep 0.1
    done
    wait "$emulator"
}

# Images to be merged there, and the modules that this takes.
put_images() {
    local place=$dir/var/local/images
    mkdir -p "$dir/var"
    mount -o loop "$dir/var.ext4" "$dir/var"
    mkdir -p "$place/modules"
    cp "$1"/* "$place/"
    copy_modules "$place/modules" loop dm-verity squashfs erofs
}

# The unit that runs the checks, with more LINEs about it: checks_unit [LINE…].
checks_unit() {
    printf '%s\n' '[Unit]' 'SuccessAction=poweroff' 'FailureAction=poweroff' "$@" \
        '[Service]' 'Type=exec' 'ExecStart=/bin/bash /results/checks.sh' 'RuntimeMaxSec=330'
}

# What is needed of machine/bed.sh's machine, on the disk of a host of OSTree's with one system, and what more its checks take: set_up_ostree ONLAY [FILE…].
set_up_ostree() {
    local disk=$dir/disk etc unit var
    mkdir -p "$disk"
    mount -o loop,noatime "$dir/ostree.ext4" "$disk"
    for etc in "$disk"/ostree/deploy/*/deploy/*.0/etc; do
        # The disk's own initramfs leaves that to whoever needs it, and has to find disks by what is needless later.
        checks_unit >"$etc/systemd/system/onlay-checks.service"
        echo "ExecStartPre=/bin/sh -c 'mountpoint --quiet /results || mount -t ext4 -o noatime /dev/vdb /results'" \
            >>"$etc/systemd/system/onlay-checks.service"
        for unit in "${needless[@]}"; do ln -sfn /dev/null "$etc/systemd/system/$unit"; done
    done
    var=$(echo "$disk"/ostree/deploy/*/var)
    mkdir -p "$var/usrlocal/bin"
    install "$@" "$here/../machine/steps.sh" "$var/usrlocal/bin/"
    umount "$disk"
}

# The same in the first snapshot and beside it. snapper is asked by the message bus.
set_up_snapper() {
    local root=$dir/root device
    "$here/../layer/prepare_snapper.sh" "$dir" "$1" "$3"
    mount -o loop,noatime "$dir/disk.btrfs" "$root"
    device=$(findmnt --noheadings --output SOURCE "$root" | sed 's/\[.*//')
    mount -o noatime,subvol=/@/usr/local "$device" "$root/usr/local"
    btrfs property set -ts "$root" ro false
    checks_unit Wants=dbus.service After=dbus.service >"$root/etc/systemd/system/onlay-checks.service"
    btrfs property set -ts "$root" ro true
    install "$2" "$here/../machine/steps.sh" "$here"/snapper{,_deb}_steps.sh "$root/usr/local/bin/"
    umount "$root/usr/local" "$root"
}

# The same in all snapshots, and beside them, of a disk that prepare_snapper_rpm.sh has made.
set_up_snapper_rpm() {
    local top=$dir/root snapshot etc unit
    mount -o loop,noatime,subvolid=5 "$dir/disk.btrfs" "$top"
    for snapshot in "$top"/@/.snapshots/*/snapshot; do
        etc=$snapshot/etc/systemd/system
        btrfs property set -ts "$snapshot" ro false
        checks_unit Wants=dbus.service After=dbus.service >"$etc/onlay-checks.service"
        # The disk's own initramfs leaves that to whoever needs it, and has to find disks by what is needless later.
        echo "ExecStartPre=/bin/sh -c 'mountpoint --quiet /results || mount -t ext4 -o noatime /dev/vdb /results'" >>"$etc/onlay-checks.service"
        for unit in "${needless[@]}"; do ln -sfn /dev/null "$etc/$unit"; done
        btrfs property set -ts "$snapshot" ro true
    done
    mkdir -p "$top/@/usr/local/bin"
    install "$1" "$here/../machine/steps.sh" "$here"/snapper{,_rpm}_steps.sh "$top/@/usr/local/bin/"
    umount "$top"
}

# Whether a file is a kernel (Documentation/arch/x86/boot.rst).
is_kernel() { [ "$(tail --bytes=+515 "$1" | head --bytes=4)" = HdrS ]; }

# As a boot loader would that goes by links in the snapshot which is mounted where none is named, and reads no journal. Where they lead to no kernel, the
# emulator brings one.
read_links() {
    local boot=$dir/root/boot
    mount -o loop,ro,rescue=nologreplay "$dir/disk.btrfs" "$dir/root"
    rm -f "$dir/linux" "$dir/initrd"
    if [ -e "$boot/vmlinuz" ] && is_kernel "$boot/vmlinuz"; then
        cp "$boot/vmlinuz" "$dir/linux"
        cp "$boot/initrd" "$dir/initrd"
    fi
    umount "$dir/root"
}

# As a boot loader would, which reads no journal of what a power cut has left: the entry of the highest version, with its kernel and initramfs. Where a file is in the place of
# a kernel, the emulator brings both.
read_entry() {
    local entry linux
    mount -o loop,ro,noload "$dir/ostree.ext4" "$dir/disk"
    entry=$(awk '$1 == "version" { print $2, FILENAME }' "$dir"/disk/boot/loader/entries/*.conf | sort --reverse --numeric-sort | head -n 1)
    entry=${entry#* }
    sed -n 's/^options //p' "$entry" | tr ' ' '\n' | grep -v '^init=' >"$dir/words"
    rm -f "$dir/linux" "$dir/initrd"
    linux=$dir/disk/boot$(sed -n 's/^linux //p' "$entry")
    if is_kernel "$linux"; then
        cp "$linux" "$dir/linux"
        cp "$dir/disk/boot$(sed -n 's/^initrd //p' "$entry")" "$dir/initrd"
    fi
    umount "$dir/disk"
}

case $verb in
prepare)
    echo root.ext4 usr.ext4 var.ext4 >"$dir/disks"
    touch "$dir/words"
    make_initramfs
    lighten
    # Without one, no file system that is written is whole after a power cut.
    tune2fs -O has_journal "$dir/var.ext4" >/dev/null
    ;;
prepare-ostree)
    echo ostree.ext4 >"$dir/disks"
    cp --sparse=always --reflink=auto "$4/disk.ext4" "$dir/ostree.ext4"
    # For files that the kernel holds against their hashes: this machine's may not even read them.
    tune2fs -O verity "$dir/ostree.ext4" >/dev/null
    set_up_ostree "$5"
    mkdir "$dir/initramfs"
    cp --archive "$4/prepare-root/." "$dir/initramfs/"
    # For extensions, whose modules udev would load.
    make_initramfs loop squashfs
    mount -o loop,noatime "$dir/ostree.ext4" "$dir/disk"
    cp --recursive "$6" "$dir/disk/ostree/deploy/debian/var/packages"
    umount "$dir/disk"
    ;;
prepare-ostree-rpm)
    echo ostree.ext4 >"$dir/disks"
    "$here/prepare_ostree_rpm.sh" "$dir" "$kernel" "$4" "$5"
    set_up_ostree "$5" "$here/ostree_rpm_steps.sh"
    make_initramfs
    ;;
prepare-snapper)
    echo disk.btrfs >"$dir/disks"
    echo "${needless[@]/#/systemd.mask=}" >"$dir/words"
    set_up_snapper "$4/disk.btrfs" "$5" "$6"
    make_initramfs btrfs
    ;;
prepare-snapper-rpm)
    echo disk.btrfs >"$dir/disks"
    echo root=/dev/vda rootfstype=btrfs ro >"$dir/words"
    "$here/prepare_snapper_rpm.sh" "$dir" "$kernel" "$4" "$5"
    set_up_snapper_rpm "$5"
    make_initramfs btrfs
    ;;
put-images)
    put_images "$4"
    umount "$dir/var"
    ;;
boot)
    if [ -e "$dir/ostree.ext4" ]; then read_entry; fi
    if [ -e "$dir/disk.btrfs" ]; then read_links; fi
    rm -f "$dir/results.ext4"
    truncate --size=64M "$dir/results.ext4"
    mkfs.ext4 -q -F -E lazy_itable_init=1,nodiscard -d "$dir/share" "$dir/results.ext4"
    code=0
    run_until_off </dev/null || code=$?
    mkdir -p "$dir/results"
    mount -o loop "$dir/results.ext4" "$dir/results"
    cp --archive "$dir/results/." "$dir/share/"
    umount "$dir/results"
    exit "$code"
    ;;
esac
