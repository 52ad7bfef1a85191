//! `onlay layer` on a disk with deployments of a real Debian, by its real package manager; ostree and dpkg are the judges. What
//! boots of it is for vm.rs.

use serde_json::Value;

use super::disk::Disk;
use crate::debian::words;

#[test]
fn what_was_asked_for_is_in_the_next_deployment() {
    let Some(disk) = Disk::debian() else { return };
    let said = disk.expect("layer add onlay-tool onlay-probe --dry-run");
    assert!(said.contains("would add onlay-tool 1.0") && said.contains("nothing was changed"), "{said}");
    assert!(disk.layered().is_empty());
    disk.expect("layer add onlay-tool onlay-probe");
    assert_eq!(disk.layered(), ["onlay-probe", "onlay-tool"]);
    disk.assert_sound();
    // Programs run, one with a library that a script's ldconfig has made known; no file of the packages' is another one.
    disk.expect("chroot \"$(next)\" /usr/bin/onlay-strace -V");
    disk.expect("root=$(next); mount --bind \"$root/usr/etc\" \"$root/etc\"; chroot \"$root\" /usr/bin/onlay-probe | grep 'probe 42'");
    disk.expect("dpkg_in --verify onlay-tool");
    let root = disk.expect("next").trim().to_owned();
    disk.expect(&format!(
        "grep 'u onlay-probe [0-9]*:[0-9]* ' {root}/usr/lib/sysusers.d/00-onlay-layers.conf\n\
         grep '^L /var/opt/onlay-probe - - - - /usr/lib/opt/onlay-probe$' {root}/usr/lib/tmpfiles.d/zz-onlay-layers.conf\n\
         grep '^opt$' {root}/usr/lib/opt/onlay-probe/file\n\
         test ! -e {root}/var/srv -a ! -e {root}/boot/onlay-probe\n\
         test -L {root}/usr/etc/systemd/system/multi-user.target.wants/onlay-probe.service"
    ));
    // Nothing of what is beside the base's own files is another one than in the base.
    let changed = disk.expect("ostree --repo=$repo diff debian onlay/layered/debian | sed -n 's/^[MD] *//p'");
    let expected =
        ["group", "gshadow", "ld.so.cache", "passwd", "shadow"].map(|name| format!("/usr/etc/{name}"));
    let expected: Vec<String> =
        expected.into_iter().chain(["/usr/lib/sysimage/dpkg/status".to_owned()]).collect();
    assert_eq!(changed.split_whitespace().collect::<Vec<_>>(), expected);
    // Again: nothing.
    let said = disk.expect(
        "layer add onlay-tool; code=0; layer add onlay-tool --unchanged-exit-77 || code=$?; test $code = 77",
    );
    assert!(said.contains("nothing to do"), "{said}");
    assert_eq!(disk.status().as_array().map(Vec::len), Some(2));
}

#[test]
fn requests_change_and_are_not_lost() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-needy");
    // On the base again, which is no deployment by itself any more after the next one.
    disk.expect("layer add onlay-tool; layer add onlay-probe --remove onlay-tool");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-probe"]);
    disk.assert_sound();
    let said = disk.refuse("layer remove onlay-base");
    assert!(said.contains("onlay-base was not asked for: other layers need it"), "{said}");
    let said = disk.refuse("layer remove bash");
    assert!(
        said.contains("bash is a package of the base") && said.contains("override remove bash"),
        "{said}"
    );
    let said = disk.refuse("layer remove nothing");
    assert!(said.contains("nothing is not layered") && said.contains("--if-needed"), "{said}");
    // What is so already needs nothing; what cannot be so is refused all the same.
    disk.expect(
        "layer remove nothing --if-needed --unchanged-exit-77 || test $? = 77\n\
         layer override reset bash nothing --remove onlay-tool --if-needed --unchanged-exit-77 || test $? = 77",
    );
    let said = disk.refuse("layer remove nothing bash onlay-base --if-needed");
    assert!(
        said.contains("onlay-base was not asked for") && said.contains("bash is a package of the base"),
        "{said}"
    );
    let said = disk.refuse("layer add nothere onlay-tool nothere2");
    assert!(said.contains("nothere (Unable to locate package nothere); nothere2 ("), "{said}");
    // Back, to what was asked for then; and by undoing, which is another change.
    disk.expect("layer rollback");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    disk.expect("layer remove --all");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    disk.expect("grep -x refspec=debian sysroot/ostree/deploy/debian/deploy/*.origin; test -z \"$(ostree refs --repo=$repo | grep onlay/base | head -n 1)\" || layer status");
    disk.expect("layer undo");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    let history = disk.expect("layer history");
    assert_eq!(history.lines().filter(|line| line.contains("  ")).count(), 6, "{history}");
    assert!(history.contains("rollback ") && history.contains("added onlay-tool 1.0"), "{history}");
    assert!(disk.expect("layer history 1").contains("Setting up onlay-needy"));
    let difference = disk.expect("ids=$(layer status --json | sed -n 's/^    \"id\": \"\\(.*\\)\",$/\\1/p'); layer diff $(echo \"$ids\" | tail -n 1) $(echo \"$ids\" | head -n 1)");
    assert!(difference.contains("added onlay-needy 1.0"), "{difference}");
    disk.assert_sound();
}

#[test]
fn requests_go_with_a_newer_base() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-tool onlay-needy");
    let said = disk.expect("layer upgrade; layer upgrade --unchanged-exit-77 || test $? = 77");
    assert!(said.contains("nothing to do"), "{said}");
    // ostree would drop the layers, and says so instead.
    let said = disk.run("ostree_admin upgrade --os=debian");
    assert!(!said.status.success() && words(&said).contains("onlay layer upgrade"), "{}", words(&said));
    disk.expect("f() { mkdir -p extra/usr/share; echo two >extra/usr/share/two; }; newer_base 13.2 f");
    let said = disk.expect("layer upgrade");
    assert!(said.contains("base 13.1 to 13.2"), "{said}");
    disk.expect("grep two \"$(next)\"/usr/share/two; test -e \"$(next)\"/usr/bin/onlay-strace");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    disk.assert_sound();
    // What the base has by itself counts no more, and again when it is gone: the database of a base with it is one that a layer made.
    disk.expect(
        "layer remove onlay-needy; commit=$(ostree rev-parse --repo=$repo onlay/layered/debian)\n\
         f() { mkdir -p extra/usr/lib/onlay; echo {} >extra/usr/lib/onlay/was.json; }\n\
         ostree refs --repo=$repo --create=with-tool \"$commit\"; old=$(ostree rev-parse --repo=$repo debian)\n\
         ostree checkout --repo=$repo --user-mode=no with-tool co 2>/dev/null || ostree checkout --repo=$repo with-tool co\n\
         rm co/usr/lib/onlay/layers.json\n\
         ostree commit --repo=$repo --bootable --branch=debian --parent=\"$old\" --add-metadata-string=version=13.3 --tree=dir=co >/dev/null\n\
         rm -rf co; layer upgrade; layer status",
    );
    assert_eq!(disk.status()[0]["layers"]["inactive"], serde_json::json!(["onlay-tool"]));
    assert!(disk.layered().is_empty());
    disk.expect(
        "ostree commit --repo=$repo --bootable --branch=debian --add-metadata-string=version=13.4 --tree=ref=debian^ >/dev/null; layer upgrade",
    );
    assert_eq!(disk.layered(), ["onlay-tool"]);
    // A base in which a request cannot be had any more: all are named, and one can be dropped.
    disk.expect("layer add onlay-needy; f() { mkdir -p extra/usr/share/packages; : >extra/usr/share/packages/Packages; }; newer_base 13.5 f");
    let before = disk.status();
    let said = disk.refuse("layer upgrade");
    assert!(said.contains("onlay-needy (") && said.contains("onlay-tool ("), "{said}");
    assert!(said.contains("--drop onlay-needy --drop onlay-tool"), "{said}");
    assert_eq!(disk.status(), before);
    disk.expect("layer upgrade --drop onlay-needy --drop onlay-tool");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    assert_eq!(disk.status()[0]["base"]["version"], "13.5");
    // Somebody shows an old one.
    disk.expect("layer add onlay-tool --cached || true; ostree commit --repo=$repo --bootable --branch=debian --timestamp=@86400 --tree=ref=debian^ >/dev/null");
    let said = disk.refuse("layer upgrade");
    assert!(said.contains("leads to an older base"), "{said}");
    disk.assert_sound();
}

#[test]
fn packages_of_the_base_go_and_come_back() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer override remove strace");
    disk.expect("test ! -e \"$(next)\"/usr/bin/strace; test -e \"$(next)\"/usr/lib/sysimage/dpkg/status");
    let said = disk.run("dpkg_in --status strace");
    assert!(!words(&said).contains("Status: install ok installed"), "{}", words(&said));
    disk.assert_sound();
    // A package file that was given is kept under its digest; another one takes the place of the base's.
    disk.expect(
        "cp packages/onlay-tool_*.deb given.deb; layer add ./given.deb; rm given.deb; layer add onlay-needy; layer list\n\
         mkdir -p strace/DEBIAN strace/usr/bin; echo '#!/bin/sh' >strace/usr/bin/strace; chmod 755 strace/usr/bin/strace\n\
         printf 'Package: strace\\nVersion: 99\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' >strace/DEBIAN/control\n\
         dpkg-deb --root-owner-group --build strace >/dev/null",
    );
    let status = disk.status();
    assert_eq!(status[0]["layers"]["without"], serde_json::json!(["strace"]));
    assert!(status[0]["layers"]["requests"]["files"]["onlay-tool"]["sha256"].is_string(), "{status}");
    let said =
        disk.expect("layer override replace ./strace.deb; dpkg_in --status strace | grep 'Version: 99'");
    assert!(said.contains("changed strace of the base ") && said.contains(" to 99"), "{said}");
    // What was downloaded goes, and what was given and is asked for stays.
    disk.expect("layer cleanup; test ! -e state/layers/cache/archives; test -n \"$(ls state/layers/cache/files)\"; layer add onlay-probe");
    // Where somebody has cleared that, it is said, and given again it is there again.
    let said = disk.refuse("rm state/layers/cache/files/*; layer add onlay-base");
    assert!(
        said.contains("not kept any more: onlay-tool, strace") && said.contains("layer add FILE"),
        "{said}"
    );
    disk.expect(
        "layer override replace ./strace.deb; layer add packages/onlay-tool_*.deb; layer add onlay-base",
    );
    let said = disk.expect("layer override reset strace; test -e \"$(next)\"/usr/bin/strace");
    assert!(said.contains("changed strace 99 back to the base's 6."), "{said}");
    disk.assert_sound();
}

#[test]
fn who_is_killed_leaves_what_boots_as_it_was() {
    let Some(disk) = Disk::debian() else { return };
    let moments = ["0.02", "0.1", "0.3", "0.6", "0.9", "1.2", "1.6", "2", "2.5", "3"];
    disk.kill_while_adding("onlay-probe", &moments);
    disk.assert_sound();
}

#[test]
fn a_script_that_fails_or_does_not_end_changes_nothing() {
    let Some(disk) = Disk::debian() else { return };
    let before = disk.status();
    let make = |name: &str, script: &str| {
        disk.expect(&format!(
            "mkdir -p {name}/DEBIAN; printf 'Package: {name}\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' >{name}/DEBIAN/control\n\
             printf '#!/bin/sh\\n{script}\\n' >{name}/DEBIAN/postinst; chmod 755 {name}/DEBIAN/postinst; dpkg-deb --build {name} >/dev/null"
        ));
    };
    make("failing", "echo it says why; exit 3");
    make("endless", "sleep 1000");
    let said = disk.refuse("layer add ./failing.deb");
    assert!(said.contains("it says why") && said.contains("nothing was changed"), "{said}");
    let said = disk.refuse("layer add ./endless.deb --timeout 3");
    assert!(said.contains("have not ended after 3 s"), "{said}");
    assert_eq!(disk.status(), before);
    let said = disk.refuse("echo x >no.deb; layer add ./no.deb");
    assert!(said.contains("no.deb"), "{said}");
    // Two at once: the second one is told.
    let said = disk.refuse("layer add ./endless.deb --timeout 5 >/dev/null 2>&1 & sleep 1; code=0; layer add onlay-tool || code=$?; wait; exit $code");
    assert!(said.contains("another onlay is working on layers"), "{said}");
    assert_eq!(disk.status(), before);
}
