//! Packages that host and overlay change, each by the real package manager, and what the overlay has when it follows:
//! dpkg, rpm with SQLite, and rpm with SUSE's format go through the same scenes.

use std::fs;

use super::bed::{Bed, DPKG, Kind, NDB, RPM};

fn foo(version: &str) -> String {
    format!(
        "/etc/foo.conf={version} /usr/lib/foo/file={version} /usr/lib/foo/only-{version}={version} \
         /usr/share/foo-{version}/file={version}"
    )
}

/// What is done on one side.
enum Do<'a> {
    Install(&'a [&'a str]),
    Remove(&'a str),
    /// Removes, and installs again.
    Again(&'a str, &'a str),
}

impl Do<'_> {
    fn script(&self, bed: &Bed) -> String {
        match self {
            Do::Install(packages) => bed.install(packages),
            Do::Remove(package) => format!("{} {package} >/dev/null", bed.kind.remove),
            Do::Again(name, package) => {
                format!("{} {name} >/dev/null; {}", bed.kind.remove, bed.install(&[package]))
            }
        }
    }
}

/// What was on the host at first, what the overlay did, what the host did, and what is seen then.
struct Scene<'a> {
    first: &'a [&'a str],
    ours: Do<'a>,
    theirs: Do<'a>,
    seen: String,
}

fn play(kind: &'static Kind, scene: &Scene<'_>) {
    for is_noted in [true, false] {
        let Some(bed) = Bed::new(kind, scene.first) else { return };
        // The clock of rpm's installation times has seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let (ours, theirs) = (scene.ours.script(&bed), scene.theirs.script(&bed));
        bed.inside(&ours);
        bed.on_host(&theirs);
        if !is_noted {
            // As after a power cut in the middle of the first session.
            fs::remove_dir_all(bed.lab.overlay("a").join("layers/@seen")).expect("it is there");
        }
        let said = bed.follow();
        let mut expected: Vec<&str> = scene.seen.split_whitespace().collect();
        expected.sort_unstable();
        let expected = expected.join(" ");
        assert_eq!(bed.seen(), expected, "{ours} | {theirs}, noted: {is_noted}\n{said}");
        bed.assert_sound();
        // It follows once more, from what was noted then.
        bed.touch();
        let said = bed.follow();
        assert_eq!(bed.seen(), expected, "{ours} | {theirs}, the second time\n{said}");
        bed.assert_sound();
    }
}

/// All scenes, for one package system.
macro_rules! scenes {
    ($kind:ident, $name:ident) => {
        mod $name {
            use super::*;

            #[test]
            fn each_side_has_its_own_package() {
                let seen = format!("{} /usr/lib/baz/file=1 baz=1 foo=2", foo("2"));
                play(
                    &$kind,
                    &Scene {
                        first: &["foo_1"],
                        ours: Do::Install(&["baz_1"]),
                        theirs: Do::Install(&["foo_2"]),
                        seen,
                    },
                );
            }

            #[test]
            fn the_newer_of_two_versions_is_there() {
                let seen = format!("{} foo=3", foo("3"));
                let (two, three) = (&["foo_2"], &["foo_3"]);
                play(
                    &$kind,
                    &Scene {
                        first: &["foo_1"],
                        ours: Do::Install(two),
                        theirs: Do::Install(three),
                        seen: seen.clone(),
                    },
                );
                play(
                    &$kind,
                    &Scene { first: &["foo_1"], ours: Do::Install(three), theirs: Do::Install(two), seen },
                );
            }

            #[test]
            fn what_both_have_is_the_hosts() {
                let seen = format!("{} /usr/lib/bar/file=2 bar=2 foo=2", foo("2"));
                let ours = Do::Install(&["foo_2", "bar_2"]);
                play(&$kind, &Scene { first: &["foo_1"], ours, theirs: Do::Install(&["foo_2"]), seen });
            }

            #[test]
            fn what_was_removed_in_the_overlay_stays_removed() {
                let seen = "/usr/lib/baz/file=1 baz=1".to_owned();
                let first = &["foo_1", "baz_1"];
                play(
                    &$kind,
                    &Scene { first, ours: Do::Remove("foo"), theirs: Do::Install(&["foo_2"]), seen },
                );
            }

            #[test]
            fn what_the_host_removed_goes_unless_the_overlay_changed_it() {
                let (gone, kept) = ("/usr/lib/baz/file=1 baz=1".to_owned(), format!("{} foo=2", foo("2")));
                let remove = || Do::Remove("foo");
                play(
                    &$kind,
                    &Scene { first: &["foo_1"], ours: Do::Install(&["baz_1"]), theirs: remove(), seen: gone },
                );
                play(
                    &$kind,
                    &Scene { first: &["foo_1"], ours: Do::Install(&["foo_2"]), theirs: remove(), seen: kept },
                );
            }

            #[test]
            fn a_package_that_was_installed_again_is_whole() {
                let again = || Do::Again("foo", "foo_1");
                let new = format!("{} foo=2", foo("2"));
                let same = format!("{} /usr/lib/baz/file=1 baz=1 foo=1", foo("1"));
                play(
                    &$kind,
                    &Scene { first: &["foo_1"], ours: again(), theirs: Do::Install(&["foo_2"]), seen: new },
                );
                play(
                    &$kind,
                    &Scene { first: &["foo_1"], ours: again(), theirs: Do::Install(&["baz_1"]), seen: same },
                );
            }

            #[test]
            fn edited_files_are_not_lost() {
                edits(&$kind);
            }

            #[test]
            fn what_is_needed_and_gone_is_told() {
                let Some(bed) = Bed::new(&$kind, &["foo_1"]) else { return };
                bed.inside(&bed.install(&["bar_1"]));
                bed.on_host(&format!("{} foo", bed.kind.remove));
                let said = bed.follow();
                assert!(said.contains(" needs foo "), "{said}");
                assert_eq!(bed.seen(), "/usr/lib/bar/file=1 bar=1");
            }

            #[test]
            fn another_choice_can_be_made() {
                chooses(&$kind);
            }
        }
    };
}

scenes!(DPKG, dpkg);
scenes!(RPM, rpm);
scenes!(NDB, ndb);

fn edits(kind: &'static Kind) {
    let Some(bed) = Bed::new(kind, &["foo_1"]) else { return };
    let another = bed.install(&["baz_1"]);
    bed.inside(&format!("{another}; echo mine >/etc/foo.conf; echo mine >/usr/lib/foo/file"));
    bed.on_host(&bed.install(&["foo_2"]));
    let said = bed.follow();
    assert!(said.contains("/etc/foo.conf: changed on both sides; the overlay's is kept"), "{said}");
    assert!(said.contains("/usr/lib/foo/file: changed on both sides; the host's is taken"), "{said}");
    let seen = bed.seen();
    let Kind { saved, offered, .. } = kind;
    for part in [
        "/etc/foo.conf=mine".to_owned(),
        format!("/etc/foo.conf{offered}=2"),
        "/usr/lib/foo/file=2".to_owned(),
        format!("/usr/lib/foo/file{saved}=mine"),
    ] {
        assert!(seen.split(' ').any(|word| word == part), "{part} in {seen}");
    }
    bed.assert_sound();
}

fn chooses(kind: &'static Kind) {
    let Some(bed) = Bed::new(kind, &["foo_1"]) else { return };
    bed.inside(&bed.install(&["foo_2"]));
    bed.on_host(&bed.install(&["foo_3"]));
    let rebase = |options: &[&str]| {
        let ran = bed.lab.onlay(&[&["rebase", "a"], options].concat()).root(bed.host()).run();
        ran.ok();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    // What nobody has is refused before anything is changed, and so is what makes no sense.
    for (option, words) in [
        (&["--ours=nosuch"][..], "neither the overlay nor the base has a package 'nosuch'"),
        (&["--ours=foo,"], "take names of packages, or nothing"),
        (&["--ours=foo", "--theirs=foo"], "names a package that --theirs names, too"),
    ] {
        let ran = bed.lab.onlay(&[&["rebase", "a"], option].concat()).root(bed.host()).run();
        ran.failed(2, &[words]);
    }
    let listed = bed.lab.onlay(&["list"]).root(bed.host()).run();
    assert!(listed.ok().contains(", which has changed"), "{}", listed.story());
    let differs = || bed.lab.onlay(&["diff", "a", "--packages"]).root(bed.host()).run();
    assert!(differs().stderr.contains("is listed the wrong way round until"), "{}", differs().story());
    let shown = rebase(&["--dry-run"]);
    assert!(shown.contains("foo") && shown.contains("--ours=foo"), "{shown}");
    rebase(&["--ours=foo"]);
    assert_eq!(bed.seen(), format!("{} foo=2", foo("2")));
    bed.assert_sound();
    let listed = bed.lab.onlay(&["list"]).root(bed.host()).run();
    assert!(!listed.ok().contains("which has changed"), "{}", listed.story());
    assert!(!differs().stderr.contains("the wrong way round"), "{}", differs().story());
    // What was chosen is the overlay's own from now on, until the other is asked for.
    bed.touch();
    rebase(&["--theirs"]);
    assert_eq!(bed.seen(), format!("{} foo=2", foo("2")), "only what both changed is chosen");
    bed.touch();
    rebase(&["--theirs=foo"]);
    assert_eq!(bed.seen(), format!("{} foo=3", foo("3")));
    bed.assert_sound();
}

/// A package of the overlay that took a file's place from one of the host's has it also when that is updated, and rpm
/// knows whose it is.
fn replaces(kind: &'static Kind) {
    let Some(bed) = Bed::new(kind, &["foo_1"]) else { return };
    bed.make("top", "9", "", &["usr/lib/foo/file", "usr/lib/foo/top"]);
    bed.inside(&format!("{} --replacefiles /srv/made/top_9.rpm", kind.install));
    bed.on_host(&bed.install(&["foo_2"]));
    let said = bed.follow();
    let seen = bed.seen();
    assert!(seen.contains("/usr/lib/foo/file=9") && seen.contains("/usr/lib/foo/only-2=2"), "{seen}\n{said}");
    // rpm's word for it, both times; nothing else is amiss.
    let states = bed.inside("rpm --query --state foo | grep lib/foo/file; rpm --verify --nodeps foo top");
    let (path, same) = ("/usr/lib/foo/file", ".........");
    assert_eq!(states.split_whitespace().collect::<Vec<_>>(), ["replaced", path, same, path, "(replaced)"]);
    // The host's has it again when nothing of the overlay's is in its place.
    bed.touch();
    let ran = bed.lab.onlay(&["rebase", "a", "--theirs=top"]).root(bed.host()).run();
    ran.ok();
    assert!(bed.seen().contains("/usr/lib/foo/file=2"), "{}", bed.seen());
    bed.assert_sound();
}

#[test]
fn replaced_files_are_known_with_sqlite() {
    replaces(&RPM);
}

#[test]
fn replaced_files_are_known_with_ndb() {
    replaces(&NDB);
}
