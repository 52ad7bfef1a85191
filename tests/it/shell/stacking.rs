//! Bases that are overlays themselves: the kernel lets two lie on each other, not three.

use std::fs;
use std::path::Path;

use crate::kernel::{Lab, make_dir, sh};

/// Mounts an overlay over a tree of the lab's and gives each layer a file of its own.
fn lay_over(lab: &Lab, lower: &Path, name: &str) {
    let (upper, work, at) =
        (lab.path(format!("{name}.up")), lab.path(format!("{name}.work")), lab.path(name));
    for directory in [&upper, &work, &at] {
        make_dir(directory, 0o755);
    }
    let script = "mount -t overlay lab -o \"lowerdir=$1,upperdir=$2,workdir=$3\" \"$4\"";
    sh(script, &[lower, &upper, &work, &at]);
    fs::write(at.join("etc").join(name), format!("{name}\n")).expect("a file");
    fs::write(at.join("etc/file"), format!("of {name}\n")).expect("a file");
}

#[test]
fn a_base_that_is_an_overlay() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    lay_over(&lab, &lab.tree, "one");
    let base = lab.path("one");
    let run =
        |script: &str| lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).root(&base).run().ok();
    assert_eq!(run("cat /etc/one /etc/file; echo inside >/etc/file; rm /etc/one"), "one\nof one\n");
    assert_eq!(run("cat /etc/file; ls /etc/one 2>/dev/null || echo gone"), "inside\ngone\n");
    assert_eq!(fs::read_to_string(base.join("etc/file")).expect("there"), "of one\n");
    assert_eq!(fs::read_to_string(base.join("etc/one")).expect("there"), "one\n");
}

#[test]
fn a_base_that_is_an_overlay_upon_an_overlay_gives_its_layers() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    lay_over(&lab, &lab.tree, "one");
    lay_over(&lab, &lab.path("one"), "two");
    let base = lab.path("two");
    let ran = |script: &str| lab.onlay(&["shell", "a", "--", "sh", "-c", script]).root(&base).run();
    let script =
        "cat /etc/one /etc/two /etc/file /etc/os-release; echo inside >/etc/file; rm /etc/one /etc/two";
    assert_eq!(ran(script).ok(), "one\ntwo\nof two\nID=tiny\n");
    assert_eq!(ran("cat /etc/file; ls -d /etc/[a-q]*").ok(), "inside\n/etc/file\n/etc/os-release\n");
    assert_eq!(fs::read_to_string(base.join("etc/file")).expect("there"), "of two\n");
    assert_eq!(sh("cat \"$1\"/etc/one \"$1\"/etc/two", &[&base]), "one\ntwo\n");
    assert_eq!(fs::read_to_string(lab.path("one/etc/file")).expect("there"), "of one\n");
}

#[test]
fn a_directory_of_a_deep_base() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    // The root of the view is not where the overlay is mounted, but below it.
    let top = lab.path("top");
    make_dir(&top, 0o755);
    crate::kernel::make_tree(&top.join("tree"));
    make_dir(&top.join("etc"), 0o755);
    lay_over(&lab, &top, "one");
    lay_over(&lab, &lab.path("one"), "two");
    let base = lab.path("two/tree");
    fs::write(base.join("etc/deep"), "deep\n").expect("a file");
    let ran = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", "cat /etc/deep /etc/file; rm /etc/deep"]);
    assert_eq!(ran.root(&base).run().ok(), "deep\nold\n");
    assert!(base.join("etc/deep").exists());
}

#[test]
fn a_mounted_part_that_is_a_deep_overlay() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let usr = lab.path("usr");
    make_dir(&usr.join("etc"), 0o755);
    lay_over(&lab, &usr, "one");
    lay_over(&lab, &lab.path("one"), "two");
    sh("mount --bind \"$1\" \"$2\"", &[&lab.path("two"), &lab.tree.join("usr")]);
    let ran = lab.shell("a", "cat /usr/etc/one /usr/etc/two && rm /usr/etc/one && ls /usr/etc");
    assert_eq!(ran.ok(), "one\ntwo\nfile\ntwo\n", "{}", ran.story());
    assert!(lab.tree.join("usr/etc/one").exists());
}
