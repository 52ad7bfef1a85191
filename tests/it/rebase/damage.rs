//! Databases, bases and states that are not what they should be: the overlay is as it was, and it is said what is wrong.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use super::bed::{Bed, DPKG, Kind, NDB, RPM};
use crate::debian::command;
use crate::kernel::{sh, wait_until};

/// An overlay that has a package of its own, over a host that has been updated.
fn changed(kind: &'static Kind) -> Option<Bed> {
    let bed = Bed::new(kind, &["foo_1"])?;
    bed.inside(&bed.install(&["baz_1"]));
    bed.on_host(&bed.install(&["foo_2"]));
    Some(bed)
}

/// All that an overlay has, but the kernel's own.
fn state(bed: &Bed) -> String {
    let script = "find \"$1\" -mindepth 1 -name work -prune -o -printf '%P %y %m %i %T@ %s %l\\n' | sort";
    sh(script, &[&bed.lab.overlay("a")])
}

/// Neither 'rebase' nor 'shell' follows; both say these words, and nothing is changed. It is entered as it is.
fn assert_refused(bed: &Bed, words: &[&str]) {
    let before = state(bed);
    for command in [&["rebase", "a"][..], &["rebase", "--dry-run", "a"], &["shell", "a", "--", "true"]] {
        let ran = bed.lab.onlay(command).root(bed.host()).run();
        ran.failed(1, &[words, &["hint: ", "--no-rebase"]].concat());
        assert_eq!(state(bed), before, "{}", ran.story());
    }
    let ran = bed
        .lab
        .onlay(&["shell", "-q", "--no-rebase", "a", "--", "cat", "/usr/lib/baz/file"])
        .root(bed.host());
    assert_eq!(ran.run().ok(), "1\n");
}

fn damage(kind: &'static Kind, database: &str, script: &str, what: &str) {
    let Some(bed) = changed(kind) else { return };
    let own = bed.lab.overlay("a").join("layers/@root/upper").join(database);
    let host = bed.host().join(database);
    let sound: Vec<Vec<u8>> = [&own, &host].iter().map(|path| fs::read(path).expect("a database")).collect();
    for (path, shown) in [(&own, format!("'a:/{database}'")), (&host, format!("'{}'", host.display()))] {
        sh(script, &[path]);
        assert_refused(&bed, &[&shown, what]);
        for (path, content) in [&own, &host].iter().zip(&sound) {
            fs::write(path, content).expect("ours");
        }
    }
    bed.follow();
    bed.assert_sound();
}

#[test]
fn a_status_of_dpkgs_that_is_cut_off() {
    damage(&DPKG, "var/lib/dpkg/status", "printf 'Package: x\\nStatus: what' >>\"$1\"", "is damaged: ");
}

#[test]
fn a_database_in_sqlite_that_is_cut_off() {
    let half = "truncate -s $(($(stat -c %s \"$1\") / 2)) \"$1\"";
    damage(&RPM, "usr/lib/sysimage/rpm/rpmdb.sqlite", half, "");
}

#[test]
fn a_database_in_sqlite_that_is_none() {
    damage(&RPM, "usr/lib/sysimage/rpm/rpmdb.sqlite", "head -c 8192 /dev/zero >\"$1\"", "");
}

#[test]
fn an_ndb_database_that_is_cut_off() {
    let half = "truncate -s $(($(stat -c %s \"$1\") / 2)) \"$1\"";
    damage(&NDB, "usr/lib/sysimage/rpm/Packages.db", half, "is damaged: ");
}

#[test]
fn a_base_whose_database_is_gone_or_another_has_no_packages_to_merge() {
    let Some(bed) = changed(&RPM) else { return };
    let directory = bed.host().join("usr/lib/sysimage/rpm");
    sh("mv \"$1\" \"$2\"", &[&directory, &bed.lab.path("aside")]);
    let follow = || {
        let ran = bed.lab.onlay(&["shell", "a", "--", "cat", "/usr/lib/baz/file"]).root(bed.host()).run();
        assert_eq!(ran.ok(), "1\n");
        ran.stderr
    };
    // One that only old versions of rpm read.
    sh("rm -f \"$1\"; mkdir -p \"$1\"", &[&bed.host().join("var/lib/rpm")]);
    fs::write(bed.host().join("var/lib/rpm/Packages"), "").expect("ours");
    let said = follow();
    assert!(said.contains("packages are not merged: ") && said.contains("Berkeley DB"), "{said}");
    // Another system altogether.
    fs::remove_file(bed.host().join("var/lib/rpm/Packages")).expect("ours");
    fs::create_dir_all(bed.host().join("var/lib/dpkg/info")).expect("ours");
    fs::write(bed.host().join("var/lib/dpkg/info/format"), "1\n").expect("ours");
    let package = "Package: x\nStatus: install ok installed\nArchitecture: all\nMaintainer: a <a@b>\nVersion: 1\nDescription: a\n\n";
    fs::write(bed.host().join("var/lib/dpkg/status"), package).expect("ours");
    fs::write(bed.host().join("var/lib/dpkg/info/x.list"), "/.\n").expect("ours");
    follow();
    // And none.
    fs::remove_dir_all(bed.host().join("var/lib/dpkg")).expect("ours");
    assert_refused(
        &bed,
        &["the base has no packages any more: there is no '/usr/lib/sysimage/rpm/rpmdb.sqlite'"],
    );
    // When it is back, all is well again.
    sh("cp -a \"$1\" \"$2\"", &[&bed.lab.path("aside"), &directory]);
    follow();
    bed.assert_sound();
}

/// A base that has lost its packages is no update: the overlay's upgrades would go with it.
fn lost(kind: &'static Kind, database: &str, make_empty: &str) {
    let Some(bed) = Bed::new(kind, &["foo_1"]) else { return };
    bed.inside(&bed.install(&["foo_2", "baz_1"]));
    bed.touch();
    let path = bed.host().join(database);
    let sound = fs::read(&path).expect("a database");
    fs::remove_file(&path).expect("ours");
    assert_refused(&bed, &[&format!("the base has no packages any more: there is no '/{database}'")]);
    sh(make_empty, &[&path]);
    assert_refused(&bed, &["the base has no packages any more: "]);
    fs::write(&path, sound).expect("ours");
    bed.follow();
    bed.assert_sound();
    assert_eq!(bed.inside("cat /usr/lib/foo/file"), "2\n");
}

#[test]
fn a_base_of_dpkgs_that_has_lost_its_packages() {
    lost(&DPKG, "var/lib/dpkg/status", ": >\"$1\"");
}

#[test]
fn a_base_of_rpms_that_has_lost_its_packages() {
    lost(&RPM, "usr/lib/sysimage/rpm/rpmdb.sqlite", "rpm --dbpath \"${1%/*}\" --initdb");
}

/// One package that cannot be read is not one that was removed.
#[test]
fn a_header_that_cannot_be_read() {
    // The first header's blob begins after its frame: the number of its entries.
    let script = "at=$(grep --byte-offset --only-matching --text --max-count=1 BlbS \"$1\" | head -n 1 | cut -d : -f 1)
        printf '\\377\\377\\377' | dd of=\"$1\" bs=1 seek=$((at + 16)) conv=notrunc status=none";
    damage(&NDB, "usr/lib/sysimage/rpm/Packages.db", script, "is damaged: ");
}

#[test]
fn a_state_that_is_read_only_or_not_what_it_was() {
    let Some(bed) = changed(&DPKG) else { return };
    let overlay = bed.lab.overlay("a");
    let rebase = || bed.lab.onlay(&["rebase", "a"]).root(bed.host()).run();
    sh("mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"", &[&bed.lab.state]);
    rebase().failed(1, &["ead-only file system", "hint: give --state a writable directory"]);
    sh("umount \"$1\"", &[&bed.lab.state]);
    // What leads elsewhere is not followed, and nothing elsewhere is touched.
    let elsewhere = bed.lab.path("elsewhere");
    fs::create_dir_all(elsewhere.join("upper/etc")).expect("ours");
    fs::write(elsewhere.join("files"), "theirs").expect("ours");
    let names = || sh("find \"$1\" -printf '%P %y %s %T@\\n'", &[&elsewhere]);
    let before = names();
    for part in ["layers/@seen", "layers/@root/upper", "layers/@root", "layers"] {
        let (path, aside) = (overlay.join(part), bed.lab.path("part"));
        fs::rename(&path, &aside).expect("ours");
        symlink(&elsewhere, &path).expect("ours");
        rebase().failed(1, &[part]);
        fs::remove_file(&path).expect("ours");
        fs::rename(&aside, &path).expect("ours");
    }
    assert_eq!(names(), before);
    // The remains of a draft that somebody else made.
    symlink(&elsewhere, overlay.join("layers.new")).expect("ours");
    chown(overlay.join("layers/@seen"), Some(65534), Some(65534)).expect("ours");
    rebase().ok();
    assert_eq!(names(), before);
    bed.assert_sound();
}

/// A package whose installation waits until it is told to go on.
const SLOW: &str = "touch /srv/started; while [ ! -e /srv/go ]; do sleep 0.05; done";

/// Starts the host's package manager, in the midst of a transaction when this returns.
fn busy(bed: &Bed) -> std::process::Child {
    bed.make_with("slow", "1", "", &["usr/lib/slow/file"], SLOW);
    let script = bed.install(&["slow_1"]);
    let mut install = command("chroot");
    let child = install.arg(bed.host()).args(["sh", "-ec", &script]).spawn().expect("chroot starts");
    wait_until("it is at work", || bed.host().join("srv/started").exists());
    child
}

fn go_on(bed: &Bed, mut child: std::process::Child) {
    fs::write(bed.host().join("srv/go"), "").expect("ours");
    assert!(child.wait().expect("ours").success());
}

#[test]
fn a_host_whose_dpkg_is_at_work_is_waited_for_by_a_person() {
    let Some(bed) = changed(&DPKG) else { return };
    let child = busy(&bed);
    assert_refused(&bed, &["is in use by another program", "try again when the package manager is done"]);
    go_on(&bed, child);
    bed.follow();
    assert_eq!(bed.inside("cat /usr/lib/slow/file; dpkg-query -W -f '${Version}' slow"), "1\n1");
    bed.assert_sound();
}

#[test]
fn a_host_whose_rpm_is_at_work_is_waited_for() {
    let Some(bed) = changed(&RPM) else { return };
    let child = busy(&bed);
    let ran = bed.lab.onlay(&["rebase", "a"]).root(bed.host()).run();
    ran.failed(1, &["is in use by another program", "try again when the package manager is done"]);
    // One that waits gets its turn.
    let waiting = bed.lab.onlay(&["rebase", "a"]).root(bed.host()).start();
    go_on(&bed, child);
    waiting.finish().ok();
    assert_eq!(bed.inside("cat /usr/lib/slow/file; rpm -q --qf '%{VERSION}' slow"), "1\n1");
    bed.assert_sound();
}

/// rpm renames the directory of its database then, which no overlay allows of a directory of the base.
#[test]
fn rpms_database_is_rebuilt_once_its_directory_is_the_overlays_own() {
    let Some(bed) = changed(&RPM) else { return };
    bed.follow();
    let directory = "d=$(rpm --eval %_dbpath)";
    bed.inside(&format!("{directory}; ! rpmdb --rebuilddb 2>/dev/null; rm -rf ${{d}}rebuilddb.*"));
    bed.assert_sound();
    bed.inside(&format!("{directory}; cp -a $d $d.new; rm -r $d; mv $d.new $d; rpmdb --rebuilddb"));
    bed.assert_sound();
    bed.on_host(&bed.install(&["foo_3", "bar_2"]));
    bed.follow();
    let seen = bed.seen();
    assert!(["bar=2", "baz=1", "foo=3"].iter().all(|package| seen.contains(package)), "{seen}");
    bed.assert_sound();
    let names: PathBuf = bed.lab.overlay("a").join("layers/@root/upper/usr/lib/sysimage");
    assert!(Path::new(&names).exists());
}

/// Whoever leaves notes what the base had, but might not come to that.
#[test]
fn what_the_base_had_is_noted_while_somebody_is_inside() {
    for (kind, way) in [(&DPKG, &["--isolate", "a"][..]), (&RPM, &["a"])] {
        let Some(bed) = Bed::new(kind, &["foo_1", "baz_1"]) else { return };
        let noted = bed.lab.overlay("a").join("layers/@seen/packages.of");
        bed.inside("true");
        assert!(!noted.exists(), "what is soon done has changed no package, and costs nothing");
        let script = format!(
            "set -e; {}; {} baz >/dev/null; echo inside; exec sleep 1000",
            bed.install(&["foo_2"]),
            kind.remove
        );
        let words = [&["shell", "-q"], way, &["--", "sh", "-c", &script]].concat();
        let session = bed.lab.onlay(&words).root(bed.host()).start();
        session.wait_for("inside");
        wait_until("it is noted", || noted.exists());
        // As a power cut would, and with an update of the host before it is entered again.
        session.kill();
        bed.on_host(&bed.install(&["foo_3"]));
        wait_until("nobody is in it", || {
            let ran = bed.lab.onlay(&["rebase", "--dry-run", "a"]).root(bed.host()).run();
            ran.code() == Some(0)
        });
        bed.follow();
        let seen = bed.seen();
        assert!(seen.contains("foo=3") && !seen.contains("baz=1"), "{seen}");
        bed.assert_sound();
    }
}
