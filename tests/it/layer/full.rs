//! Disks that are too small for what is asked for: nothing of it stays, and what boots next is as it was. Of snapshots, snapshots.rs tries it.

use super::disk;

/// Lines of a script that make `big.deb`, of some 8 MB.
const BIG: &str = "mkdir -p big/DEBIAN big/usr/share/big
for part in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/urandom >big/usr/share/big/$part; done
printf 'Package: big\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' >big/DEBIAN/control
dpkg-deb --root-owner-group --build -Znone big >/dev/null
";

/// A function of a script: `leave BYTES FREE RESERVED` leaves so many of what is free, as stat(1) has it (`%f`, `%a`), besides so many percent.
const LEAVE: &str = "leave() {
local block all free
read -r block all free < <(stat --file-system --format \"%S %b $2\" sysroot)
fallocate --length $((block * free - block * all * $3 / 100 - $1)) sysroot/filler
}
";

#[test]
fn what_is_to_stay_free_stays_free() {
    let Some(disk) = disk::Disk::debian() else { return };
    disk.expect(&format!("{BIG}layer add onlay-tool"));
    let before = disk.status();
    // As ostree itself refuses to write to this repository.
    let said = disk.refuse(
        "ostree config --repo=$repo set core.min-free-space-size 100GB\n\
         ostree commit --repo=$repo --branch=x --tree=dir=big 2>&1 | grep 'min-free-space-size .* would be exceeded' || exit 9\n\
         layer add ./big.deb",
    );
    assert!(said.contains("not enough room") && said.contains("0 B is free besides 107 GB"), "{said}");
    let said = disk.refuse(&format!(
        "{LEAVE}ostree config --repo=$repo unset core.min-free-space-size; leave 4000000 %f 3\n\
         ostree commit --repo=$repo --branch=x --tree=dir=big 2>&1 | grep \"min-free-space-percent '3%' would be exceeded\" || exit 9\n\
         layer add ./big.deb",
    ));
    assert!(
        said.contains("not enough room") && said.contains("it takes 8.1 MB, and 3.9 MB is free"),
        "{said}"
    );
    assert_eq!(disk.status(), before);
    disk.assert_sound();
    // What fits is put in all the same.
    disk.expect("layer add onlay-needy; layer rollback; rm sysroot/filler; layer add ./big.deb");
    assert_eq!(disk.layered(), ["big", "onlay-tool"]);
    disk.assert_sound();
}

#[test]
fn a_deployment_that_does_not_fit_leaves_nothing() {
    let Some(disk) = disk::Disk::debian() else { return };
    disk.expect(&format!("{BIG}layer add onlay-tool"));
    let before = disk.status();
    // A commit with it fits just so, and the deployment's directories do not.
    let said = disk.refuse(&format!(
        "{LEAVE}ostree config --repo=$repo set core.min-free-space-percent 0; leave 9000000 %a 0\n\
         stat --file-system --format %f sysroot >free; layer add ./big.deb"
    ));
    assert!(said.contains("No space left on device") && said.contains("layer status"), "{said}");
    assert_eq!(disk.status(), before);
    disk.expect(
        "test $(stat --file-system --format %f sysroot) -ge $(($(cat free) - 100))\n\
         test \"$(ostree rev-parse --repo=$repo onlay/layered/debian)\" = \"$(basename \"$(next)\" .0)\"\n\
         test $(ls -d sysroot/ostree/deploy/debian/deploy/*.0 | wc -l) = 2; rm sysroot/filler",
    );
    disk.assert_sound();
    disk.expect("layer add ./big.deb");
    assert_eq!(disk.layered(), ["big", "onlay-tool"]);
    disk.assert_sound();
}

#[test]
fn what_is_too_large_for_ram_is_put_in_on_disk() {
    let Some(disk) = disk::Disk::debian() else { return };
    disk.expect(
        "mkdir -p large/DEBIAN; printf 'Package: large\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' >large/DEBIAN/control
         printf '#!/bin/sh\\nhead -c 280000000 /dev/zero >/usr/share/large\\n' >large/DEBIAN/postinst; chmod 755 large/DEBIAN/postinst
         dpkg-deb --build large >/dev/null",
    );
    // Enough for a package of this size, and not for what it writes.
    let said = disk.expect(
        "sed 's/^MemAvailable:.*/MemAvailable: 530000 kB/' /proc/meminfo >meminfo; mount --bind meminfo /proc/meminfo\n\
         layer add ./large.deb; test $(stat --format %s \"$(next)\"/usr/share/large) = 280000000",
    );
    assert!(said.contains("added large 1"), "{said}");
    disk.assert_sound();
    assert!(!disk.path("state/layers/overlay").exists());
}

#[test]
fn who_has_no_room_for_words_is_told_of_the_room() {
    let Some(disk) = disk::Disk::debian() else { return };
    let before = disk.status();
    let said = disk.refuse(
        "mount -t tmpfs -o size=256k,mode=0700 full state 2>/dev/null || { mkdir state; mount -t tmpfs -o size=256k,mode=0700 full state; }\n\
         ! head -c 1000000 /dev/zero >state/filler 2>/dev/null\n\
         layer add onlay-tool",
    );
    assert!(said.contains("nor is there any for its words"), "{said}");
    assert_eq!(disk.status(), before);
    // Neither does anything of it stay in /run.
    disk.expect("mkdir -p /run/onlay; mount -t tmpfs run /run/onlay; layer add onlay-tool; test -z \"$(ls -A /run/onlay)\"");
    disk.assert_sound();
}
