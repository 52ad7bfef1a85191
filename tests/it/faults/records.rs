//! A damaged state directory: each overlay that cannot be used says why and can be removed, and the
//! others are not bothered.

use std::fs;
use std::os::unix::fs::symlink;

use crate::kernel::{Lab, Ran, make_dir};

fn state_of(lab: &Lab, name: &str) -> String {
    let rows = lab.onlay(&["list", "--json"]).run().json();
    let row = rows.as_array().expect("rows").iter().find(|row| row["name"] == name).expect("it is listed");
    row["state"].as_str().expect("a state").to_owned()
}

#[test]
fn a_record_that_makes_no_sense_is_told_and_kept() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo x >/etc/x").ok();
    lab.shell("good", "true").ok();
    let record = lab.overlay("a").join("overlay.toml");
    let text = fs::read(&record).expect("a record");
    let too_long = vec![b'#'; 70_000];
    let cases: &[(&[u8], &str)] = &[
        (b"", "overlay.toml is empty"),
        (b" \n", "overlay.toml is empty"),
        (b"\xff\xfe", "overlay.toml is not text"),
        (&[0; 100], "overlay.toml:"),
        (b"garbage", "overlay.toml:"),
        (b"format = \"1\"\n", "overlay.toml:"),
        (b"format = -1\n", "overlay.toml:"),
        (b"format = 1\ncreated = 5\n", "overlay.toml:"),
        (&too_long, "File too large"),
        (b"format = 99\nnew = [1, 2]\n", "has format 99; this onlay reads up to 1"),
    ];
    for (content, words) in cases {
        fs::write(&record, content).expect("a file");
        for command in [&["shell", "a", "--", "true"][..], &["diff", "a"]] {
            lab.onlay(command).run().failed(1, &[words]);
        }
        assert_eq!(state_of(&lab, "a"), "damaged", "{words}");
        assert_eq!(state_of(&lab, "good"), "idle");
        assert_eq!(fs::read(&record).expect("untouched"), *content);
    }
    fs::write(&record, &text).expect("a file");
    assert_eq!(lab.shell("a", "cat /etc/x").ok(), "x\n", "its files were untouched");
}

#[test]
fn a_record_cut_at_any_length_is_refused_or_whole_enough() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo x >/etc/x").ok();
    let record = lab.overlay("a").join("overlay.toml");
    let text = fs::read(&record).expect("a record");
    let mut refused = 0;
    for length in 0..text.len() {
        fs::write(&record, &text[..length]).expect("a file");
        let ran = lab.shell("a", "cat /etc/x");
        if ran.code() == Some(0) {
            assert_eq!(ran.text(), "x\n");
        } else {
            ran.failed(1, &["overlay 'a' is damaged", "hint: its files are untouched"]);
            refused += 1;
        }
    }
    assert!(refused > text.len() / 2, "{refused} of {}", text.len());
    fs::write(&record, b"").expect("a file");
    lab.onlay(&["rm", "a"]).run().ok();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn a_record_that_is_missing_or_no_file() {
    let Some(lab) = Lab::open() else { return };
    let refused = |ran: Ran, words: &str| {
        ran.failed(1, &[words]);
        assert_eq!(state_of(&lab, "a"), "damaged");
        lab.onlay(&["rm", "a"]).run().ok();
        lab.shell("a", "true").ok();
    };
    let record = lab.overlay("a").join("overlay.toml");
    let enter = || lab.onlay(&["shell", "a", "--", "true"]).run();
    enter().ok();
    fs::remove_file(&record).expect("a record");
    refused(enter(), "overlay 'a' is damaged: overlay.toml is missing");
    fs::remove_file(&record).expect("a record");
    fs::create_dir(&record).expect("a directory");
    refused(enter(), "Is a directory");
    fs::remove_file(&record).expect("a record");
    symlink("/etc/passwd", &record).expect("a link");
    refused(enter(), "overlay.toml is missing");
    fs::remove_file(&record).expect("a record");
    crate::kernel::sh("mkfifo \"$1\"", &[&record]);
    refused(enter(), "is damaged");
}

#[test]
fn strays_are_no_overlays_and_in_nobodys_way() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo x >/etc/x").ok();
    let all = lab.state.join("overlays");
    fs::write(all.join("file"), "").expect("a file");
    fs::write(all.join("no name!"), "").expect("a file");
    symlink(lab.overlay("a"), all.join("link")).expect("a link");
    make_dir(&all.join("empty"), 0o700);
    make_dir(&all.join(".new-b/layers"), 0o700);
    make_dir(&all.join(".removed-c/layers/@root/upper/etc"), 0o700);
    for name in ["empty", "file", "link"] {
        assert_eq!(state_of(&lab, name), "damaged", "{name}");
        assert_eq!(lab.shell(name, "true").code(), Some(1), "{name}");
    }
    assert_eq!(lab.shell("a", "cat /etc/x").ok(), "x\n");
    lab.shell("b", "true").ok();
    lab.onlay(&["rm", "file", "link", "empty", "b"]).run().ok();
    assert_eq!(lab.kept(), [".lock", "a", "no name!"], "what was left aside is cleared");
    assert_eq!(lab.shell("a", "cat /etc/x").ok(), "x\n", "the link's target is as it was");
}

#[test]
fn layers_that_are_missing_are_made_again() {
    let Some(lab) = Lab::open() else { return };
    let layers = lab.overlay("a").join("layers");
    for gone in ["", "@root", "@root/upper", "@root/work/work"] {
        lab.shell("a", "echo x >/etc/x").ok();
        fs::remove_dir_all(layers.join(gone)).expect("it was made");
        lab.shell("a", "cat /etc/file").ok();
    }
    make_dir(&layers.join("@root/upper.new"), 0o700);
    fs::remove_dir_all(layers.join("@root/upper")).expect("it was made");
    assert_eq!(lab.shell("a", "cat /etc/file; stat -c %a /").ok(), "old\n755\n", "a cut between the two");
    fs::remove_dir_all(layers.join("@root/work")).expect("it was made");
    let ran = lab.onlay(&["shell", "a", "--", "true"]).run();
    assert!(ran.code() == Some(0) || ran.stderr.contains("work"), "{}", ran.story());
}
