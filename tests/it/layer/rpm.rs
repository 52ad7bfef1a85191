//! `onlay layer` on hosts whose packages are RPMs, as Fedora has them (dnf, a database in SQLite's format) and as SUSE has them (zypper, ndb).
//! rpm, the package manager and ostree are the judges.

use super::disk::{Disk, OPEN};
use super::stage::scenes_of;

/// The repository, the database and the dependencies are whole, and rpm finds its files as the base has them, but for these lines of
/// `rpm --verify --all`; all where nothing can be written.
fn assert_sound(disk: &Disk, manager: &str, more: &[&str]) {
    let check = match manager {
        "dnf" => "in_next dnf check",
        _ => "in_next zypper --non-interactive verify --dry-run | grep 'are satisfied'",
    };
    disk.expect(&format!(
        "ostree fsck --repo=$repo --quiet; {check}; {OPEN}\n\
         test -z \"$(ls $(next)/usr/lib/sysimage/rpm | grep -e -wal -e -shm)\"\n\
         in_next rpmdb --verifydb"
    ));
    let verify = "in_next rpm --verify --all --nomtime 2>&1 | grep -v -e ' /var/' -e ' /run' -e '/sys$' -e repos.d -e yum.repos || true";
    let text = disk.expect(verify);
    let found: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(found, more);
}

fn brings_what_was_asked_for(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    let said = disk.expect("layer add lab-tool --dry-run");
    assert!(said.contains("would add lab-tool 3.0-1") && said.contains("nothing was changed"), "{said}");
    let said = disk.expect(
        "layer add lab-tool lab-daemon layer-files layer-places layer-users ./packages/layer-scripts-1.0-1.noarch.rpm",
    );
    assert!(said.contains("left out 3 files") && said.contains("/boot/layer-places"), "{said}");
    let names = ["lab-daemon", "lab-tool", "layer-files", "layer-places", "layer-scripts", "layer-users"];
    assert_eq!(disk.layered(), names);
    assert_sound(
        &disk,
        manager,
        &["missing     /boot/layer-places", "missing     /usr/local/share/layer-places"],
    );
    // Scriptlets ran, saw rpm's database, and neither a network nor the host.
    let said = disk.expect("layer history 1");
    // zypper gives each package a transaction of its own, and is silent on what ends one.
    let at_end: &[&str] = if manager == "dnf" { &["transfiletriggerin "] } else { &[] };
    for script in ["pretrans", "pre 1", "post 1", "posttrans 1", "triggerin 1 1"].iter().chain(at_end) {
        assert!(said.contains(&format!("layer-scripts says {script}")), "no {script}: {said}");
    }
    disk.expect(
        "cd \"$(next)\"/usr/share; grep bash-5 layer-scripts/bash; grep -x '    lo' layer-scripts/seen; test $(wc -l <layer-scripts/seen) = 3\n\
         getcap layer-files/capable | grep cap_net_raw=ep\n\
         test $(stat -c %a layer-files/setuid) = 4755 -a $(stat -c %a:%G layer-files/setgid) = 2755:utmp -a $(stat -c %a layer-files/mode-000) = 0",
    );
    disk.expect(
        "in_next sh -exc 'lab-strace -V | grep version; cat /opt/layer-places/file; readlink /var/lib/layer-places/link\n\
         test $(stat -c %a:%G /var/lib/layer-places/state) = 750:mail\n\
         test $(stat -c %U:%G /var/lib/layer-users /usr/share/layer-users | tr \"\\n\" ,) = layer-user:layer-team,root:layer-team,\n\
         id lab-daemon; rpm --query lab-tool lab-daemon'\n\
         grep '^u layer-user [0-9]*:[0-9]* \"of a scriptlet\" /var/lib/layer-users' \"$(next)\"/usr/lib/sysusers.d/00-onlay-layers.conf",
    );
    let said = disk.expect("layer add lab-tool; layer add lab-old lab-pair");
    assert!(
        said.contains("nothing to do") && said.contains("has that by itself: lab-old, lab-pair"),
        "{said}"
    );
    // From what was downloaded; and by a name with a version.
    disk.expect("layer remove lab-tool; layer add lab-tool --cached; layer remove lab-tool --add lab-tool-2.0; in_next rpm --query lab-tool-2.0");
    let status = disk.status();
    assert_eq!(status[0]["layers"]["inactive"], serde_json::json!(["lab-old", "lab-pair"]));
}

fn refuses_what_cannot_be(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    let before = disk.status();
    disk.refuses_bad_rpms();
    // rpm only warns of this one, and goes on.
    let said = disk.refuse("layer add layer-fails");
    assert!(said.contains("layer-fails says why") && said.contains("exit status 3"), "{said}");
    let said = disk.refuse("layer add lab-new");
    assert!(said.contains("lab-old would have to go from the base"), "{said}");
    let said = disk.refuse("layer override remove layer-kernel");
    assert!(said.contains("no kernel"), "{said}");
    let said = disk.refuse("layer add layer-kernel-other");
    assert!(said.contains("2 kernels (1.0-layer, 2.0-other)"), "{said}");
    assert_eq!(disk.status(), before);
}

fn takes_the_place_of_the_base(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    disk.expect("layer override remove lab-old strace --add lab-new; in_next rpm --query lab-new; ! in_next rpm --query lab-old strace");
    let said = disk.refuse("layer override reset lab-old");
    assert!(said.contains("lab-old would have to go from the base"), "{said}");
    let said = disk.expect("layer override reset lab-old --remove lab-new");
    assert!(said.contains("restored lab-old of the base"), "{said}");
    let said = disk.expect("layer override replace \"$(next)\"/usr/share/packages/noarch/strace-*+lab2*.rpm");
    assert!(said.contains("changed strace of the base "), "{said}");
    assert_sound(&disk, manager, &[]);
    disk.expect("layer override reset strace; test -e \"$(next)\"/usr/bin/strace; layer override remove nothere; layer override reset nothere");
    // Of kernels there is one, and OSTree boots it.
    let said = disk.expect("layer add ./packages/layer-kernel-2.0-1.noarch.rpm");
    assert!(said.contains("the kernel is 2.0-layer"), "{said}");
    disk.expect(
        "test \"$(ls \"$(next)\"/usr/lib/modules)\" = 2.0-layer; cat sysroot/boot/ostree/*/vmlinuz-2.0-layer | grep 'kernel 2 of layer'\n\
         ostree show --repo=$repo --print-metadata-key=ostree.linux onlay/layered/lab | grep 2.0-layer",
    );
    assert_sound(&disk, manager, &[]);
}

fn goes_with_a_newer_base(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    disk.expect("layer add lab-tool lab-tilde ./packages/layer-files-1.0-1.noarch.rpm");
    let said = disk.expect(&format!("layer upgrade; become {manager}/2 2.1; layer upgrade"));
    assert!(said.contains("nothing to do") && said.contains("base 1.1 to 2.1"), "{said}");
    assert_eq!(disk.status()[0]["layers"]["inactive"], serde_json::json!(["lab-tilde"]));
    assert_sound(&disk, manager, &[]);
    disk.expect(&format!(
        "become {manager}/1 2.2; layer upgrade; in_next rpm --query lab-tilde-3.0~rc1^git3"
    ));
    // What the next base does not bear, and what it could only have by going back to an older package of the base's own.
    disk.expect(&format!("layer add lab-conflict-1.0 layer-needs; become {manager}/2 2.3"));
    let before = disk.status();
    let said = disk.refuse("layer upgrade");
    for word in
        ["lab-conflict-1.0 (", "lab-leaf", "layer-needs (", "--drop lab-conflict-1.0 --drop layer-needs"]
    {
        assert!(said.contains(word), "no '{word}': {said}");
    }
    assert_eq!(disk.status(), before);
    disk.expect(
        "layer upgrade --drop lab-conflict-1.0 --drop layer-needs; in_next rpm --query layer-abi-2.0",
    );
    assert_eq!(disk.layered(), ["lab-tool", "layer-files"]);
    assert_sound(&disk, manager, &[]);
}

fn who_is_killed_leaves_what_boots_as_it_was(manager: &str) {
    let Some(disk) = Disk::rpm(manager) else { return };
    // While it plans, while rpm writes its database, and while the commit is made.
    let moments: &[&str] = match manager {
        "dnf" => &["0.2", "0.8", "1.6", "2.6", "3.6"],
        _ => &["0.1", "0.4", "0.8", "1.4", "2"],
    };
    disk.kill_while_adding("lab-daemon", moments);
    assert_sound(&disk, manager, &[]);
}

scenes_of!(dnf => brings_what_was_asked_for, refuses_what_cannot_be, takes_the_place_of_the_base, goes_with_a_newer_base, who_is_killed_leaves_what_boots_as_it_was);
scenes_of!(zypper => brings_what_was_asked_for, refuses_what_cannot_be, takes_the_place_of_the_base, goes_with_a_newer_base, who_is_killed_leaves_what_boots_as_it_was);
