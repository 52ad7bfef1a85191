//! Kernels of layers in snapshots: what is in /boot for them, what leads there, and who is told of it. The dracut is the real one; who makes GRUB's list is
//! a stand-in, since the real one wants a disk that is no file. Real kernels boot in `vm::snapper_rpm`.

use super::snapshot_disk::Disk;

/// What the first snapshot has: a kernel with an initramfs, and links to them, as SUSE has them.
const SET_UP: &str = r"
in_default sh -c 'cd boot && ln -s ../usr/lib/modules/1.0-layer/vmlinuz vmlinuz-1.0-layer && ln -s vmlinuz-1.0-layer vmlinuz &&
    echo initramfs >initrd-1.0-layer && ln -s initrd-1.0-layer initrd'
";

/// leads VERSION: links lead to this kernel and its initramfs.
const LEADS: &str = r#"
leads() { test "$(cd "$(next)/boot" && readlink vmlinuz initrd)" = "$(printf 'vmlinuz-%s\ninitrd-%s' "$1" "$1")"; }
"#;

/// A list of GRUB's, and the file `mkconfig` as what makes it.
const WITH_LIST: &str = r#"
mkconfig=$PWD/mkconfig
in_default sh -c "mkdir boot/grub2 && echo linux 1.0-layer >boot/grub2/grub.cfg && install '$mkconfig' usr/sbin/grub2-mkconfig"
"#;

/// A package with settings of dracut's, from nobody who signs any.
const SETTINGS: &str = r#"
cat >settings.spec <<'END'
Name: settings
Version: 1
Release: 1
Summary: Settings
License: MIT
BuildArch: noarch
%description
%{summary}.
%install
mkdir -p %{buildroot}/usr/lib/dracut/dracut.conf.d %{buildroot}/usr/share/settings
echo hello >%{buildroot}/usr/share/settings/file
echo 'install_items+=" /usr/share/settings/file "' >%{buildroot}/usr/lib/dracut/dracut.conf.d/50-settings.conf
%files
/usr/lib/dracut/dracut.conf.d/50-settings.conf
/usr/share/settings
END
in_next sh -c 'cat >/tmp/spec && rpmbuild -bb --quiet --define "_topdir /tmp/build" --define "_rpmdir /tmp" --define "__os_install_post %{nil}" \
    --define "__check_files %{nil}" /tmp/spec >&2 && cat /tmp/noarch/settings-1-1.noarch.rpm' <settings.spec >settings.rpm
rpm=$PWD/settings.rpm
in_default sh -c "cp '$rpm' usr/share/packages/noarch/settings-1-1.noarch.rpm && chroot . createrepo_c --quiet /usr/share/packages &&
    sed -i 's/gpgcheck=1/gpgcheck=0/' etc/zypp/repos.d/*.repo"
"#;

/// In the place of grub2-mkconfig: it lists kernels, where it sees that its root is a mount, and of what.
const MKCONFIG: &str = r#"#!/bin/sh
set -eu
disk=$(awk '$5 == "/" { for (i = 7; $i != "-"; i++); print $(i + 2) }' /proc/self/mountinfo)
test -b "$disk"
head -c 1 "$disk" >/dev/null
! touch /dev/onlay-test 2>/dev/null
test "$(ls -A /run)" = ''
ls /boot | sed -n 's/^vmlinuz-/linux /p' >"$2"
"#;

#[test]
fn a_kernel_comes_with_what_it_boots_with_and_goes() {
    let Some(disk) = Disk::rpm("zypper") else { return };
    std::fs::write(disk.path("mkconfig"), MKCONFIG).expect("ours");
    let said =
        disk.expect(&format!("{SET_UP}{LEADS}{WITH_LIST} layer add layer-kernel-other; leads 2.0-other"));
    assert!(
        said.contains("the kernel is 2.0-other") && said.contains("the initramfs was made anew"),
        "{said}"
    );
    disk.expect(
        "in_next lsinitrd /boot/initrd >list 2>/dev/null || true; grep ' usr/lib/systemd/systemd$' list\n\
         cd \"$(next)\"; test \"$(readlink boot/vmlinuz-2.0-other)\" = ../usr/lib/modules/2.0-other/vmlinuz\n\
         grep kernel boot/vmlinuz\n\
         test \"$(stat --format %a boot/initrd-2.0-other)\" = 600; grep -x initramfs boot/initrd-1.0-layer\n\
         diff - boot/grub2/grub.cfg <<END\nlinux 1.0-layer\nlinux 2.0-other\nEND",
    );
    disk.assert_sound();
    // What has nothing to do with it leaves it.
    let said = disk.expect(&format!("{LEADS} layer add lab-daemon; leads 2.0-other"));
    assert!(!said.contains("the initramfs") && !said.contains("the kernel is"), "{said}");
    let said = disk.expect(&format!("{LEADS} layer remove layer-kernel-other; leads 1.0-layer"));
    assert!(said.contains("the kernel is 1.0-layer"), "{said}");
    disk.expect("cd \"$(next)\"; ! ls boot usr/lib/modules | grep other; grep -x initramfs boot/initrd; diff - boot/grub2/grub.cfg <<<'linux 1.0-layer'");
    // What it was is what a rollback boots.
    disk.expect(&format!("{LEADS} layer rollback 2; leads 2.0-other"));
    disk.assert_sound();
}

#[test]
fn an_initramfs_is_made_anew_where_no_kernel_comes() {
    let Some(disk) = Disk::rpm("zypper") else { return };
    disk.expect(&format!("{SET_UP}{SETTINGS}"));
    let said = disk.expect(&format!("{LEADS} layer add settings; leads 1.0-layer"));
    assert!(said.contains("the initramfs was made anew") && !said.contains("the kernel is"), "{said}");
    disk.expect(
        "in_next lsinitrd /boot/initrd >list 2>/dev/null || true; grep ' usr/share/settings/file$' list",
    );
    // Disks that only the host knows how to open.
    let said =
        disk.refuse("in_default sh -c 'echo root UUID=1 - luks >etc/crypttab'; layer add layer-kernel-other");
    assert!(
        said.contains("encrypted disks as /etc/crypttab says") && said.contains("transactional-update dup"),
        "{said}"
    );
    let said = disk.expect("layer remove settings");
    assert!(said.contains("the initramfs is as it was"), "{said}");
}

#[test]
fn a_boot_loader_knows_of_a_kernel_or_it_is_refused() {
    let Some(disk) = Disk::rpm("zypper") else { return };
    let before = disk.numbers();
    std::fs::write(disk.path("mkconfig"), "#!/bin/sh\necho old >\"$2\"\n").expect("ours");
    // One that names a snapshot is made anew for each.
    disk.expect(&format!(
        "{SET_UP}{WITH_LIST} in_default sh -c 'echo linux 1.0 rootflags=subvol=@/.snapshots/1/snapshot >boot/grub2/grub.cfg'\n\
         layer add lab-daemon; grep -x old \"$(next)\"/boot/grub2/grub.cfg; layer rollback 1"
    ));
    // One that would not boot a kernel is none.
    let said = disk.refuse("layer add layer-kernel-other");
    assert!(said.contains("does not have kernel 2.0-other"), "{said}");
    let said = disk.refuse(
        "in_default sh -c 'mkdir -p etc/sysconfig; echo LOADER_TYPE=\\\"systemd-boot\\\" >etc/sysconfig/bootloader'; layer add layer-kernel-other",
    );
    assert!(said.contains("entries on the EFI system partition, which sdbootutil makes"), "{said}");
    let said = disk.refuse(
        "in_default sh -c 'rm etc/sysconfig/bootloader; echo /dev/vdb /boot ext4 defaults 0 2 >>etc/fstab'; layer add layer-kernel-other",
    );
    assert!(
        said.contains("/boot is another file system") && said.contains("transactional-update dup"),
        "{said}"
    );
    assert_eq!(disk.numbers()[0], before[0]);
}
