//! `onlay layer` in snapshots of hosts whose packages are RPMs, as openSUSE MicroOS has them (zypper, ndb), and with dnf (a database in SQLite's
//! format). rpm, the package manager, snapper and btrfs are the judges.

use serde_json::{Value, json};

use super::snapshot_disk::Disk;
use super::stage::scenes_of;

fn brings_what_was_asked_for(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    let said = disk.expect("layer add lab-tool --dry-run");
    assert!(said.contains("would add lab-tool 3.0-1") && said.contains("nothing was changed"), "{said}");
    assert_eq!(disk.numbers(), ["1", "1"]);
    let said =
        disk.expect("layer add lab-tool layer-places layer-users ./packages/layer-files-1.0-1.noarch.rpm");
    assert!(said.contains("/usr/local/share/layer-places"), "{said}");
    assert_eq!(disk.layered(), ["lab-tool", "layer-files", "layer-places", "layer-users"]);
    disk.assert_sound();
    disk.expect(
        "in_next lab-strace -V | grep version; in_next id layer-user; cd \"$(next)\"\n\
         grep '^L /opt/layer-places - - - - /usr/lib/opt/layer-places$' usr/lib/tmpfiles.d/zz-onlay-layers.conf\n\
         grep opt usr/lib/opt/layer-places/file; grep boot boot/layer-places; grep layer-user etc/passwd\n\
         getcap usr/share/layer-files/capable | grep cap_net_raw=ep; test ! -e usr/lib/sysusers.d/00-onlay-layers.conf\n\
         test -z \"$(find opt srv var usr/local -mindepth 1)\" -a -z \"$(ls usr/lib/sysimage/rpm | grep -e -wal -e -shm -e lock)\"",
    );
    // Once more, and what is there already: nothing. A second change keeps what the first one brought.
    let said = disk.expect("layer add lab-tool; layer add lab-old lab-daemon");
    assert!(said.contains("nothing to do") && said.contains("has that by itself: lab-old"), "{said}");
    disk.expect(
        "in_next rpm --query lab-tool lab-daemon layer-files lab-old; layer history 2 | grep lab-daemon",
    );
    disk.assert_sound();
    // All of it goes again.
    disk.expect("layer remove --all");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    let of = "in_next rpm --query --all | grep -v gpg-pubkey | sort";
    assert_eq!(disk.expect(of), disk.expect(&format!("default=1; {of}")));
    disk.expect("cd \"$(next)\"; test ! -e usr/lib/onlay/layers.json -a ! -e usr/lib/opt/layer-places -a ! -e usr/bin/lab-strace");
    disk.assert_sound();
    // Back to what was asked for then, and on from there.
    disk.expect("layer rollback 2; layer add lab-daemon --cached; in_next rpm --query lab-daemon lab-tool");
    assert_eq!(disk.status()[0]["id"], json!("5"));
    disk.assert_sound();
}

fn takes_away_what_nobody_needs(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    // It needs one of lab-tool and lab-daemon.
    disk.expect("layer add lab-rich");
    let layered = disk.layered();
    assert_eq!(layered.len(), 2, "{layered:?}");
    let needed = layered.iter().find(|name| *name != "lab-rich").expect("it needs one").clone();
    let said = disk.refuse(&format!("layer remove {needed}"));
    assert!(said.contains("was not asked for: other layers need it"), "{said}");
    let said = disk.refuse("layer remove strace");
    assert!(said.contains("strace is a package of the base"), "{said}");
    let said = disk.expect("layer remove lab-rich --dry-run");
    assert!(
        said.contains("would remove lab-rich") && said.contains(&format!("would remove {needed}")),
        "{said}"
    );
    disk.expect(
        "layer remove lab-rich; ! in_next rpm --query lab-rich lab-tool lab-daemon | grep -v 'not installed'",
    );
    assert!(disk.layered().is_empty());
    disk.assert_sound();
    // What somebody asked for stays, what another one needs stays without being asked for, and of two that would do that one goes.
    disk.expect(&format!("layer add {needed}; layer add lab-rich; layer remove {needed}"));
    assert_eq!(disk.layered().len(), 2);
    disk.expect("layer add lab-tool lab-daemon; layer remove lab-daemon");
    assert_eq!(disk.layered(), ["lab-rich", "lab-tool"]);
    disk.expect("layer remove lab-rich --add layer-users");
    assert_eq!(disk.layered(), ["lab-tool", "layer-users"]);
    disk.assert_sound();
    // Asked for in a version, it is no less asked for; and by what it provides.
    disk.expect("layer remove lab-tool --add lab-tool-2.0; layer remove layer-users; in_next rpm --query lab-tool-2.0-1");
    disk.expect("layer remove lab-tool-2.0; layer status");
    assert!(disk.layered().is_empty());
    // In the place of the base's, and back.
    disk.expect("layer override remove lab-old --add lab-new; in_next rpm --query lab-new; ! in_next rpm --query lab-old");
    let said = disk.expect("layer override reset lab-old --remove lab-new; in_next rpm --query lab-old");
    assert!(said.contains("restored lab-old of the base"), "{said}");
    disk.expect("layer override replace \"$(next)\"/usr/share/packages/*/strace-*+lab2*.rpm; in_next rpm --query strace | grep lab2");
    disk.assert_sound();
    let said = disk.expect("layer undo; ! in_next rpm --query strace | grep lab2; layer history");
    assert!(said.contains("changed strace 6.13+ds-1+lab2 back to the base's"), "{said}");
    // What is taken out may stand in the way of what comes.
    disk.expect(
        "layer add lab-leaf; layer remove lab-leaf --add lab-conflict; in_next rpm --query lab-conflict",
    );
    assert_eq!(disk.layered(), ["lab-conflict"]);
    disk.assert_sound();
}

fn is_brought_up_to_date(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    // Somebody has edited settings, and removed by other means what was asked for; a package was given as a file.
    disk.expect(
        "in_default sh -c 'echo EDITED >>etc/lab-config/kept.conf'\n\
         layer add lab-rich lab-tool-2.0 ./packages/layer-files-1.0-1.noarch.rpm layer-users\n\
         in_default sh -c 'chroot . rpm --erase layer-users'",
    );
    let said = disk.expect("layer upgrade --dry-run");
    for word in
        ["would change lab-pair 1.0-1 to 3.0-1", "would remove lab-old 1.0-1", "would add lab-new 3.0-1"]
    {
        assert!(said.contains(word), "no '{word}': {said}");
    }
    assert_eq!(disk.numbers()[0], "2");
    let again = disk.expect("layer upgrade");
    assert!(again.contains("changed lab-pair 1.0-1 to 3.0-1"), "{again}");
    disk.expect(
        "in_next rpm --query lab-new-3.0 lab-pair-3.0 layer-abi-2.0 layer-users-2.0 layer-files-1.0 lab-tool-2.0\n\
         grep EDITED \"$(next)\"/etc/lab-config/kept.conf; in_next lab-pair | grep 'pair 3'",
    );
    assert_eq!(disk.layered(), ["lab-rich", "lab-tool", "layer-files", "layer-users"]);
    let said = disk.expect("code=0; layer upgrade --unchanged-exit-77 || code=$?; test $code = 77");
    assert!(said.contains("nothing to do"), "{said}");
    // What came with the distribution is none of the layers, and stays when they go.
    disk.expect("layer remove --all; in_next rpm --query lab-new lab-split-data; ! in_next rpm --query lab-rich lab-tool");
    // A host without layers is brought up to date, too.
    disk.expect("layer rollback 1; layer upgrade; in_next rpm --query lab-new-3.0; layer diff 1");
    assert!(disk.layered().is_empty());
    disk.expect("layer rollback 1");
    disk.assert_sound();
}

fn changes_nothing_where_it_fails(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    let before = disk.numbers();
    disk.refuses_bad_rpms();
    let said = disk.refuse("layer add layer-fails");
    assert!(said.contains("layer-fails says why") && said.contains("nothing was changed"), "{said}");
    let said = disk.refuse("layer add lab-new");
    assert!(said.contains("lab-old would have to go"), "{said}");
    let said = disk.refuse("layer add layer-kernel-other");
    assert!(said.contains("changes the kernel") && said.contains("2.0-other"), "{said}");
    assert!(said.contains("nothing says what boots") && said.contains("transactional-update dup"), "{said}");
    assert_eq!(disk.numbers(), before);
    // Who is killed while a snapshot is made leaves one that the next change deletes.
    disk.run(
        "\"$ONLAY\" --root \"$PWD/root\" --state \"$PWD/root/var/lib/onlay\" layer add lab-tool & until [ -e root/.snapshots/2/info.xml ]; do sleep 0.01; done; sleep 0.1; kill -KILL $!; wait",
    );
    assert_eq!(disk.numbers()[0], "1");
    disk.expect("layer add lab-daemon; ! snapper --csvout list --columns userdata | grep in-progress");
    assert_eq!(disk.layered(), ["lab-daemon"]);
    disk.assert_sound();
}

#[test]
fn a_host_is_brought_up_to_date_as_its_settings_say() {
    let Some(disk) = Disk::rpm("zypper") else { return };
    // zypper has older packages in the place of newer ones for `dup` alone.
    let old = "in_default sh -c 'rm usr/share/packages/noarch/lab-config-[23]*; chroot . createrepo_c --quiet /usr/share/packages'";
    let up = "in_default sh -c 'echo UPDATE_METHOD=up >etc/transactional-update.conf'";
    disk.expect(&format!("layer upgrade; {old}; {up}; layer upgrade; in_next rpm --query lab-config-3.0"));
    let said = disk.expect("in_default rm etc/transactional-update.conf; layer upgrade");
    assert!(said.contains("changed lab-config 3.0-1 to 1.0-1"), "{said}");
    disk.assert_sound();
}

scenes_of!(dnf => brings_what_was_asked_for, takes_away_what_nobody_needs, is_brought_up_to_date, changes_nothing_where_it_fails);
scenes_of!(zypper => brings_what_was_asked_for, takes_away_what_nobody_needs, is_brought_up_to_date, changes_nothing_where_it_fails);
