//! Files that belong to no package: three contents decide.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::kernel::Lab;

/// Makes the lab's tree another base.
fn update(lab: &Lab, version: u32, change: impl FnOnce(&Path)) {
    fs::write(lab.tree.join("etc/os-release"), format!("ID=tiny\nIMAGE_VERSION={version}\n")).expect("ours");
    change(&lab.tree);
}

fn write(tree: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("ours");
        fs::write(path, text).expect("ours");
    }
}

/// What `cat` shows of each file inside, a line each.
fn inside(lab: &Lab, name: &str, files: &[&str]) -> Vec<String> {
    let script = format!("for f in {}; do cat \"$f\" 2>/dev/null || echo -; done", files.join(" "));
    lab.shell(name, &script).text().lines().map(str::to_owned).collect()
}

#[test]
fn each_file_follows_the_side_that_changed_it() {
    let Some(lab) = Lab::open() else { return };
    let files = ["copied", "mine", "theirs", "same", "both", "mode", "gone", "new"];
    write(&lab.tree.join("srv"), &files[..7].iter().map(|name| (*name, "1\n")).collect::<Vec<_>>());
    update(&lab, 1, |_| {});
    lab.shell(
        "a",
        "cd /srv; for f in copied theirs; do : >>$f; done; echo o >mine; echo 2 >same; echo o >both
         chmod 700 mode; : >>gone; echo o >new; rm theirs; echo 1 >theirs; touch -r copied theirs",
    )
    .ok();
    update(&lab, 2, |tree| {
        write(
            &tree.join("srv"),
            &[("copied", "2\n"), ("theirs", "2\n"), ("same", "2\n"), ("both", "2\n"), ("mode", "2\n")],
        );
        fs::remove_file(tree.join("srv/gone")).expect("ours");
    });
    let names: Vec<String> = files.iter().map(|name| format!("/srv/{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ran = lab.onlay(&["shell", "a", "--", "true"]).run();
    ran.ok();
    assert!(ran.stderr.contains("the base has changed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("/srv/both: changed on both sides; the overlay's is kept"), "{}", ran.stderr);
    assert_eq!(inside(&lab, "a", &names), ["2", "o", "2", "2", "o", "2", "-", "o"]);
    assert_eq!(lab.shell("a", "stat -c %a /srv/mode").text(), "700\n");
    let upper = lab.overlay("a").join("layers/@root/upper/srv");
    for (name, is_kept) in
        [("copied", false), ("mine", true), ("same", false), ("mode", true), ("gone", false)]
    {
        assert_eq!(upper.join(name).exists(), is_kept, "{name}");
    }
    // Nothing is left to do, and nothing is told twice.
    let ran = lab.onlay(&["shell", "a", "--", "true"]).run();
    ran.ok();
    assert!(!ran.stderr.contains("changed"), "{}", ran.stderr);
    assert!(!lab.overlay("a").join("layers.new").exists());
}

/// What is changed on one side and deleted or made something else on the other is told, too.
#[test]
fn what_goes_against_each_other_is_told() {
    let Some(lab) = Lab::open() else { return };
    let srv = lab.tree.join("srv");
    write(
        &srv,
        &[("gone", "1\n"), ("same", "1\n"), ("dir/file", "1\n"), ("untouched/file", "1\n"), ("file", "1\n")],
    );
    write(&srv, &[("away", "1\n"), ("left", "1\n")]);
    update(&lab, 1, |_| {});
    lab.shell(
        "a",
        "cd /srv; rm away left; echo o >gone; : >>same; echo o >dir/file; : >>untouched/file
         rm file; mkdir file; echo o >file/own; echo o >way",
    )
    .ok();
    update(&lab, 2, |_| {
        for name in ["gone", "same", "file"] {
            fs::remove_file(srv.join(name)).expect("ours");
        }
        for name in ["dir", "untouched"] {
            fs::remove_dir_all(srv.join(name)).expect("ours");
            fs::write(srv.join(name), "2\n").expect("ours");
        }
        write(&srv, &[("away", "2\n"), ("file", "2\n"), ("way/new", "2\n")]);
    });
    let ran = lab.onlay(&["rebase", "a", "--json"]).run();
    let told: serde_json::Value = serde_json::from_str(&ran.text()).expect("JSON");
    let mut findings: Vec<(&str, &str)> = told["findings"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| (row["kind"].as_str().expect("a word"), row["path"].as_str().expect("a path")))
        .collect();
    findings.sort_unstable();
    let expected = [
        ("kept-alone", "/srv/dir/file"),
        ("kept-alone", "/srv/gone"),
        ("kept-away", "/srv/away"),
        ("kept-over", "/srv/dir"),
        ("kept-over", "/srv/file"),
        ("kept-over", "/srv/way"),
    ];
    assert_eq!(findings, expected);
    let files = [
        "/srv/away",
        "/srv/gone",
        "/srv/same",
        "/srv/dir/file",
        "/srv/untouched",
        "/srv/file/own",
        "/srv/way",
    ];
    assert_eq!(inside(&lab, "a", &files), ["-", "o", "-", "o", "2", "o", "o"]);
    let again = lab.onlay(&["rebase", "a", "--json"]).run();
    let told: serde_json::Value = serde_json::from_str(&again.text()).expect("JSON");
    assert_eq!((&told["changed"], &told["findings"]), (&false.into(), &serde_json::json!([])));
}

/// A file that was renamed in the overlay, and one that is seen again under its old name, are two.
#[test]
fn a_renamed_file_is_not_the_one_that_it_was() {
    let Some(lab) = Lab::open() else { return };
    write(&lab.tree.join("srv"), &[("file", "1\n")]);
    update(&lab, 1, |_| {});
    lab.shell("a", "mv /srv/file /srv/moved; echo 1 >/srv/file; touch -r /srv/moved /srv/file").ok();
    // The same inode as before.
    update(&lab, 2, |tree| write(&tree.join("srv"), &[("file", "2\n")]));
    assert_eq!(inside(&lab, "a", &["/srv/file", "/srv/moved"]), ["2", "1"]);
    assert_eq!(inside(&lab, "a", &["/srv/moved", "/srv/file"]), ["1", "2"]);
    lab.shell("a", "rm /srv/file /srv/moved").ok();
}

#[test]
fn what_was_removed_stays_removed() {
    let Some(lab) = Lab::open() else { return };
    write(&lab.tree.join("srv"), &[("file", "1\n"), ("dir/file", "1\n"), ("both", "1\n")]);
    update(&lab, 1, |_| {});
    lab.shell("a", "rm -r /srv/file /srv/dir /srv/both").ok();
    update(&lab, 2, |tree| {
        write(&tree.join("srv"), &[("file", "2\n"), ("dir/file", "2\n")]);
        fs::remove_file(tree.join("srv/both")).expect("ours");
    });
    assert_eq!(inside(&lab, "a", &["/srv/file", "/srv/dir/file", "/srv/both"]), ["-", "-", "-"]);
    // The whiteout of what is not there any more is gone: should it come back, it is new.
    update(&lab, 3, |tree| write(&tree.join("srv"), &[("both", "3\n")]));
    assert_eq!(inside(&lab, "a", &["/srv/file", "/srv/dir/file", "/srv/both"]), ["-", "-", "3"]);
}

#[test]
fn directories_follow_in_mode_and_go_with_the_last_file() {
    let Some(lab) = Lab::open() else { return };
    write(&lab.tree.join("srv"), &[("dir/file", "1\n"), ("own/file", "1\n"), ("gone/file", "1\n")]);
    update(&lab, 1, |_| {});
    lab.shell("a", "cd /srv; echo o >dir/new; : >>gone/file; echo o >own/new; chmod 711 own").ok();
    update(&lab, 2, |tree| {
        for name in ["dir", "own"] {
            fs::set_permissions(tree.join("srv").join(name), fs::Permissions::from_mode(0o750))
                .expect("ours");
        }
        fs::remove_dir_all(tree.join("srv/gone")).expect("ours");
    });
    let seen = lab.shell("a", "cd /srv; stat -c '%n %a' *; ls dir own").text();
    assert_eq!(seen, "dir 750\nown 711\ndir:\nfile\nnew\n\nown:\nfile\nnew\n");
}

#[test]
fn users_of_both_sides_are_there() {
    let Some(lab) = Lab::open() else { return };
    let root = "root:x:0:0::/root:/bin/sh\n";
    write(&lab.tree.join("etc"), &[("passwd", root), ("group", "root:x:0:\nadm:x:4:\n")]);
    update(&lab, 1, |_| {});
    lab.shell("a", "echo mine:x:990:990::: >>/etc/passwd; sed -i 's/^adm:.*/&mine/' /etc/group").ok();
    update(&lab, 2, |tree| {
        let passwd = format!("{root}host:x:991:991:::\n");
        write(&tree.join("etc"), &[("passwd", passwd.as_str()), ("group", "root:x:0:\nadm:x:4:host\n")]);
    });
    let seen = lab.shell("a", "cat /etc/passwd /etc/group").text();
    assert_eq!(seen, format!("{root}mine:x:990:990:::\nhost:x:991:991:::\nroot:x:0:\nadm:x:4:host,mine\n"));
}

#[test]
fn following_can_be_refused() {
    let Some(lab) = Lab::open() else { return };
    write(&lab.tree.join("srv"), &[("file", "1\n")]);
    update(&lab, 1, |_| {});
    lab.shell("a", ": >>/srv/file").ok();
    update(&lab, 2, |tree| write(&tree.join("srv"), &[("file", "2\n")]));
    let shown = |words: &[&str]| lab.onlay(&[words, &["--", "cat", "/srv/file"]].concat()).run().text();
    let plan = lab.onlay(&["shell", "--dry-run", "a"]).run().ok();
    assert!(
        plan.contains(", which has changed\n  the overlay would follow it: 1 name would change\n"),
        "{plan}"
    );
    assert_eq!(shown(&["shell", "-q", "a", "--no-rebase"]), "1\n");
    assert_eq!(shown(&["shell", "-q", "a"]), "2\n", "the base that it knows is still the old one");
}

#[test]
fn caches_are_made_anew_inside() {
    let Some(lab) = Lab::open() else { return };
    let ldconfig = "#!/bin/sh\ncat /etc/libraries /srv/mine >/etc/ld.so.cache; echo noise\n";
    write(&lab.tree, &[("etc/libraries", "1\n"), ("etc/ld.so.cache", "1\n"), ("bin/ldconfig", ldconfig)]);
    fs::set_permissions(lab.tree.join("bin/ldconfig"), fs::Permissions::from_mode(0o755)).expect("ours");
    update(&lab, 1, |_| {});
    lab.shell("a", "echo mine >/srv/mine; ldconfig").ok();
    update(&lab, 2, |tree| write(tree, &[("etc/libraries", "2\n"), ("etc/ld.so.cache", "2\n")]));
    for options in [&["shell", "-q", "a"][..], &["shell", "-q", "--isolate", "a"]] {
        let ran = lab.onlay(&[options, &["--", "cat", "/etc/ld.so.cache"]].concat()).run();
        assert_eq!(ran.text(), "2\nmine\n", "{options:?}");
    }
    // Once is enough.
    lab.shell("a", "echo x >/etc/ld.so.cache").ok();
    assert_eq!(inside(&lab, "a", &["/etc/ld.so.cache"]), ["x"]);
}
