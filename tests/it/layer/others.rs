//! What others do on the same disk meanwhile, or have left there.

use super::disk::{self, Disk};

/// Functions of a script: `deb NAME SCRIPT` makes a package file whose script it is. That of `slow.deb` says that it has begun, and waits; `while_slow
/// COMMAND…` is what goes on meanwhile with a change, whose words are in `said`, and that then ends as it ends.
const PACKAGES: &str = r#"deb() {
    rm -rf deb
    mkdir -p deb/DEBIAN
    printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n' "$1" >deb/DEBIAN/control
    printf '#!/bin/sh\n%s\n' "$2" >deb/DEBIAN/postinst
    chmod 755 deb/DEBIAN/postinst
    dpkg-deb --root-owner-group --build deb "$1.deb" >/dev/null
}
slow() { deb slow 'cd /run/onlay/shared; touch reached; until [ -e go ]; do sleep 0.1; done; rm go reached'; }
meanwhile() {
    local changing=$!
    until [ -e state/layers/cache/reached ]; do sleep 0.1; done
    "$@" >/dev/null
    touch state/layers/cache/go
    wait $changing
}
"#;

#[test]
fn what_others_do_meanwhile_is_noticed() {
    let Some(disk) = Disk::debian() else { return };
    let run = |script: &str| disk.expect(&format!("{PACKAGES}{script}"));
    run("slow; layer add onlay-tool; touch state/layers/cache/go; layer add ./slow.deb");
    // ostree clears what looks old to it after each transaction, and the newer base is laid over the older one there.
    run("newer_base 13.2 touch extra/newer
         layer upgrade >said 2>&1 & meanwhile ostree commit --repo=$repo --branch=x --tree=dir=packages || { cat said; exit 1; }
         test -e \"$(next)/newer\"");
    assert_eq!(disk.layered(), ["onlay-tool", "slow"]);
    // What somebody else has deployed meanwhile would be lost.
    let said = disk.refuse(&format!(
        "{PACKAGES}layer add onlay-needy >said 2>&1 & meanwhile ostree_admin deploy --os=debian debian || {{ cat said; exit 1; }}"
    ));
    assert!(
        said.contains("somebody else has changed that meanwhile") && said.contains("try again"),
        "{said}"
    );
    assert_eq!(disk.status()[0].get("layers"), None);
    disk.assert_sound();
}

#[test]
fn systems_on_one_disk_do_not_disturb_each_other() {
    let Some(disk) = Disk::debian() else { return };
    // Each is named by one of its deployments.
    let run = |script: &str| {
        disk.expect(&format!(
            "{PACKAGES}of() {{ local os=$1; shift; \"$ONLAY\" --root \"$(ls -d \"$PWD\"/sysroot/ostree/deploy/$os/deploy/*.0 | head -n 1)\" --state \"$PWD/state\" layer \"$@\"; }}\n{script}"
        ))
    };
    run("of debian add onlay-tool; ostree_admin os-init other; ostree_admin deploy --os=other --karg=rw debian >/dev/null
         deb given true; of other add ./given.deb; of other list | grep '^given'; of other status | head -n 1 | grep next");
    let listed = run("of debian list; of debian history; of other history; of debian status");
    assert!(listed.contains("onlay-tool  1.0") && listed.matches("added given 1").count() == 1, "{listed}");
    assert!(listed.matches("added onlay-tool").count() == 1 && !listed.contains("next"), "{listed}");
    // The base of the other's layers is kept though here nobody has it any more, and so is what it was given.
    run("newer_base 13.2 touch extra/newer
         of debian upgrade; of debian add onlay-needy; of debian cleanup --rollback; ostree_admin cleanup >/dev/null
         of debian list | grep -c . | grep -x 3; of debian status | head -n 1 | grep next
         of other add onlay-tool; of other list | grep -c . | grep -x 2; of other undo; of other list | grep -c . | grep -x 1; of other remove --all");
    disk.expect("ostree fsck --repo=$repo --quiet");
}

#[test]
fn what_was_left_half_done_is_in_nobodys_way() {
    let Some(disk) = Disk::debian() else { return };
    let run = |script: &str| disk.expect(&format!("{PACKAGES}{script}"));
    // Killed after its packages' words were written, and before the line that says what was done.
    run(
        "layer add onlay-tool; : >state/layers/logs/2.log; layer add onlay-needy; layer history 2 | grep 'Setting up onlay-needy'",
    );
    // Scripts see the files that were given, and cannot take them away.
    run(
        "deb greedy 'rm -rf /run/onlay/shared/files 2>/dev/null; true'; layer add ./greedy.deb; layer add onlay-probe",
    );
    // Another version wrote what is layered in one of the deployments.
    run("old=$(ls -dt sysroot/ostree/deploy/debian/deploy/*.0 | tail -n 1)
         file=$old/usr/lib/onlay/layers.json; sed 's/\"format\": 1/\"format\": 9/' \"$file\" >layers; rm \"$file\"; cp layers \"$file\"
         layer status | grep 'it has format 9'; if layer cleanup 2>said; then exit 9; fi; grep 'it has format 9' said; ls state/layers/cache/files/*.deb; layer remove onlay-probe; layer rollback");
    assert_eq!(disk.layered(), ["greedy", "onlay-base", "onlay-needy", "onlay-probe", "onlay-tool"]);
}

#[test]
fn a_network_that_is_gone_is_the_fault_of_no_request() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-tool onlay-needy");
    let before = disk.status();
    let said = disk.refuse(
        "sources() { mkdir -p extra/usr/etc/apt; printf 'deb [trusted=yes] %s ./\\n' file:/usr/share/packages http://127.0.0.1:9/x >extra/usr/etc/apt/sources.list; }\n\
         newer_base 13.2 sources; layer upgrade",
    );
    assert!(said.contains("127.0.0.1:9") && !said.contains("--drop"), "{said}");
    assert_eq!(disk.status(), before);
    disk.expect(&format!("layer upgrade --cached; {}", disk::OPEN));
}
