//! A kernel and an initramfs that packages change, on a disk with deployments of a real Debian: made by its real dracut in the sandbox,
//! named by ostree.

use super::disk::Disk;

/// Makes a package of what lies in a directory.
const MAKE: &str = r#"
deb() {
    mkdir -p "$1/DEBIAN"
    printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n' "$1" >"$1/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$1" >/dev/null
}
"#;

#[test]
fn an_initramfs_is_made_anew_when_its_settings_change() {
    let Some(disk) = Disk::debian() else { return };
    let said = disk.expect(&format!(
        "{MAKE}\n\
         mkdir -p settings/usr/lib/dracut/dracut.conf.d settings/usr/share/settings\n\
         echo 'install_items+=\" /usr/share/settings/file \"' >settings/usr/lib/dracut/dracut.conf.d/50-settings.conf\n\
         echo hello >settings/usr/share/settings/file\n\
         deb settings; layer add ./settings.deb"
    ));
    assert!(said.contains("the initramfs was made anew"), "{said}");
    // As the base's was made, with what is new in it; and it is what boots.
    disk.expect(
        "root=$(next); chroot \"$root\" lsinitrd /usr/lib/modules/6.12-test/initramfs.img >list 2>/dev/null || true\n\
         grep ' usr/share/settings/file$' list; grep ' usr/lib/ostree/ostree-prepare-root$' list; grep 'Arguments: .*base ostree' list\n\
         initrd=$(grep -h ^initrd sysroot/boot/loader/entries/ostree-2*.conf | cut -d ' ' -f 2)\n\
         cmp \"$root/usr/lib/modules/6.12-test/initramfs.img\" \"sysroot/boot$initrd\"\n\
         ostree fsck --repo=$repo --quiet",
    );
    // What has nothing to do with it leaves the base's.
    let said = disk.expect("layer remove settings --add onlay-tool");
    assert!(!said.contains("initramfs"), "{said}");
    disk.expect("chroot \"$(next)\" lsinitrd /usr/lib/modules/6.12-test/initramfs.img >list 2>/dev/null || true; grep ostree-prepare-root list; ! grep settings list");
}

#[test]
fn a_second_kernel_is_refused() {
    let Some(disk) = Disk::debian() else { return };
    let before = disk.status();
    let said = disk.refuse(&format!(
        "{MAKE}\n\
         mkdir -p kernel/boot kernel/usr/lib/modules/9.9-new\n\
         echo kernel >kernel/boot/vmlinuz-9.9-new\n\
         echo modules >kernel/usr/lib/modules/9.9-new/modules.order\n\
         deb kernel; layer add ./kernel.deb"
    ));
    assert!(said.contains("2 kernels (6.12-test, 9.9-new)"), "{said}");
    assert_eq!(disk.status(), before);
}
