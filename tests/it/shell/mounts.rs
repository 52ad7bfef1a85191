//! File systems mounted on the host: each is seen inside, can be written there, and is not changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::kernel::{Lab, Ran, sh, skip};

/// Enters an overlay over `root` and runs a script in which `$1` is a place on the host.
fn at(lab: &Lab, root: &Path, name: &str, script: &str, place: &OsStr) -> Ran {
    lab.onlay(&["shell", "-q", name, "--", "sh", "-c", script]).root(root).environment("PLACE", place).run()
}

const TRY: &str = "cat $PLACE/file && echo inside >$PLACE/file && mkdir $PLACE/new && cat $PLACE/file";

/// Tries a mounted directory of the lab's tree from inside, twice, and looks that it stays as it was.
fn try_directory(lab: &Lab, below: impl AsRef<Path>) {
    let place = lab.tree.join(&below);
    let inside = Path::new("/").join(&below).into_os_string();
    let quoted = TRY.replace("$PLACE", "\"$PLACE\"");
    let ran = at(lab, &lab.tree, "a", &quoted, &inside);
    assert_eq!(ran.ok(), "host\ninside\n", "{}", ran.story());
    assert!(!ran.stderr.contains("inside:"), "{}", ran.stderr);
    assert_eq!(
        at(lab, &lab.tree, "a", "cat \"$PLACE/file\"; ls -d \"$PLACE/new\" >/dev/null", &inside).ok(),
        "inside\n"
    );
    assert_eq!(fs::read_to_string(place.join("file")).expect("there"), "host\n");
    assert!(!place.join("new").exists());
}

#[test]
fn file_systems_of_each_kind() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    lab.mount_tmpfs("size=1m", &lab.tree.join("srv/ram"));
    lab.mount_image("ext4", 8, &lab.tree.join("srv/ext4"));
    let mut places = vec!["srv/ram", "srv/ext4"];
    if Path::new("/usr/sbin/mkfs.btrfs").exists() {
        lab.mount_image("btrfs", 128, &lab.tree.join("srv/btrfs"));
        places.push("srv/btrfs");
    } else {
        skip("mkfs.btrfs is missing");
    }
    for place in places {
        fs::write(lab.tree.join(place).join("file"), "host\n").expect("a file");
        try_directory(&lab, place);
    }
}

#[test]
fn bind_mounts_and_mounts_in_mounts() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    fs::create_dir_all(lab.path("elsewhere/deep")).expect("a directory");
    for name in ["elsewhere/file", "elsewhere/deep/file"] {
        fs::write(lab.path(name), "host\n").expect("a file");
    }
    fs::create_dir(lab.tree.join("srv/bound")).expect("a mount point");
    sh("mount --bind \"$1\" \"$2\"", &[&lab.path("elsewhere"), &lab.tree.join("srv/bound")]);
    // A mount below the bind mount is not below what it shows.
    lab.mount_tmpfs("size=1m", &lab.tree.join("srv/bound/deep"));
    fs::write(lab.tree.join("srv/bound/deep/file"), "host\n").expect("a file");
    try_directory(&lab, "srv/bound/deep");
    try_directory(&lab, "srv/bound");
}

#[test]
fn names_of_any_bytes() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    for name in
        ["with space", "tab\tline\nend", "back\\slash", "ends-in-dash-", "colon:comma,", "#sharp", "ünï"]
    {
        lab.mount_tmpfs("size=1m", &lab.tree.join("srv").join(name));
        fs::write(lab.tree.join("srv").join(name).join("file"), "host\n").expect("a file");
        try_directory(&lab, Path::new("srv").join(name));
    }
}

#[test]
fn a_name_that_is_no_text() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let place = Path::new("srv").join(OsStr::from_bytes(b"no\xfftext"));
    lab.mount_tmpfs("size=1m", &lab.tree.join(&place));
    fs::write(lab.tree.join(&place).join("file"), "host\n").expect("a file");
    try_directory(&lab, &place);
}

#[test]
fn a_name_too_long_for_a_layer_is_read_only_inside() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let below = format!("srv/{}/{}", "x-".repeat(50), "y-".repeat(50));
    lab.mount_tmpfs("size=1m", &lab.tree.join(&below));
    fs::write(lab.tree.join(&below).join("file"), "host\n").expect("a file");
    let ran = lab.shell("a", &format!("cat /{below}/file; touch /{below}/x 2>/dev/null || echo refused"));
    assert_eq!(ran.ok(), "host\nrefused\n");
}

#[test]
fn a_read_only_mount_can_be_written_inside() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let place = lab.tree.join("srv/ro");
    lab.mount_tmpfs("size=1m", &place);
    fs::write(place.join("file"), "host\n").expect("a file");
    sh("mount -o remount,bind,ro \"$1\"", &[&place]);
    try_directory(&lab, "srv/ro");
    assert!(fs::write(place.join("x"), "").is_err(), "still read-only outside");
    let other = lab.tree.join("srv/sealed");
    lab.mount_tmpfs("size=1m", &other);
    fs::write(other.join("file"), "host\n").expect("a file");
    sh("mount -o remount,ro \"$1\"", &[&other]);
    try_directory(&lab, "srv/sealed");
}

#[test]
fn a_file_that_was_mounted_is_seen_and_not_changed() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    fs::write(lab.path("other"), "mounted\n").expect("a file");
    sh("mount --bind \"$1\" \"$2\"", &[&lab.path("other"), &lab.tree.join("etc/file")]);
    let ran = lab.shell("a", "cat /etc/file; (echo x >/etc/file) 2>/dev/null || echo refused");
    assert_eq!(ran.ok(), "mounted\nrefused\n");
    assert_eq!(fs::read_to_string(lab.path("other")).expect("there"), "mounted\n");
}

#[test]
fn only_the_topmost_of_stacked_mounts_is_seen() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let place = lab.tree.join("srv/stack");
    for text in ["lowest\n", "middle\n", "host\n"] {
        lab.mount_tmpfs("size=1m", &place);
        fs::write(place.join("file"), text).expect("a file");
    }
    lab.mount_tmpfs("size=1m", &place.join("deep"));
    fs::write(place.join("deep/file"), "host\n").expect("a file");
    try_directory(&lab, "srv/stack");
    try_directory(&lab, "srv/stack/deep");
}

#[test]
fn a_mount_that_another_hides_is_not_seen() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let (above, below) = (lab.tree.join("srv"), lab.tree.join("srv/x/y"));
    lab.mount_tmpfs("size=1m", &below);
    fs::write(below.join("file"), "hidden\n").expect("a file");
    lab.mount_tmpfs("size=1m", &above);
    fs::write(above.join("file"), "host\n").expect("a file");
    try_directory(&lab, "srv");
    assert_eq!(lab.shell("a", "ls /srv").ok(), "file\nnew\n");
}

#[test]
fn mounts_of_the_running_host() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let places: Vec<PathBuf> = ["disk", "two words"].iter().map(|name| lab.path(name)).collect();
    lab.mount_image("ext4", 8, &places[0]);
    lab.mount_tmpfs("size=1m", &places[1]);
    for place in &places {
        fs::write(place.join("file"), "host\n").expect("a file");
        let ran = at(&lab, Path::new("/"), "a", &TRY.replace("$PLACE", "\"$PLACE\""), place.as_os_str());
        assert_eq!(ran.ok(), "host\ninside\n", "{}", ran.story());
        assert_eq!(fs::read_to_string(place.join("file")).expect("there"), "host\n");
    }
}

#[test]
fn flags_of_a_mount_are_kept() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    lab.mount_tmpfs("size=1m,noexec,nosuid,nodev", &lab.tree.join("srv/flags"));
    let script = "sed -n 's/.* \\/srv\\/flags \\([^ ]*\\) .*/\\1/p' /proc/self/mountinfo";
    let flags = lab.shell("a", script).ok();
    for flag in ["rw", "nosuid", "nodev", "noexec"] {
        assert!(flags.split([',', '\n']).any(|found| found == flag), "{flag}: {flags}");
    }
    let ran = lab.shell("a", "cp /bin/busybox /srv/flags/true; /srv/flags/true");
    assert_eq!(ran.code(), Some(126), "{}", ran.story());
}

#[test]
fn a_mount_whose_place_was_removed_inside_is_not_shown() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    fs::create_dir(lab.tree.join("srv/x")).expect("a directory");
    lab.shell("a", "rmdir /srv/x").ok();
    lab.mount_tmpfs("size=1m", &lab.tree.join("srv/x"));
    let ran = lab.shell("a", "true");
    ran.ok();
    let ran = lab.onlay(&["shell", "a", "--", "ls", "/srv"]).run();
    assert_eq!(ran.ok(), "");
    let words = "/srv/x is not shown inside: the overlay has nothing there\n";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn what_is_mounted_later_on_the_host_is_not_in_the_way() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let inside = lab.stay(&["a"]);
    lab.mount_tmpfs("size=1m", &lab.tree.join("srv"));
    let joined = lab.onlay(&["shell", "-q", "a", "--", "ls", "/srv"]).run();
    assert_eq!(joined.ok(), "");
    inside.finish().ok();
}

#[test]
fn a_file_system_that_folds_case_is_read_only_inside() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\tvfat\n")) {
        // Not a failure anywhere: few kernels of test machines have it.
        return;
    }
    let place = lab.tree.join("srv/boot");
    lab.mount_image("vfat", 64, &place);
    fs::write(place.join("file"), "host\n").expect("a file");
    let ran = lab
        .onlay(&["shell", "a", "--", "sh", "-c", "cat /srv/boot/file; touch /srv/boot/x || echo refused"])
        .run();
    assert_eq!(ran.ok(), "host\nrefused\n");
    assert!(ran.stderr.contains("/srv/boot is read-only inside"), "{}", ran.stderr);
}

#[test]
fn a_file_system_that_is_unmounted_since_changes_nothing() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let place = lab.tree.join("srv/ram");
    lab.mount_tmpfs("size=1m,mode=711", &place);
    lab.shell("a", "echo x >/srv/ram/mine").ok();
    sh("umount \"$1\"", &[&place]);
    let changes = |lab: &Lab| lab.onlay(&["diff", "a", "--json"]).run().json();
    assert_eq!(changes(&lab).as_array().expect("rows").len(), 1, "{}", changes(&lab));
    assert_eq!(changes(&lab)[0]["path"], "/srv/ram/mine");
    fs::remove_dir(&place).expect("it was a mount point");
    assert_eq!(changes(&lab)[0]["path"], "/srv/ram/mine");
}

/// What somebody has mounted in an overlay's layers is not the overlay's, and survives its removal.
#[test]
fn nothing_mounted_is_removed_with_an_overlay() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "mkdir /srv/place; echo 1 >/srv/file").ok();
    let (elsewhere, place) = (lab.path("elsewhere"), lab.overlay("a").join("layers/@root/upper/srv/place"));
    fs::create_dir(&elsewhere).expect("ours");
    fs::write(elsewhere.join("file"), "kept").expect("ours");
    sh("mount --bind \"$1\" \"$2\"", &[&elsewhere, &place]);
    let removed = lab.onlay(&["rm", "a"]).run();
    assert_ne!(removed.code(), Some(0), "{}", removed.stderr);
    assert_eq!(fs::read_to_string(elsewhere.join("file")).expect("it is there"), "kept");
    // What is cleared is moved about.
    sh(
        "awk -v state=\"$1/\" 'index($5, state) == 1 { print $5 }' /proc/self/mountinfo | xargs umount",
        &[&lab.state],
    );
}
