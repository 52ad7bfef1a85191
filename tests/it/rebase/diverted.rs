//! Diversions that overlay, old base and new base have not alike: each file is where a plain root has it on which the
//! same was done.

use std::fs;

use super::bed::{Bed, DPKG};
use crate::kernel::sh;

const PATH: &str = "/usr/lib/foo/file";
const TARGET: &str = "/usr/lib/foo/file.real";
const LOCAL: &str =
    "dpkg-divert --quiet --local --add --rename --divert /usr/lib/foo/file.real /usr/lib/foo/file";
const NO_LOCAL: &str = "dpkg-divert --quiet --local --remove --rename /usr/lib/foo/file";

/// A host with some packages, and among those that can be installed `wrap`, which diverts a file of foo's: 1 and 2 have
/// one of their own instead, 3 does not divert it any more.
fn bed(packages: &[&str]) -> Option<Bed> {
    let bed = Bed::new(&DPKG, &[])?;
    for version in ["1", "2", "3"] {
        let script = r#"mkdir -p "$1/DEBIAN" "$1/usr/lib/foo" "$1/usr/lib/wrap"; cd "$1"; echo "wrap $3" >usr/lib/wrap/file
            add='dpkg-divert --package wrap --add --rename --divert /usr/lib/foo/file.real /usr/lib/foo/file'
            remove='dpkg-divert --package wrap --remove --rename /usr/lib/foo/file'
            if [ "$3" = 3 ]; then echo "$remove" >DEBIAN/postinst
            else
                echo "wrap $3" >usr/lib/foo/file; echo "$add" >DEBIAN/preinst
                echo "[ \$1 != remove ] || $remove" >DEBIAN/postrm
            fi
            sed -i '1i #!/bin/sh\nset -e' DEBIAN/*; chmod 755 DEBIAN/*
            find usr -type f -exec md5sum {} + >DEBIAN/md5sums
            printf 'Package: wrap\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b>\nDescription: a\n' "$3" >DEBIAN/control
            find . -type d -exec chmod 755 {} +; find usr -type f -exec chmod 644 {} +
            find . -exec touch -d "@170000000$3" {} +
            dpkg-deb --root-owner-group --build . "$2" >/dev/null"#;
        let target = bed.host().join(format!("srv/made/wrap_{version}.deb"));
        sh(script, &[&bed.lab.path(format!("wrap-{version}")), &target, version.as_ref()]);
    }
    bed.on_host(&format!("echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/fast; {}", bed.install(packages)));
    Some(bed)
}

/// What is looked at: packages, what is diverted, and files of foo's directory with all that they are.
const LOOK: &str = "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' foo wrap 2>/dev/null; dpkg-divert --list '/usr/lib/foo/*'; \
    cd /usr/lib/foo; for f in *; do echo \"$f $(stat -c '%A %U %Y' $f) $(cat $f)\"; done; dpkg --verify foo wrap 2>/dev/null";

/// What is done on a host with some packages, in the overlay, and on the host.
struct Scene<'a> {
    first: &'a [&'a str],
    ours: &'a str,
    theirs: &'a str,
}

fn install(package: &str) -> String {
    format!("dpkg --force-confold --install /srv/made/{package}.deb >/dev/null")
}

/// Plays it. It has all that a plain root has, on which the same was done, and `expected` at the path and at the target.
fn play(scene: &Scene<'_>, expected: (&str, &str)) {
    play_noted(scene, expected, true);
}

/// The same, with or without what was noted of the old base.
fn play_noted(scene: &Scene<'_>, expected: (&str, &str), is_noted: bool) {
    let (Some(plain), Some(bed)) = (bed(scene.first), bed(scene.first)) else { return };
    plain.on_host(&format!("{}; {}", scene.ours, scene.theirs));
    let plain = look_at(&plain);
    bed.inside(scene.ours);
    bed.on_host(scene.theirs);
    bed.touch();
    if !is_noted {
        fs::remove_dir_all(bed.lab.overlay("a").join("layers/@seen")).expect("it is there");
    }
    let said = bed.follow();
    let story = format!("{} | {}, noted: {is_noted}\n{said}", scene.ours, scene.theirs);
    assert_eq!(bed.inside(&format!("set +e; {LOOK}; true")), plain, "{story}");
    assert_eq!(contents(&bed), (expected.0.to_owned(), expected.1.to_owned()), "{story}");
    assert!(!said.contains("/usr/lib/foo"), "nothing is to be told: {story}");
    assert_sound(&bed);
    bed.touch();
    let said = bed.follow();
    assert_eq!(bed.inside(&format!("set +e; {LOOK}; true")), plain, "once more: {story}\n{said}");
}

/// What a plain root has.
fn look_at(bed: &Bed) -> String {
    sh("chroot \"$1\" sh -c \"$2; true\"", &[bed.host(), LOOK.as_ref()])
}

/// Neither dpkg nor apt has anything to say against what is seen.
fn assert_sound(bed: &Bed) {
    let said = bed.inside("set +e; dpkg --audit; dpkg --verify foo wrap 2>/dev/null; apt-get -qq check 2>&1");
    assert_eq!(said, "", "what dpkg and apt say");
}

/// What is seen at the path and at the target.
fn contents(bed: &Bed) -> (String, String) {
    let read = |path| bed.inside(&format!("cat {path} 2>/dev/null || true")).trim_end().to_owned();
    (read(PATH), read(TARGET))
}

#[test]
fn the_overlay_has_the_package_that_diverts() {
    let (wrap, foo) = (install("wrap_1"), install("foo_3"));
    for ours in [format!("{}; {wrap}", install("foo_2")), wrap] {
        play(&Scene { first: &["foo_1"], ours: &ours, theirs: &foo }, ("wrap 1", "3"));
    }
}

#[test]
fn the_host_has_the_package_that_diverts() {
    let (ours, wrap) = (install("foo_2"), install("wrap_1"));
    play(&Scene { first: &["foo_1"], ours: &ours, theirs: &wrap }, ("wrap 1", "2"));
    let theirs = format!("{wrap}; {}", install("foo_3"));
    play(&Scene { first: &["foo_1"], ours: &ours, theirs: &theirs }, ("wrap 1", "3"));
}

#[test]
fn the_overlay_has_removed_the_package_that_diverts() {
    let Some(plain) = bed(&["foo_1", "wrap_1"]) else { return };
    plain.on_host("dpkg --purge wrap >/dev/null");
    plain.on_host(&install("foo_2"));
    let plain = look_at(&plain);
    for is_noted in [true, false] {
        let Some(bed) = bed(&["foo_1", "wrap_1"]) else { return };
        bed.inside("dpkg --purge wrap >/dev/null");
        bed.on_host(&format!("{}; {}", install("foo_2"), install("wrap_2")));
        if !is_noted {
            fs::remove_dir_all(bed.lab.overlay("a").join("layers/@seen")).expect("it is there");
        }
        let said = bed.follow();
        // Where nobody knows what the old base had, what dpkg moved may be an edit: it is put beside the host's.
        let found = bed.inside(&format!("set +e; rm -f {PATH}.dpkg-old; {LOOK}; true"));
        assert_eq!(found, plain, "noted: {is_noted}\n{said}");
        assert_eq!(said.contains(".dpkg-old"), !is_noted, "{said}");
        assert_eq!(contents(&bed), ("2".to_owned(), String::new()), "{said}");
        assert_sound(&bed);
    }
}

#[test]
fn the_host_diverts_it_no_more() {
    let first = &["foo_1", "wrap_1"];
    let (foo, purge) = (install("foo_2"), "dpkg --purge wrap >/dev/null");
    play(&Scene { first, ours: &foo, theirs: purge }, ("2", ""));
    play(&Scene { first, ours: &foo, theirs: &install("wrap_3") }, ("2", ""));
    let (baz, all) = (install("baz_1"), format!("{purge}; {foo}"));
    play(&Scene { first, ours: &baz, theirs: &all }, ("2", ""));
}

#[test]
fn what_is_diverted_comes_with_the_host() {
    play(&Scene { first: &[], ours: &install("wrap_1"), theirs: &install("foo_2") }, ("wrap 1", "2"));
    let theirs = format!("{}; {}", install("foo_2"), install("wrap_1"));
    play(&Scene { first: &[], ours: &install("foo_1"), theirs: &theirs }, ("wrap 1", "2"));
}

#[test]
fn what_an_administrator_diverts_is_moved() {
    let (foo, another) = (install("foo_2"), install("baz_1"));
    play(&Scene { first: &["foo_1"], ours: LOCAL, theirs: &foo }, ("", "2"));
    play(&Scene { first: &["foo_1"], ours: LOCAL, theirs: &another }, ("", "1"));
    let own = format!("{LOCAL}; echo own >{PATH}; touch -d @1 {PATH}");
    play(&Scene { first: &["foo_1"], ours: &own, theirs: &foo }, ("own", "2"));
    play(&Scene { first: &["foo_1"], ours: &foo, theirs: &own }, ("own", "2"));
    let Some(bed) = bed(&["foo_1"]) else { return };
    bed.on_host(LOCAL);
    bed.inside(&format!("{NO_LOCAL}; test -e {PATH}"));
    bed.on_host(&foo);
    let said = bed.follow();
    assert_eq!(contents(&bed), ("2".to_owned(), String::new()), "{said}");
    assert_sound(&bed);
}

#[test]
fn what_is_diverted_without_being_there_is_not_seen_twice() {
    play(&Scene { first: &[], ours: LOCAL, theirs: &install("foo_2") }, ("", "2"));
}

#[test]
fn what_is_diverted_without_a_renaming_stays() {
    let Some(bed) = bed(&["foo_1"]) else { return };
    bed.inside(&LOCAL.replace("--rename", "--no-rename"));
    bed.on_host(&install("baz_1"));
    let said = bed.follow();
    assert_eq!(contents(&bed), ("1".to_owned(), String::new()), "{said}");
    // As dpkg unpacks it.
    bed.on_host(&install("foo_2"));
    let said = bed.follow();
    assert_eq!(contents(&bed), ("2".to_owned(), "2".to_owned()), "{said}");
    assert_sound(&bed);
}

#[test]
fn diversions_of_an_overlay_are_enough_where_nothing_was_noted() {
    let (wrap, foo) = (install("wrap_1"), install("foo_3"));
    let ours = format!("{}; {wrap}", install("foo_2"));
    play_noted(&Scene { first: &["foo_1"], ours: &ours, theirs: &foo }, ("wrap 1", "3"), false);
    let theirs = format!("{wrap}; {foo}");
    play_noted(
        &Scene { first: &["foo_1"], ours: &install("foo_2"), theirs: &theirs },
        ("wrap 1", "3"),
        false,
    );
    play_noted(&Scene { first: &[], ours: LOCAL, theirs: &foo }, ("", "3"), false);
}

/// What a person edited under a diversion, in the overlay.
#[test]
fn edited_files_move_or_are_put_beside() {
    let first = &["foo_1", "wrap_1"];
    let (edit, edit_real) = (format!("echo mine >{PATH}"), format!("echo mine >{TARGET}"));
    let purge = "dpkg --purge wrap >/dev/null";
    // The overlay's alone is changed; both; and what is there instead, which goes.
    for (packages, ours, theirs, seen, told) in [
        (&first[..], &edit_real, purge.to_owned(), ("mine", ""), ""),
        (first, &edit_real, format!("{purge}; {}", install("foo_2")), ("2", ""), "file.real.dpkg-old=mine"),
        (first, &edit, purge.to_owned(), ("1", ""), "file.dpkg-old=mine"),
        (&first[..1], &edit, install("wrap_1"), ("wrap 1", "mine"), ""),
        (
            &first[..1],
            &edit,
            format!("{}; {}", install("wrap_1"), install("foo_2")),
            ("wrap 1", "2"),
            "file.dpkg-old=mine",
        ),
    ] {
        let Some(bed) = bed(packages) else { return };
        bed.inside(ours);
        bed.on_host(&theirs);
        bed.touch();
        let said = bed.follow();
        let story = format!("{ours} | {theirs}: {said}");
        assert_eq!(contents(&bed), (seen.0.to_owned(), seen.1.to_owned()), "{story}");
        let files = bed.inside("cd /usr/lib/foo; for f in *; do echo \"$f=$(cat $f)\"; done");
        assert!(told.is_empty() || files.lines().any(|line| line == told), "{told} in {files}: {story}");
        assert_eq!(said.contains(".dpkg-old"), !told.is_empty(), "{story}");
        if !told.is_empty() {
            assert_sound(&bed);
        }
    }
}

#[test]
fn only_the_mode_was_changed_in_the_overlay() {
    let Some(bed) = bed(&["foo_1"]) else { return };
    bed.inside(&format!("chmod 600 {PATH}"));
    bed.on_host(&format!("{}; {}", install("wrap_1"), install("foo_2")));
    let said = bed.follow();
    assert_eq!(contents(&bed), ("wrap 1".to_owned(), "2".to_owned()), "{said}");
    assert_eq!(bed.inside(&format!("stat -c %a {PATH} {TARGET}")), "644\n600\n");
    assert_sound(&bed);
}

#[test]
fn a_strangers_file_at_the_target_is_not_lost() {
    let Some(ours) = bed(&["foo_1"]) else { return };
    ours.inside(&format!("echo stranger >{TARGET}"));
    ours.on_host(&install("wrap_1"));
    let said = ours.follow();
    assert_eq!(contents(&ours), ("wrap 1".to_owned(), "1".to_owned()), "{said}");
    assert_eq!(ours.inside(&format!("cat {TARGET}.dpkg-old")), "stranger\n");
    assert!(said.contains(&format!("the overlay's is {TARGET}.dpkg-old")), "{said}");
    assert_sound(&ours);
    let Some(theirs) = bed(&["foo_1"]) else { return };
    theirs.inside(&install("wrap_1"));
    theirs.on_host(&format!("echo stranger >{TARGET}; {}", install("foo_2")));
    let said = theirs.follow();
    assert_eq!(contents(&theirs), ("wrap 1".to_owned(), "2".to_owned()), "{said}");
    assert!(said.contains(&format!("{TARGET}: changed on both sides; the overlay's is kept")), "{said}");
    assert_sound(&theirs);
}

#[test]
fn what_is_in_the_way_is_told() {
    let Some(bed) = bed(&["foo_1"]) else { return };
    bed.inside(&format!("{}; mkdir {TARGET}; echo own >{TARGET}/file", install("foo_2")));
    bed.on_host(&install("wrap_1"));
    let said = bed.follow();
    assert!(said.contains(&format!("{PATH}: belongs at {TARGET} now, by what is diverted")), "{said}");
    assert_eq!(bed.inside(&format!("cat {PATH} {TARGET}/file")), "2\nown\n");
    // As it says.
    bed.inside(&format!("mv {TARGET} /srv/own; {}", install("foo_2")));
    assert_eq!(bed.inside(&format!("cat {TARGET}")), "2\n");
}

#[test]
fn what_was_removed_with_its_directory_stays_removed() {
    let Some(bed) = bed(&["foo_1"]) else { return };
    bed.inside("rm -r /usr/lib/foo");
    bed.on_host(&format!("{LOCAL}; {}", install("baz_1")));
    let said = bed.follow();
    assert_eq!(bed.inside("ls /usr/lib/foo 2>/dev/null || true"), "", "{said}");
}
