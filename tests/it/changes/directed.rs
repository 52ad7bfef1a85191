//! One test for each rule of reading an upper, and for uppers that somebody made by hand.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use onlay::overlay::changes::{Change, measure};
use onlay::sys::Root;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use tempfile::TempDir;

use super::mounted::{Overlay, scratch_or_skip};
use super::tree::{odd_name, read_tree, verify};
use super::{changes_of, lines, read};

const PLAIN: &str = "index=off,redirect_dir=off,metacopy=off";
const REDIRECT: &str = "index=off,redirect_dir=on,metacopy=off";
const METACOPY: &str = "index=off,redirect_dir=on,metacopy=on";

/// Furnishes a lower, does something in the overlay, and wants these lines; and that they are the truth.
#[track_caller]
fn expect(options: &str, furnish: impl FnOnce(&Path), work: impl FnOnce(&Path), expected: &[&str]) {
    let Some(scratch) = scratch_or_skip() else { return };
    let mut overlay = Overlay::new(scratch.path(), options).expect("directories can be made");
    furnish(&overlay.lower);
    overlay.mount().expect("it mounts");
    work(&overlay.merged);
    let changes = checked(&overlay);
    assert_eq!(lines(&changes), expected);
}

/// Furnishes a lower and an upper by hand, mounts them, and wants these lines and that they are the truth.
#[track_caller]
fn expect_of_upper(options: &str, furnish: impl FnOnce(&Path, &Path), expected: &[&str]) {
    let Some((_scratch, mut overlay)) = by_hand(options, furnish) else { return };
    overlay.mount().expect("it mounts");
    assert_eq!(lines(&checked(&overlay)), expected);
}

fn by_hand(options: &str, furnish: impl FnOnce(&Path, &Path)) -> Option<(TempDir, Overlay)> {
    let scratch = scratch_or_skip()?;
    let overlay = Overlay::new(scratch.path(), options).expect("directories can be made");
    furnish(&overlay.lower, &overlay.upper);
    Some((scratch, overlay))
}

#[track_caller]
fn checked(overlay: &Overlay) -> Vec<Change> {
    let changes = changes_of(overlay);
    let truth = verify(&read_tree(&overlay.lower), &read_tree(&overlay.merged), &changes);
    if let Err(complaint) = truth {
        panic!("{complaint}\n{:#?}", lines(&changes));
    }
    changes
}

/// Writes files, and the directories that they need, all with one old time.
fn files(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file lies somewhere")).expect("a directory is made");
        fs::write(&path, content).expect("a file is written");
        set_modified(&path, 1_000_000_000);
    }
}

fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::open(path).expect("a file opens");
    file.set_times(FileTimes::new().set_modified(time)).expect("a time is set");
}

fn dir(path: &Path) {
    fs::create_dir_all(path).expect("a directory is made");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode is set");
}

fn append(path: &Path) {
    let mut file = OpenOptions::new().append(true).open(path).expect("a file opens");
    file.write_all(b"more").expect("it is written");
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).expect("an attribute is set");
}

fn rename(root: &Path, from: &str, to: &str) {
    fs::rename(root.join(from), root.join(to)).expect("it can be renamed");
}

fn whiteout(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).expect("a whiteout is made");
}

fn redirected(path: &Path, to: &str) {
    dir(path);
    set_xattr(path, "trusted.overlay.redirect", to.as_bytes());
}

/// A file with no data of its own, and the metadata that `files` gives.
fn metacopy(path: &Path, length: u64, redirect: Option<&str>) {
    File::create(path).and_then(|file| file.set_len(length)).expect("a file is made");
    set_xattr(path, "trusted.overlay.metacopy", b"");
    if let Some(to) = redirect {
        set_xattr(path, "trusted.overlay.redirect", to.as_bytes());
    }
    set_modified(path, 1_000_000_000);
}

#[test]
fn an_untouched_overlay_has_no_changes() {
    expect(PLAIN, |lower| files(lower, &[("a/b", "1")]), |_| {}, &[]);
}

#[test]
fn what_was_only_copied_up_has_not_changed() {
    let furnish = |lower: &Path| {
        files(lower, &[("opened", "1"), ("linked", "2"), ("d/back", "3"), ("empty", "")]);
        symlink("somewhere", lower.join("link")).expect("a link is made");
    };
    let work = |merged: &Path| {
        for name in ["opened", "empty"] {
            OpenOptions::new().read(true).write(true).open(merged.join(name)).expect("it opens");
        }
        fs::hard_link(merged.join("linked"), merged.join("second")).expect("it is linked");
        set_mode(&merged.join("d/back"), 0o600);
        set_mode(&merged.join("d/back"), 0o644);
        lchown(merged.join("link"), Some(1), None).expect("an owner is set");
        lchown(merged.join("link"), Some(0), None).expect("an owner is set");
    };
    expect(PLAIN, furnish, work, &["added second 1"]);
}

#[test]
fn each_kind_of_change_has_its_name() {
    let furnish = |lower: &Path| {
        let names = ["content", "mode", "owner", "time", "attribute", "gone", "same-size-and-time"];
        files(lower, &names.map(|name| (name, "old")));
        symlink("old", lower.join("link")).expect("a link is made");
        dir(&lower.join("dir"));
    };
    let work = |merged: &Path| {
        append(&merged.join("content"));
        set_mode(&merged.join("mode"), 0o4755);
        lchown(merged.join("owner"), Some(3), Some(4)).expect("an owner is set");
        set_modified(&merged.join("time"), 1_000_000_001);
        set_xattr(&merged.join("attribute"), "user.x", b"1");
        fs::write(merged.join("same-size-and-time"), "new").expect("it is written");
        set_modified(&merged.join("same-size-and-time"), 1_000_000_000);
        fs::remove_file(merged.join("gone")).expect("it is removed");
        fs::write(merged.join("new"), "content").expect("it is written");
        fs::remove_file(merged.join("link")).expect("it is removed");
        symlink("new", merged.join("link")).expect("a link is made");
        set_xattr(&merged.join("dir"), "user.x", b"1");
        set_mode(merged, 0o700);
        fs::write(merged.join(odd_name()), "1").expect("it is written");
    };
    let expected = [
        "metadata ",
        "metadata attribute",
        "changed content 7",
        "metadata dir",
        "removed gone 3",
        "changed link",
        "metadata mode",
        "added new 7",
        "added odd\u{fffd}:\\ \n 1",
        "metadata owner",
        "changed same-size-and-time 3",
        "metadata time",
    ];
    expect(PLAIN, furnish, work, &expected);
}

#[test]
fn paths_begin_with_the_mount_point() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("old/a", "1")]);
        files(upper, &[("lib/b", "22")]);
        whiteout(&upper.join("old"));
        set_mode(upper, 0o700);
    };
    let Some((_scratch, overlay)) = by_hand(PLAIN, furnish) else { return };
    let expected =
        ["metadata var", "added var/lib", "added var/lib/b 2", "removed var/old", "removed var/old/a 1"];
    assert_eq!(lines(&read(&overlay, "/var", false)), expected);
}

#[test]
fn a_device_is_told_by_its_number_and_a_socket_is_a_file() {
    let node = |path: &Path, minor| {
        let device = rustix::fs::makedev(1, minor);
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, device)
            .expect("a node is made");
    };
    let furnish = |lower: &Path| node(&lower.join("null"), 3);
    let work = |merged: &Path| {
        fs::remove_file(merged.join("null")).expect("it is removed");
        node(&merged.join("null"), 5);
        rustix::fs::mknodat(CWD, merged.join("socket"), FileType::Socket, Mode::RUSR, 0)
            .expect("a node is made");
    };
    expect(PLAIN, furnish, work, &["changed null", "added socket"]);
}

#[test]
fn a_whiteout_of_nothing_is_nothing() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("d/real", "1")]);
        dir(&upper.join("d"));
        dir(&upper.join("new"));
        for path in ["nothing", "d/nothing", "d/real", "new/nothing"] {
            whiteout(&upper.join(path));
        }
    };
    expect_of_upper(PLAIN, furnish, &["removed d/real 1", "added new"]);
}

#[test]
fn a_whiteout_by_attribute_needs_its_parents_word() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("with/gone", "1"), ("with/full", "1"), ("without/there", "1")]);
        files(upper, &[("with/gone", ""), ("with/full", "x"), ("without/there", "")]);
        set_xattr(&upper.join("with"), "trusted.overlay.opaque", b"x");
        for path in ["with/gone", "with/full", "without/there"] {
            set_xattr(&upper.join(path), "trusted.overlay.whiteout", b"y");
        }
    };
    // The kernel shows such names when it lists an upper, but does not find them: nothing to compare with.
    let Some((_scratch, overlay)) = by_hand(PLAIN, furnish) else { return };
    let expected = ["changed with/full 1", "removed with/gone 1", "changed without/there"];
    assert_eq!(lines(&changes_of(&overlay)), expected);
}

#[test]
fn an_opaque_directory_hides_what_it_does_not_make_again() {
    let furnish = |lower: &Path| {
        files(
            lower,
            &[
                ("d/kept", "1"),
                ("d/gone", "22"),
                ("d/sub/kept", "1"),
                ("d/sub/gone", "333"),
                ("d/tree/x", "1"),
            ],
        );
    };
    let work = |merged: &Path| {
        fs::remove_dir_all(merged.join("d")).expect("it is removed");
        files(merged, &[("d/kept", "1"), ("d/sub/kept", "2"), ("d/new", "1")]);
        set_mode(&merged.join("d"), 0o700);
    };
    let expected = [
        "metadata d",
        "removed d/gone 2",
        "added d/new 1",
        "removed d/sub/gone 3",
        "changed d/sub/kept 1",
        "removed d/tree",
        "removed d/tree/x 1",
    ];
    expect(PLAIN, furnish, work, &expected);
}

#[test]
fn an_opaque_root_is_not() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("a", "1")]);
        set_xattr(upper, "trusted.overlay.opaque", b"y");
        set_xattr(upper, "trusted.overlay.redirect", b"/a");
    };
    expect_of_upper(PLAIN, furnish, &[]);
}

#[test]
fn a_file_in_place_of_a_directory_and_the_reverse() {
    let furnish = |lower: &Path| files(lower, &[("dir/sub/a", "1"), ("file", "1"), ("link-to-dir/x", "1")]);
    let work = |merged: &Path| {
        for name in ["dir", "link-to-dir"] {
            fs::remove_dir_all(merged.join(name)).expect("it is removed");
        }
        fs::write(merged.join("dir"), "22").expect("it is written");
        symlink("dir", merged.join("link-to-dir")).expect("a link is made");
        fs::remove_file(merged.join("file")).expect("it is removed");
        files(merged, &[("file/new", "4444")]);
    };
    let expected = [
        "changed dir 2",
        "removed dir/sub",
        "removed dir/sub/a 1",
        "changed file",
        "added file/new 4",
        "changed link-to-dir",
        "removed link-to-dir/x 1",
    ];
    expect(PLAIN, furnish, work, &expected);
}

#[test]
fn escaped_attributes_belong_to_the_file() {
    let furnish = |lower: &Path| files(lower, &[("d/f", "1")]);
    let work = |merged: &Path| {
        set_xattr(&merged.join("d"), "trusted.overlay.opaque", b"y");
        set_xattr(&merged.join("d/f"), "trusted.overlay.metacopy", b"");
        set_xattr(&merged.join("d/f"), "user.overlay.redirect", b"/etc");
    };
    expect(PLAIN, furnish, work, &["metadata d", "metadata d/f"]);
}

#[test]
fn an_overlay_with_userxattr_keeps_its_notes_elsewhere() {
    let Some(scratch) = scratch_or_skip() else { return };
    let mut overlay = Overlay::new(scratch.path(), "userxattr").expect("directories can be made");
    files(&overlay.lower, &[("d/a", "1"), ("e/a", "1")]);
    overlay.mount().expect("it mounts");
    fs::remove_dir_all(overlay.merged.join("d")).expect("it is removed");
    dir(&overlay.merged.join("d"));
    set_xattr(&overlay.merged.join("e"), "trusted.overlay.opaque", b"y");
    assert_eq!(lines(&read(&overlay, "/", true)), ["removed d/a 1", "metadata e"]);
    // Read as what it is not, it says something else.
    assert_ne!(lines(&read(&overlay, "/", false)), ["removed d/a 1", "metadata e"]);
}

#[test]
fn a_lower_is_what_its_user_sees() {
    let furnish = |lower: &Path, upper: &Path| {
        dir(&lower.join("d"));
        whiteout(&lower.join("d/device"));
        set_xattr(&lower.join("d"), "trusted.overlay.opaque", b"y");
        dir(&upper.join("d"));
        set_xattr(&upper.join("d"), "trusted.overlay.overlay.opaque", b"y");
        whiteout(&upper.join("d/device"));
    };
    let Some((_scratch, overlay)) = by_hand(PLAIN, furnish) else { return };
    assert_eq!(lines(&changes_of(&overlay)), ["removed d/device"]);
}

#[test]
fn a_link_in_the_lower_is_no_directory() {
    let furnish = |lower: &Path, upper: &Path| {
        symlink("/etc", lower.join("absolute")).expect("a link is made");
        symlink("../../../../../../etc", lower.join("relative")).expect("a link is made");
        files(upper, &[("absolute/passwd", "1"), ("relative/passwd", "1")]);
    };
    let expected =
        ["changed absolute", "added absolute/passwd 1", "changed relative", "added relative/passwd 1"];
    expect_of_upper(PLAIN, furnish, &expected);
}

#[test]
fn a_renamed_file_is_found_by_its_origin() {
    let furnish = |lower: &Path| {
        files(
            lower,
            &[("moved", "1"), ("d/deep", "22"), ("touched", "333"), ("written", "4444"), ("over", "5")],
        );
        files(lower, &[("victim", "66"), ("other", "777"), ("same-size", "88888888")]);
        symlink("x", lower.join("link")).expect("a link is made");
    };
    let work = |merged: &Path| {
        rename(merged, "moved", "at-once");
        rename(merged, "d/deep", "deeper");
        rename(merged, "touched", "metadata-too");
        set_mode(&merged.join("metadata-too"), 0o600);
        rename(merged, "written", "content-too");
        append(&merged.join("content-too"));
        rename(merged, "same-size", "same-size-too");
        files(merged, &[("same-size-too", "99999999")]);
        rename(merged, "link", "d/link");
        rename(merged, "over", "victim");
        fs::hard_link(merged.join("other"), merged.join("p")).expect("it is linked");
        fs::hard_link(merged.join("other"), merged.join("q")).expect("it is linked");
        fs::remove_file(merged.join("other")).expect("it is removed");
    };
    let expected = [
        "renamed at-once from moved",
        "added content-too 8",
        "renamed d/link from link",
        "renamed deeper from d/deep",
        "renamed metadata-too from touched",
        "metadata metadata-too",
        "removed over 1",
        "renamed p from other",
        "added q 3",
        "removed same-size 8",
        "added same-size-too 8",
        "changed victim 1",
        "removed written 4",
    ];
    expect(PLAIN, furnish, work, &expected);
}

#[test]
fn an_origin_that_is_no_handle_is_no_origin() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("gone", "1")]);
        whiteout(&upper.join("gone"));
        for (index, origin) in
            [&b""[..], b"\0", b"\0\xfb\xff\0\x01", &[0xfb; 64], &[0; 3000]].iter().enumerate()
        {
            let name = format!("new{index}");
            files(upper, &[(&name, "1")]);
            set_xattr(&upper.join(name), "trusted.overlay.origin", origin);
        }
    };
    let expected =
        ["removed gone 1", "added new0 1", "added new1 1", "added new2 1", "added new3 1", "added new4 1"];
    let Some((_scratch, overlay)) = by_hand(PLAIN, furnish) else { return };
    assert_eq!(lines(&changes_of(&overlay)), expected);
}

#[test]
fn a_renamed_directory_is_one_line_and_what_differs_in_it() {
    let furnish = |lower: &Path| {
        files(
            lower,
            &[("a/same", "1"), ("a/sub/changed", "1"), ("a/gone", "22"), ("a/out/x", "1"), ("b/y", "1")],
        );
        dir(&lower.join("target"));
    };
    let work = |merged: &Path| {
        rename(merged, "a", "new");
        append(&merged.join("new/sub/changed"));
        fs::remove_file(merged.join("new/gone")).expect("it is removed");
        rename(merged, "new/out", "out");
        set_mode(&merged.join("out"), 0o700);
        files(merged, &[("new/fresh", "1")]);
        rename(merged, "b", "target");
    };
    let expected = [
        "removed a/gone 2",
        "renamed new from a",
        "added new/fresh 1",
        "changed new/sub/changed 5",
        "renamed out from a/out",
        "metadata out",
        "removed target",
        "renamed target from b",
    ];
    expect(REDIRECT, furnish, work, &expected);
}

#[test]
fn a_directory_that_was_away_is_back() {
    let furnish = |lower: &Path| files(lower, &[("d/a", "1"), ("p/d/a", "1"), ("p/e", "1")]);
    let work = |merged: &Path| {
        rename(merged, "d", "away");
        rename(merged, "away", "d");
        rename(merged, "p/d", "away");
        fs::remove_dir_all(merged.join("p")).expect("it is removed");
        dir(&merged.join("p"));
        rename(merged, "away", "p/d");
    };
    expect(REDIRECT, furnish, work, &["removed p/e 1"]);
}

#[test]
fn a_directory_made_where_one_was_moved_away_is_new() {
    let furnish =
        |lower: &Path| files(lower, &[("d/a", "1"), ("d/sub/b", "1"), ("one/a", "1"), ("other/b", "1")]);
    let work = |merged: &Path| {
        rename(merged, "d", "moved");
        files(merged, &[("d/a", "1"), ("d/sub/c", "1")]);
        // Back at its place, but no longer in its directory.
        rename(merged, "moved/sub", "aside");
        fs::remove_dir_all(merged.join("d/sub")).expect("it is removed");
        rename(merged, "aside", "d/sub");
        rename(merged, "one", "swap");
        rename(merged, "other", "one");
        rename(merged, "swap", "other");
    };
    let expected = [
        "added d",
        "added d/a 1",
        "renamed d/sub from d/sub",
        "renamed moved from d",
        "removed one",
        "renamed one from other",
        "removed other",
        "renamed other from one",
    ];
    // A directory that only changed places is not removed.
    let expected: Vec<&str> = expected.into_iter().filter(|line| !line.starts_with("removed")).collect();
    expect(REDIRECT, furnish, work, &expected);
}

#[test]
fn metadata_alone_was_copied_up() {
    let furnish = |lower: &Path| {
        files(
            lower,
            &[("mode", "content"), ("moved", "content"), ("both", "content"), ("linked", "content")],
        );
        files(
            lower,
            &[("victim", "content"), ("over", "content"), ("victim2", "CONTENT"), ("over2", "content")],
        );
    };
    let work = |merged: &Path| {
        set_mode(&merged.join("mode"), 0o600);
        rename(merged, "moved", "new");
        rename(merged, "both", "new-both");
        set_mode(&merged.join("new-both"), 0o600);
        fs::hard_link(merged.join("linked"), merged.join("second")).expect("it is linked");
        rename(merged, "over", "victim");
        rename(merged, "over2", "victim2");
    };
    let expected = [
        "metadata mode",
        "renamed new from moved",
        "renamed new-both from both",
        "metadata new-both",
        "removed over 7",
        "removed over2 7",
        "added second 7",
        "changed victim2 7",
    ];
    expect(METACOPY, furnish, work, &expected);
}

#[test]
fn a_metacopy_without_data_is_changed() {
    let furnish = |lower: &Path, upper: &Path| {
        files(
            lower,
            &[
                ("nowhere", "1"),
                ("outside", "1"),
                ("to-dir", "1"),
                ("to-link", "1"),
                ("d/x", "1"),
                ("over-dir/x", "1"),
            ],
        );
        symlink("/etc/passwd", lower.join("link")).expect("a link is made");
        symlink("/", lower.join("root")).expect("a link is made");
        metacopy(&upper.join("nowhere"), 1, Some("/nothing/here"));
        metacopy(&upper.join("outside"), 1, Some("/../../etc/passwd"));
        metacopy(&upper.join("to-dir"), 1, Some("d"));
        metacopy(&upper.join("to-link"), 1, Some("/root/etc/passwd"));
        metacopy(&upper.join("over-dir"), 1, None);
        metacopy(&upper.join("new"), 1 << 40, None);
        dir(&upper.join("opaque"));
        set_xattr(&upper.join("opaque"), "trusted.overlay.opaque", b"y");
        metacopy(&upper.join("opaque/new"), 1, Some("sibling"));
    };
    let expected = [
        "added new 1099511627776",
        "changed nowhere 1",
        "added opaque",
        "added opaque/new 1",
        "changed outside 1",
        "changed over-dir 1",
        "removed over-dir/x 1",
        "changed to-dir 1",
        "changed to-link 1",
    ];
    let Some((_scratch, overlay)) = by_hand(METACOPY, furnish) else { return };
    assert_eq!(lines(&changes_of(&overlay)), expected);
}

#[test]
fn a_redirect_counts_only_with_what_it_belongs_to() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("f", "1"), ("other", "2"), ("d/a", "1"), ("e/b", "1")]);
        files(upper, &[("f", "1")]);
        set_xattr(&upper.join("f"), "trusted.overlay.redirect", b"/other");
        redirected(&upper.join("d"), "/e");
        set_xattr(&upper.join("d"), "trusted.overlay.opaque", b"y");
    };
    expect_of_upper(REDIRECT, furnish, &["removed d/a 1"]);
}

#[test]
fn a_redirect_that_leads_nowhere_hides_what_is_below() {
    let long = format!("/{}", "a/".repeat(1500) + "a");
    let long_name = "n".repeat(300);
    let targets = [
        "/../../etc",
        "..",
        "/",
        "",
        "//",
        "/d/",
        "/link/etc",
        "/file",
        "/nothing",
        "file/x",
        "/./d",
        &long,
        &long_name,
    ];
    for target in targets {
        let furnish = |lower: &Path, upper: &Path| {
            files(lower, &[("d/a", "1"), ("file", "1")]);
            symlink("/", lower.join("link")).expect("a link is made");
            redirected(&upper.join("d"), target);
            redirected(&upper.join("new"), target);
            files(upper, &[("d/b", "1"), ("new/b", "1")]);
        };
        let Some((_scratch, overlay)) = by_hand(REDIRECT, furnish) else { return };
        let expected = ["removed d/a 1", "added d/b 1", "added new", "added new/b 1"];
        assert_eq!(lines(&changes_of(&overlay)), expected, "{target}");
    }
}

#[test]
fn a_redirect_to_what_is_not_to_be_had_leads_nowhere() {
    let furnish = |lower: &Path, upper: &Path| {
        files(
            lower,
            &[("d/a", "1"), ("d/sub/b", "22"), ("gone/x", "1"), ("gone/sub/y", "1"), ("mine/z", "1")],
        );
        redirected(&upper.join("copy"), "/d");
        files(upper, &[("copy/sub/c", "1")]);
        whiteout(&upper.join("gone"));
        redirected(&upper.join("first"), "/gone");
        redirected(&upper.join("second"), "/gone");
        redirected(&upper.join("second/inner"), "sub");
        redirected(&upper.join("mine"), "d");
    };
    // The kernel shows one of several, and refuses the others: nothing to compare with.
    let Some((_scratch, overlay)) = by_hand(REDIRECT, furnish) else { return };
    let expected = [
        "added copy",
        "added copy/sub",
        "added copy/sub/c 1",
        "renamed first from gone",
        "removed mine/z 1",
        "added second",
        "added second/inner",
    ];
    assert_eq!(lines(&changes_of(&overlay)), expected);
}

#[test]
fn redirects_in_a_circle_end() {
    let furnish = |lower: &Path, upper: &Path| {
        files(lower, &[("a/b/c/f", "1"), ("x/f", "1"), ("y/f", "1"), ("self/f", "1")]);
        redirected(&upper.join("a/b"), "/a");
        redirected(&upper.join("a/b/b"), "/a/b");
        redirected(&upper.join("x"), "/y");
        redirected(&upper.join("y"), "/x");
        redirected(&upper.join("self"), "self");
    };
    let Some((_scratch, overlay)) = by_hand(REDIRECT, furnish) else { return };
    let expected =
        ["added a/b/b", "removed a/b/c", "removed a/b/c/f 1", "renamed x from y", "renamed y from x"];
    assert_eq!(lines(&changes_of(&overlay)), expected);
}

/// What the list cannot know: an overlay with an index shows a change under every name that the file
/// had, but its upper mentions only the name that was used.
#[test]
fn index_shows_more_than_the_upper_says() {
    let Some(scratch) = scratch_or_skip() else { return };
    let mut overlay = Overlay::new(scratch.path(), "index=on").expect("directories can be made");
    files(&overlay.lower, &[("one", "1")]);
    fs::hard_link(overlay.lower.join("one"), overlay.lower.join("other")).expect("it is linked");
    overlay.mount().expect("it mounts");
    append(&overlay.merged.join("one"));
    assert_eq!(fs::read(overlay.merged.join("other")).expect("it can be read"), b"1more");
    assert_eq!(lines(&changes_of(&overlay)), ["changed one 5"]);
}

#[test]
fn measuring_counts_names_and_blocks() {
    let furnish = |_: &Path, upper: &Path| {
        files(upper, &[("d/a", &"x".repeat(8192)), ("d/sub/b", "")]);
        fs::hard_link(upper.join("d/a"), upper.join("again")).expect("it is linked");
        whiteout(&upper.join("gone"));
        File::create(upper.join("sparse")).and_then(|file| file.set_len(1 << 40)).expect("a file is made");
    };
    let Some((_scratch, overlay)) = by_hand(PLAIN, furnish) else { return };
    let measure = measure(&Root::open(&overlay.upper).expect("it opens")).expect("it can be measured");
    assert_eq!(measure.entries, 7);
    assert!((8192..64 * 1024).contains(&measure.bytes), "{measure:?}");
}
