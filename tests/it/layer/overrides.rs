//! Packages of the base that were removed or replaced, over bases that have them, lack them, and have them again.

use serde_json::{Value, json};

use super::disk::Disk;

/// Functions of a script: `base_of NAME` makes of the commit with layers a base without, as a ref; `go VERSION NAME` goes over to a base that is like one.
const BASES: &str = r#"
base_of() {
    ostree checkout --repo=$repo --require-hardlinks onlay/layered/debian sysroot/tree
    rm sysroot/tree/usr/lib/onlay/layers.json
    ostree commit --repo=$repo --bootable --branch="$1" --link-checkout-speedup --tree=dir=sysroot/tree >/dev/null
    rm -rf sysroot/tree
}
go() {
    mkdir -p empty
    ostree commit --repo=$repo --bootable --branch=debian --add-metadata-string=version="$1" --base="$2" --tree=dir=empty >/dev/null
    layer upgrade
}
"#;

/// Lines of a script that make strace.deb, of version 99.
const STRACE: &str = "mkdir -p strace/DEBIAN strace/usr/bin; echo '#!/bin/sh' >strace/usr/bin/strace; chmod 755 strace/usr/bin/strace
printf 'Package: strace\\nVersion: 99\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' >strace/DEBIAN/control
dpkg-deb --root-owner-group --build strace >/dev/null
";

/// What of a manifest is there, and what is not, since the base is so by itself.
fn state(disk: &Disk) -> (Value, Value) {
    let layers = &disk.status()[0]["layers"];
    (layers["without"].clone(), layers["inactive"].clone())
}

/// The version of strace that is booted next, as dpkg knows it.
fn strace(disk: &Disk) -> String {
    let version = "chroot \"$(next)\" dpkg-query --admindir=/usr/lib/sysimage/dpkg --show \
        --showformat '${db:Status-Abbrev} ${Version}' strace 2>/dev/null || true";
    disk.expect(version).trim().to_owned()
}

#[test]
fn what_was_removed_or_replaced_stays_so_over_newer_bases() {
    let Some(disk) = Disk::debian() else { return };
    let go = |version: &str, base: &str| disk.expect(&format!("{BASES}go {version} {base}"));
    disk.expect(&format!(
        "{BASES}{STRACE}ostree refs --repo=$repo --create=with debian; layer override remove strace; base_of lacks"
    ));
    // A base that lacks it by itself, and one that has it again.
    let said = go("13.2", "lacks");
    assert!(said.contains("the base lacks that by itself: strace"), "{said}");
    assert_eq!(state(&disk), (json!([]), json!(["strace"])));
    let said = go("13.3", "with");
    assert!(said.contains("removed strace of the base"), "{said}");
    assert_eq!(state(&disk), (json!(["strace"]), json!([])));
    assert!(!strace(&disk).contains("ii"), "{}", strace(&disk));
    // Another one in its place is that also where the base lacks it.
    let instead = || disk.status()[0]["layers"]["packages"][0]["instead_of"].clone();
    let said =
        disk.expect(&format!("{BASES}layer override replace ./strace.deb; rm strace.deb; base_of same"));
    assert!(said.contains("changed strace of the base 6.") && !said.contains("restored"), "{said}");
    assert!(strace(&disk) == "ii  99" && instead().is_string(), "{}", disk.status());
    go("13.4", "lacks");
    assert!(strace(&disk) == "ii  99" && instead() == Value::Null, "{}", disk.status());
    // Where the base has the same, nothing is to be done, until it has another one again.
    go("13.5", "same");
    assert_eq!((strace(&disk), state(&disk).1), ("ii  99".to_owned(), json!(["strace"])));
    go("13.6", "with");
    assert_eq!((strace(&disk), state(&disk).1), ("ii  99".to_owned(), json!([])));
    let said = disk.expect("layer override reset strace");
    assert!(said.contains("changed strace 99 back to the base's 6."), "{said}");
    assert!(strace(&disk).starts_with("ii  6."), "{}", strace(&disk));
    disk.assert_sound();
}
