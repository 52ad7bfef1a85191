//! `onlay layer` on a disk with snapshots of a real Debian, by its real package manager; snapper, btrfs and dpkg are the judges. What boots of it
//! is for vm.rs.

use serde_json::Value;

use super::snapshot_disk::Disk;

#[test]
fn what_was_asked_for_is_in_the_next_snapshot() {
    let Some(disk) = Disk::debian() else { return };
    let said = disk.expect("layer add onlay-tool onlay-probe --dry-run");
    assert!(said.contains("would add onlay-tool 1.0") && said.contains("nothing was changed"), "{said}");
    assert_eq!(disk.numbers(), ["1", "1"]);
    let said = disk.expect("layer add onlay-tool onlay-probe");
    assert!(said.contains("since other file systems are there: "), "{said}");
    assert_eq!(disk.layered(), ["onlay-probe", "onlay-tool"]);
    disk.assert_sound();
    // Programs run, one with a library that a script's ldconfig has made known; nothing of the packages is another one, but what lies on other
    // file systems.
    disk.expect("chroot \"$(next)\" /usr/bin/onlay-strace -V; chroot \"$(next)\" /usr/bin/onlay-probe | grep 'probe 42'");
    disk.expect("dpkg_in --verify onlay-tool; test -z \"$(dpkg_in --verify onlay-probe | grep -v ' /opt/onlay-probe\\| /srv/onlay-probe')\"");
    disk.expect(
        "cd \"$(next)\"; grep onlay-probe etc/passwd; test ! -e usr/lib/sysusers.d/00-onlay-layers.conf\n\
         grep '^L /opt/onlay-probe - - - - /usr/lib/opt/onlay-probe$' usr/lib/tmpfiles.d/zz-onlay-layers.conf\n\
         grep '^opt$' usr/lib/opt/onlay-probe/file; grep boot boot/onlay-probe/file\n\
         test -L etc/systemd/system/multi-user.target.wants/onlay-probe.service\n\
         test -z \"$(find opt srv var -mindepth 1)\"",
    );
    // Nothing of what is beside the packages' own files is another one than in the snapshot before.
    let changed = disk.expect(
        "cd root/.snapshots; diff --recursive --brief --no-dereference 1/snapshot 2/snapshot 2>/dev/null | sed -n 's/^Files 1.snapshot\\(.*\\) and .*/\\1/p'",
    );
    let expected = ["group", "gshadow", "ld.so.cache", "passwd", "shadow"].map(|name| format!("/etc/{name}"));
    let expected: Vec<String> =
        expected.into_iter().chain(["/usr/lib/sysimage/dpkg/status".to_owned()]).collect();
    assert_eq!(changed.split_whitespace().collect::<Vec<_>>(), expected);
    disk.expect("test \"$(stat --format %Y root/.snapshots/2/snapshot/usr)\" -gt \"$(stat --format %Y root/.snapshots/1/snapshot/usr)\"");
    // Again: nothing.
    let said = disk.expect(
        "layer add onlay-tool; code=0; layer add onlay-tool --unchanged-exit-77 || code=$?; test $code = 77",
    );
    assert!(said.contains("nothing to do"), "{said}");
    assert_eq!(disk.numbers(), ["2", "1", "2"]);
    // All of it goes again, and what the scripts have written besides is what dpkg itself would leave.
    disk.expect("layer remove --all");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    disk.expect(
        "cd \"$(next)\"; test ! -e usr/lib/onlay/layers.json -a ! -e usr/bin/onlay-probe -a ! -e usr/lib/opt/onlay-probe -a ! -e etc/onlay-probe.conf\n\
         ! grep /opt/onlay-probe usr/lib/tmpfiles.d/zz-onlay-layers.conf; test -d opt -a -d srv -a -d var",
    );
    disk.assert_sound();
}

#[test]
fn requests_change_and_are_not_lost() {
    let Some(disk) = Disk::debian() else { return };
    // Each from the one that is booted next.
    disk.expect("layer add onlay-needy; layer add onlay-tool; layer add onlay-probe --remove onlay-tool");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-probe"]);
    disk.assert_sound();
    let said = disk.refuse("layer remove onlay-base");
    assert!(said.contains("onlay-base was not asked for: other layers need it"), "{said}");
    let said = disk.refuse("layer remove cron");
    assert!(
        said.contains("cron is a package of the base") && said.contains("override remove cron"),
        "{said}"
    );
    let said = disk.refuse("layer add nothere onlay-tool nothere2");
    assert!(said.contains("nothere (Unable to locate package nothere); nothere2 ("), "{said}");
    // What others need is there when it is not asked for any more, and goes with them.
    disk.expect("layer add onlay-base; layer remove onlay-base");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-probe"]);
    disk.expect("layer add onlay-base; layer remove onlay-needy");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-probe"]);
    disk.expect("layer remove onlay-base; dpkg_in --list | grep onlay- | grep -vc onlay-probe && exit 1; layer status");
    assert_eq!(disk.layered(), ["onlay-probe"]);
    // Back, to what was asked for then; and by undoing, which is another change.
    disk.expect("layer rollback");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-probe"]);
    disk.expect("layer rollback 2");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy"]);
    disk.assert_sound();
    disk.expect("layer remove --all; layer undo");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy"]);
    let history = disk.expect("layer history");
    assert!(history.contains("undo 11  added onlay-base 1.0, added onlay-needy 1.0"), "{history}");
    assert!(disk.expect("layer history 1").contains("Setting up onlay-needy"));
    assert_eq!(disk.expect("layer diff 1 2").trim(), "added onlay-base 1.0\nadded onlay-needy 1.0");
    // What others have done is none of ours.
    disk.expect("snapper create --from 1 --read-only --description others --cleanup-algorithm number");
    let said = disk.expect("layer pin 2; layer status; snapper list --columns number,cleanup,userdata");
    assert!(said.contains("2  13  pinned") && said.contains("important=yes"), "{said}");
    disk.expect("layer pin 2 --unpin; snapper --csvout list --columns number,cleanup,userdata | grep '^2,number,.*onlay-from=1' | grep -v important");
    let before = disk.numbers();
    let said = disk.expect("layer cleanup --rollback --dry-run; layer cleanup --rollback");
    assert!(said.contains("would remove 10"), "{said}");
    let expected: Vec<String> = before.into_iter().filter(|number| number != "10").collect();
    assert_eq!(disk.numbers(), expected);
    disk.assert_sound();
}

#[test]
fn all_is_brought_up_to_date_and_stays_as_people_have_it() {
    let Some(disk) = Disk::debian() else { return };
    // Somebody has disabled a service, edited a file of settings, and removed by other means what was asked for.
    disk.expect(
        "in_default sh -c 'rm etc/systemd/system/multi-user.target.wants/cron.service; echo EDITED=yes >>etc/default/cron'\n\
         layer add onlay-tool onlay-needy\n\
         in_default sh -c 'chroot . dpkg --admindir=/usr/lib/sysimage/dpkg --purge onlay-tool'",
    );
    let said = disk.expect("layer upgrade --dry-run");
    assert!(said.contains("would change cron 3.0pl1-"), "{said}");
    let said = disk.expect("layer upgrade");
    assert!(said.contains("changed cron 3.0pl1-") && !said.contains("in the place of"), "{said}");
    disk.expect(
        "dpkg_in --status cron | grep 'Version: .*onlay1'; dpkg_in --status onlay-tool | grep 'ok installed'; cd \"$(next)\"\n\
         test ! -e etc/systemd/system/multi-user.target.wants/cron.service; grep EDITED etc/default/cron",
    );
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    disk.assert_sound();
    let said = disk.expect("layer upgrade --unchanged-exit-77 || test $? = 77");
    assert!(said.contains("nothing to do"), "{said}");
    // A host without layers is brought up to date, too.
    disk.expect("layer rollback 1; layer upgrade; dpkg_in --status cron | grep 'Version: .*onlay1'");
    assert!(disk.layered().is_empty());
    // A package of the base goes and comes back.
    disk.expect("layer override remove cron");
    assert_eq!(disk.status()[0]["layers"]["without"], serde_json::json!(["cron"]));
    disk.expect("layer override reset cron; dpkg_in --status cron | grep 'ok installed'");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    disk.assert_sound();
}

#[test]
fn who_is_killed_leaves_what_boots_as_it_was() {
    let Some(disk) = Disk::debian() else { return };
    let (mut marked, mut whole) = (0, 0);
    // Before there is a snapshot of its own, and then at moments after it has appeared. Who was started to the end goes on, and is waited for.
    for wait in [
        "0.05",
        "0.2",
        "begun; true",
        "begun; 0.05",
        "begun; 0.1",
        "begun; 0.2",
        "begun; 0.3",
        "begun; 0.4",
        "begun; 0.6",
        "begun; 1",
    ] {
        let wait = wait.replace("; 0", "; sleep 0").replace("; 1", "; sleep 1");
        let wait = if wait.starts_with('0') { format!("sleep {wait}") } else { wait };
        disk.run(&format!(
            "begun() {{ until [ -e root/.snapshots/2/info.xml ]; do sleep 0.01; done; }}; layer cleanup\n\
             \"$ONLAY\" --root \"$PWD/root\" --state \"$PWD/root/var/lib/onlay\" layer add onlay-probe & {wait}; kill -KILL $!; wait"
        ));
        let (numbers, layered) = (disk.numbers(), disk.layered());
        if layered.is_empty() {
            assert_eq!(numbers[0], "1", "{wait}: {numbers:?}");
            marked += usize::from(numbers.len() > 2);
        } else {
            assert_eq!(layered, ["onlay-probe"], "{wait}");
            disk.assert_sound_after(&wait);
            whole += 1;
            disk.expect("layer rollback 1");
            disk.expect("snapper delete 2");
        }
    }
    assert!(marked > 1, "{marked} were killed while a snapshot was being made, {whole} were done");
    // What the last one has left is not shown, and goes with the next change.
    disk.expect("layer add onlay-probe onlay-tool; test -z \"$(ls root/var/lib/onlay/layers | grep -x 'overlay\\|var')\"");
    assert_eq!(disk.layered(), ["onlay-probe", "onlay-tool"]);
    disk.assert_sound();
    let numbers = disk.numbers();
    assert_eq!(numbers.len(), disk.status().as_array().map_or(0, Vec::len) + 1, "{numbers:?}");
}

#[test]
fn what_fails_changes_nothing() {
    let Some(disk) = Disk::debian() else { return };
    let before = disk.numbers();
    let said = disk.refuse("package failing 'echo it says why; exit 3'; layer add ./failing.deb");
    assert!(said.contains("it says why") && said.contains("nothing was changed"), "{said}");
    let said = disk.refuse("package endless 'sleep 1000'; layer add ./endless.deb --timeout 3");
    assert!(said.contains("have not ended after 3 s"), "{said}");
    // Two at once: the second one is told.
    let said = disk.refuse("layer add ./endless.deb --timeout 5 >/dev/null 2>&1 & sleep 1; code=0; layer add onlay-tool || code=$?; wait; exit $code");
    assert!(said.contains("another onlay is working on layers"), "{said}");
    // What would go with a package that stands in the way is not ours to remove.
    let said = disk.refuse("package against true 'Conflicts: cron'; layer add ./against.deb");
    assert!(said.contains("cron") && said.contains("would have to go"), "{said}");
    let said = disk
        .refuse("mkdir -p kernel/usr/lib/modules/9.9/kernel; package kernel true; layer add ./kernel.deb");
    assert!(said.contains("changes the kernel") && said.contains("usr/lib/modules/9.9"), "{said}");
    // No room.
    let said = disk.refuse("package large 'head -c 4G /dev/zero >/usr/large'; layer add ./large.deb");
    assert!(said.contains("No space left on device") && said.contains("nothing was changed"), "{said}");
    // Where nothing can be written, not even a snapshot may be deleted; with the next change, or this, it goes. What was in it is free some time later.
    disk.expect("layer cleanup; btrfs subvolume sync root >/dev/null");
    assert_eq!(disk.numbers(), before);
    disk.assert_sound();
    // Somebody else goes on to another one meanwhile.
    let said = disk.refuse("package slow 'sleep 4'; snapper create --from 1 --description others; layer add ./slow.deb & sleep 2\n\
         btrfs subvolume set-default root/.snapshots/2/snapshot; code=0; wait $! || code=$?; exit $code",
    );
    assert!(said.contains("snapshot 2 is booted next now, and was 1"), "{said}");
    assert_eq!(disk.numbers()[0], "2");
    disk.expect("layer rollback 1");
    // What is mounted is not deleted.
    disk.expect("snapper delete 2");
    assert_eq!(disk.numbers(), before);
}

#[test]
fn other_hosts_are_refused() {
    let Some(disk) = Disk::debian() else { return };
    let before = disk.numbers();
    for (change, back, word) in [
        (
            "sed -i '/ .var /d' etc/fstab",
            "echo '/dev/vda /var btrfs subvol=/@/var 0 0' >>etc/fstab",
            "/var is in the snapshots",
        ),
        (
            "echo 'overlay /etc overlay x 0 0' >>etc/fstab",
            "sed -i /overlay/d etc/fstab",
            "/etc is an overlay",
        ),
        ("mv etc/snapper/configs/root x", "mv x etc/snapper/configs/root", "snapper has no configuration"),
    ] {
        let said = disk.expect_code(3, &format!("in_default sh -c \"{change}\"; layer add onlay-tool"));
        assert!(said.contains(word) && said.contains("hint: "), "{said}");
        disk.expect(&format!("next() {{ echo root/.snapshots/1/snapshot; }}; in_default sh -c \"{back}\""));
    }
    let said = disk
        .expect_code(3, "btrfs property set -ts root/.snapshots/1/snapshot ro false; layer add onlay-tool");
    assert!(said.contains("can be written to"), "{said}");
    disk.expect("btrfs property set -ts root/.snapshots/1/snapshot ro true");
    let said = disk.expect_code(3, "\"$ONLAY\" --root / --state \"$PWD/state\" layer status");
    assert!(said.contains("no snapshot of snapper's"), "{said}");
    assert_eq!(disk.numbers(), before);
    assert!(!disk.path("state/layers").exists());
    disk.expect("layer add onlay-tool");
    assert_eq!(disk.layered(), ["onlay-tool"]);
}
