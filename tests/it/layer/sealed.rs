//! Bases that boot only what layers cannot have, and one that boots from an image (composefs), which ostree makes.

use super::disk::Disk;

/// A function of a script: `composefs VALUE VERSION`, a newer base with that setting.
const COMPOSEFS: &str = "composefs() {
    f() { mkdir -p extra/usr/lib/ostree; printf '[sysroot]\\nreadonly=true\\n[composefs]\\nenabled=%s\\n' \"$1\" >extra/usr/lib/ostree/prepare-root.conf; }
    newer_base \"$2\" f \"$1\"
}
";

#[test]
fn a_base_that_would_not_boot_with_layers_is_left_alone() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-tool");
    let before = disk.status();
    for (value, why) in [
        ("signed", "boots only what is signed"),
        ("verity", "which the file system of its repository, or the kernel, has not"),
    ] {
        let said =
            disk.expect_code(3, &format!("{COMPOSEFS}composefs {value} 13.2; layer upgrade --dry-run"));
        assert!(said.contains(why) && said.contains("onlay") && said.contains("ext"), "{said}");
        disk.expect_code(3, "layer upgrade");
        assert_eq!(disk.status(), before);
    }
    let said = disk
        .expect_code(3, "ostree config --repo=$repo set ex-integrity.fsverity yes; layer add onlay-needy");
    assert!(said.contains("'fsverity=yes'") && said.contains("has not"), "{said}");
    // Whatever the base says, the machine's kernel may have been told not to boot an image of it.
    disk.expect(&format!(
        "{COMPOSEFS}composefs verity 13.21; sed -i 's/^options /&ostree.prepare-root.composefs=0 /' sysroot/boot/loader/entries/*.conf
        ostree config --repo=$repo set ex-integrity.fsverity no; layer upgrade --dry-run"
    ));
    // Nothing is demanded of files, and that of the repository only where its disk can do it.
    disk.expect(&format!(
        "ostree config --repo=$repo set ex-integrity.fsverity maybe; {COMPOSEFS}composefs maybe 13.3; layer upgrade"
    ));
    assert_eq!(disk.layered(), ["onlay-tool"]);
    // Without layers, the base is nobody's matter but ostree's.
    disk.expect(&format!("{COMPOSEFS}composefs signed 13.4; layer remove --all; grep -qx refspec=debian sysroot/ostree/deploy/debian/deploy/*.origin"));
    disk.assert_sound();
}
