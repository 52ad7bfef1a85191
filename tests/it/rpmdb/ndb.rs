//! Databases in SUSE's format: one of SUSE's own, and what an rpm built for it says of ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use onlay::package::header::{Builder, DependencyKind, Value, tag};
use onlay::package::{Header, Identity};
use onlay::pkgdb::Error;
use onlay::pkgdb::rpm::{Access, Backend, Database, Delta, Hnum, Stored, check, create, prepare};

use super::lab::{Lab, assert_sound, listed};
use super::reading::ALL_KINDS;
use super::writing::{answers, difference};

/// A part of SUSE's database, in a directory.
fn real(lab: &Lab) {
    lab.root("real");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sle15-part.Packages.db");
    fs::copy(data, lab.path("real/Packages.db")).expect("a copy");
}

/// A header as small as can be.
fn small(number: usize) -> Vec<u8> {
    let text = |text: String| Value::String(text.into_bytes());
    Builder::new()
        .add(tag::NAME, text(format!("small{number}")))
        .add(tag::VERSION, text("1".to_owned()))
        .add(tag::RELEASE, text("1".to_owned()))
        .add(tag::ARCH, text("noarch".to_owned()))
        .add(tag::PROVIDE_NAME, Value::Strings(vec![format!("small-{}", number % 7).into_bytes()]))
        .build()
}

fn identities(database: &Database) -> BTreeSet<String> {
    let stored = database.identities().expect("it can be read");
    stored.iter().map(|stored| stored.identity.to_string()).collect()
}

#[test]
fn suses_own_is_read() {
    let Some(lab) = Lab::open() else { return };
    real(&lab);
    let database = lab.database("real");
    assert_eq!(listed(&database).len(), 3);
    assert_eq!(database.highest().expect("it can be read"), Hnum(40));
    assert_sound(&database);
    for stored in database.identities().expect("it can be read") {
        let blob = database.blob(stored.number).expect("it can be read").expect("it is there");
        let header = Header::parse(&blob).expect("SUSE wrote it");
        let mut named = Vec::new();
        let mut note = |number, _: &[u8]| {
            named.push(number);
            Ok(())
        };
        database.each_named(&header.name(), &mut note).expect("it can be read");
        database.each_with(DependencyKind::Provides, [&*header.name()], &mut note).expect("it can be read");
        assert_eq!(named, [stored.number, stored.number]);
        if let Some(file) = header.files().last() {
            let owners = database.owners(&file.path()).expect("it can be read");
            assert_eq!(owners, [(stored.number, file.index)]);
        }
    }
    assert_eq!(lab.files("real"), ["Packages.db"]);
}

#[test]
fn many_headers_move_what_is_in_the_way_of_their_slots() {
    let Some(lab) = Lab::open() else { return };
    real(&lab);
    let mut expected = identities(&lab.database("real"));
    // A page has room for 256 slots.
    for round in 0..4 {
        let base = lab.database_for("real", Access::Replace);
        let remove: Vec<Stored> =
            base.identities().expect("it can be read").into_iter().skip(3 + round).step_by(9).collect();
        for stored in &remove {
            expected.remove(&stored.identity.to_string());
        }
        let add: Vec<Vec<u8>> = (0..250).map(|number| small(round * 1000 + number)).collect();
        expected.extend(add.iter().map(|blob| Identity::of(blob).to_string()));
        let delta = Delta { remove, add, above: Hnum(5000), ..Delta::default() };
        let opening = lab.opening(Access::Replace);
        prepare(&base, &delta, &lab.root("real"), &opening)
            .expect("it is made")
            .commit()
            .expect("it is moved");
        drop(base);
        assert_eq!(identities(&lab.database("real")), expected);
        assert_sound(&lab.database("real"));
    }
    assert_eq!(lab.database("real").highest().expect("it can be read"), Hnum(6000));
}

#[test]
fn an_rpm_for_ndb_agrees() {
    let Some(lab) = Lab::with_tree("rpm-ndb") else { return };
    // More than a page of slots, of our own making.
    let mut blobs = (0..600).map(|number| Ok(small(number).into()));
    let patience = lab.opening(Access::Replace).patience;
    create(Backend::Ndb, &mut blobs, &lab.root("ours"), patience)
        .expect("it is made")
        .commit()
        .expect("it is moved");
    lab.verify("ours");
    let said = lab.says("ours", &["-qa"]);
    assert_eq!(said.lines().filter(|line| line.starts_with("small")).count(), 600);
    assert_eq!(
        lab.says("ours", &["-q", "--whatprovides", "small-3"]).trim().lines().count(),
        600_usize.div_ceil(7)
    );
    // rpm changes it, and so do we, in turns.
    for round in 0..3 {
        lab.change("ours", "-i", &[["files-1", "p0-1", "p1-1"][round]]);
        lab.change("ours", "-e", &[&format!("small{round}")]);
        assert_sound(&lab.database("ours"));
        let base = lab.database_for("ours", Access::Replace);
        let remove = base.identities().expect("it can be read").into_iter().step_by(50).collect();
        let add = (0..50).map(|number| small(1000 * (round + 1) + number)).collect();
        let delta = Delta { remove, add, ..Delta::default() };
        let opening = lab.opening(Access::Replace);
        prepare(&base, &delta, &lab.root("ours"), &opening)
            .expect("it is made")
            .commit()
            .expect("it is moved");
        drop(base);
        assert!(!lab.files("ours").contains(&"Index.db".to_owned()));
        let mut ours = listed(&lab.database("ours"));
        let said = lab.says("ours", &["-qa", "--qf", "%{NAME}-%{EVR}.%{ARCH}\n"]);
        let mut theirs: Vec<&str> = said.lines().filter(|line| line.ends_with(".noarch")).collect();
        ours.sort();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "round {round}");
        lab.verify("ours");
    }
    // rpm reads SUSE's, changed by us.
    real(&lab);
    lab.installed("new", &["files-1", "p7-1"]);
    let delta = {
        let (real, new) = (lab.database("real"), lab.database("new"));
        Delta { remove: Vec::new(), ..difference(&real, &new) }
    };
    let base = lab.database_for("real", Access::Replace);
    let opening = lab.opening(Access::Replace);
    prepare(&base, &delta, &lab.root("real"), &opening).expect("it is made").commit().expect("it is moved");
    drop(base);
    lab.verify("real");
    assert!(lab.says("real", &["-qf", "/usr/share/plain/p7"]).contains("p7-1-1.noarch"));
}

#[test]
fn our_index_is_as_good_as_rpms() {
    let Some(lab) = Lab::with_tree("rpm-ndb") else { return };
    lab.installed("base", ALL_KINDS);
    let patience = lab.opening(Access::Replace).patience;
    let mut blobs = Vec::new();
    let mut collect = |_, blob: &[u8]| {
        blobs.push(blob.to_vec());
        Ok(())
    };
    lab.database("base").each(&mut collect).expect("it can be read");
    blobs.extend((0..2000).map(small));
    for (name, has_index) in [("ours", true), ("theirs", false)] {
        let mut blobs = blobs.iter().map(|blob| Ok((&**blob).into()));
        let prepared = create(Backend::Ndb, &mut blobs, &lab.root(name), patience).expect("it is made");
        let prepared = if has_index { prepared.over_another() } else { prepared };
        prepared.commit().expect("it is moved");
    }
    assert_eq!(lab.files("ours"), [".rpm.lock", "Index.db", "Packages.db"]);
    assert_sound(&lab.database("ours"));
    // Where nothing can be written: with an index rpm answers, without one it does not.
    let read_only = |name: &str| {
        let (program, arguments) = ("rpm", ["-q", "--whatprovides", "small-3"]);
        let mut command = lab.read_only(program, name);
        crate::debian::words(&command.args(arguments).output().expect("bwrap starts"))
    };
    assert_eq!(read_only("ours").trim().lines().count(), 2000_usize.div_ceil(7));
    assert!(read_only("theirs").contains("cannot open Packages database"));
    // The second time, rpm has made the other index.
    answers(&lab, "theirs");
    assert!(!lab.says("ours", &["-q", "small1"]).contains("missing index"));
    assert_eq!(answers(&lab, "ours"), answers(&lab, "theirs"));
    for (how, packages) in
        [("-e", &["small7", "files"][..]), ("-i", &["files-2", "p12-1"]), ("-U", &["p0-2"]), ("-e", &["md5"])]
    {
        lab.change("ours", how, packages);
        lab.change("theirs", how, packages);
        // The first answer has times, the last is large.
        assert_eq!(answers(&lab, "ours")[1..], answers(&lab, "theirs")[1..], "{how} {packages:?}");
    }
    assert!(!lab.says("ours", &["-q", "small2"]).contains("missing index"));
    lab.verify("ours");
}

#[test]
fn what_is_wrong_is_found() {
    let Some(lab) = Lab::open() else { return };
    real(&lab);
    let good = fs::read(lab.path("real/Packages.db")).expect("it is there");
    let told = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        fs::write(lab.path("real/Packages.db"), bad).expect("our file");
        let opening = lab.opening(Access::Read);
        match Database::open_in(lab.root("real"), Backend::Ndb, &opening) {
            Ok(database) => {
                let findings = check(&database).expect("it can be read");
                findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            }
            Err(error @ Error::Damaged { .. }) => error.to_string(),
            Err(error) => panic!("{error:?}"),
        }
    };
    let frame = 256 * 16;
    for (at, value, what) in [
        (0, b'X', "no ndb database"),
        (16, 1, "its number will be given again"),
        // The first slot: its mark, its header's number, and where that begins.
        (32, b'X', "slot 2: it is none"),
        (36, 9, "header 9: "),
        (40, 1, "header 1: it does not begin as its slot says"),
        (43, 0xff, "slot 2: it names blocks outside of the file"),
        (frame + 8, 0, "header 1: its checksum is wrong"),
        (frame + 12, 0, "header 1: its length is not its slot's"),
        (frame + 16, 0xff, "header 1: its checksum is wrong"),
        (frame + 16, 0xff, "header 1 cannot be read"),
        (good.len() - 1, 0, "header 7: it does not end as it begins"),
    ] {
        let found = told(at, value);
        assert!(found.contains(what), "byte {at} = {value}: {found}");
    }
    fs::write(lab.path("real/Packages.db"), &good).expect("our file");
    fs::write(lab.path("real/Index.db"), [b"RpmX", &[0; 20][..]].concat()).expect("our file");
    let findings = check(&lab.database("real")).expect("it can be read");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "Index.db was made for another generation");
}
