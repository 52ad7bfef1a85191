//! What of an upper goes into a commit, and how: against what ostree says of it, and against what an upper cannot have.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use onlay::layer::ostree::{Checksum, Commit, Composition, Error, ObjectKind, Unfit, Value, Why, Written};
use onlay::sys::{FileKind, Root};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::bed::{Bed, ostree_or_skip};
use crate::changes::tree::odd_name;
use crate::kernel::{kernel_or_skip, output};

/// A base of some directories with files, committed, and an upper for it.
struct Scene {
    dir: tempfile::TempDir,
    bed: Bed,
    base: Checksum,
    upper: PathBuf,
}

impl Scene {
    fn new() -> Option<Scene> {
        if !kernel_or_skip() || !ostree_or_skip() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let tree = dir.path().join("tree");
        for place in 0..20 {
            let place = tree.join(format!("usr/lib/part{place}"));
            fs::create_dir_all(&place).expect("it can be made");
            for file in 0..20 {
                fs::write(place.join(file.to_string()), format!("{} {file}", place.display()))
                    .expect("there is room");
            }
        }
        let bed = Bed::new(dir.path());
        let base = bed.commit("base", &tree);
        let upper = dir.path().join("upper");
        fs::create_dir(&upper).expect("it can be made");
        let upper_parts = ["", "usr", "usr/lib"].map(|part| upper.join(part));
        upper_parts[1..].iter().for_each(|part| fs::create_dir(part).expect("it can be made"));
        Some(Scene { dir, bed, base, upper })
    }

    fn upper(&self, path: &str) -> PathBuf {
        self.upper.join(path)
    }

    /// What is written of the upper that was not there.
    fn written(&self, branch: &str) -> Written {
        let repository = self.bed.repository();
        let base = repository.commit(self.base).expect("the base is there");
        let upper = Root::open(&self.upper).expect("the upper opens");
        let mut transaction = repository.begin().expect("nobody else writes");
        let composition = Composition { base: base.root, upper: &upper, without: &[] };
        let root = transaction.compose(&composition).expect("it can be committed");
        let commit = Commit::upon((self.base, &base), root, "subject", 1_700_000_000, []);
        let commit = transaction.write_commit(commit, branch).expect("there is room");
        let written = transaction.written();
        transaction.finish(branch, commit).expect("there is room");
        self.bed.check();
        written
    }

    fn compose(&self, without: &[PathBuf]) -> Result<(), Error> {
        let repository = self.bed.repository();
        let upper = Root::open(&self.upper)?;
        let base = repository.commit(self.base)?.root;
        let composition = Composition { base, upper: &upper, without };
        repository.begin()?.compose(&composition).map(drop)
    }
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).expect("root may set it");
}

#[test]
fn a_change_costs_what_it_touches() {
    let Some(scene) = Scene::new() else { return };
    let part = scene.upper("usr/lib/part3");
    fs::create_dir(&part).expect("it can be made");
    fs::write(part.join("new"), "new").expect("there is room");
    // The file, the directories on the way, the commit.
    assert_eq!(scene.written("one").objects, 1 + 4 + 1);
    assert_eq!(scene.written("two").objects, 1, "only a commit for another ref");
    assert_eq!(scene.bed.ostree(&["cat", "one", "/usr/lib/part3/new"]), "new");
    // Nothing is left of what an upper has copied up without need.
    fs::remove_file(part.join("new")).expect("it is there");
    fs::write(part.join("7"), fs::read(scene.dir.path().join("tree/usr/lib/part3/7")).expect("it is there"))
        .expect("there is room");
    let (_, root) = scene.bed.layer(scene.base, &scene.upper, "same");
    assert_eq!(root, scene.bed.root_of(scene.base));
}

#[test]
fn all_that_a_file_is_is_kept() {
    let Some(scene) = Scene::new() else { return };
    let lib = scene.upper("usr/lib");
    let program = lib.join("program");
    fs::write(&program, "program").expect("there is room");
    std::os::unix::fs::chown(&program, Some(3), Some(70_000)).expect("root may");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).expect("root may");
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&program, "security.capability", &capability);
    set_xattr(&program, "security.selinux", b"system_u:object_r:bin_t:s0\0");
    set_xattr(&program, "trusted.overlay.origin", b"a note");
    set_xattr(&program, "trusted.overlay.overlay.own", b"no note");
    fs::hard_link(&program, lib.join("other-name")).expect("it can be linked");
    symlink("program", lib.join("link")).expect("it can be linked");
    let sparse = File::create(lib.join("sparse")).expect("there is room");
    sparse.set_len(64 << 20).expect("a hole");
    (&sparse).write_all(b"begin").expect("there is room");
    // Two names and two files are three files in ostree's words, but two objects and a link.
    assert_eq!(scene.written("layer").objects, 3 + 3 + 1);
    let checkout = scene.dir.path().join("checkout");
    scene.bed.ostree(&["checkout", "--require-hardlinks", "layer", &checkout.to_string_lossy()]);
    let seen = checkout.join("usr/lib/program").symlink_metadata().expect("it is there");
    assert_eq!((seen.uid(), seen.gid(), seen.mode(), seen.mtime()), (3, 70_000, 0o106_755, 0));
    assert_eq!(
        checkout.join("usr/lib/other-name").symlink_metadata().expect("it is there").ino(),
        seen.ino()
    );
    let attributes =
        output("getfattr", &["-d", "-m-", "-e", "hex", &checkout.join("usr/lib/program").to_string_lossy()]);
    let names: Vec<&str> = attributes.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, ["security.capability", "security.selinux", "trusted.overlay.own"]);
    assert_eq!(fs::read_link(checkout.join("usr/lib/link")).expect("a link"), Path::new("program"));
    let sparse = checkout.join("usr/lib/sparse").symlink_metadata().expect("it is there");
    assert!(sparse.len() == 64 << 20 && sparse.blocks() * 512 < 1 << 20, "{} blocks", sparse.blocks());
}

#[test]
fn what_hides_and_replaces_is_followed() {
    let Some(scene) = Scene::new() else { return };
    let whiteout = |path: &str| {
        let path = scene.upper(path);
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).expect("root may");
    };
    fs::create_dir(scene.upper("usr/lib/part1")).expect("it can be made");
    whiteout("usr/lib/part1/3");
    whiteout("usr/lib/part1/nothing");
    whiteout("usr/lib/part2");
    fs::create_dir(scene.upper("usr/lib/part3")).expect("it can be made");
    set_xattr(&scene.upper("usr/lib/part3"), "trusted.overlay.opaque", b"y");
    fs::write(scene.upper("usr/lib/part3/only"), "").expect("there is room");
    fs::write(scene.upper("usr/lib/part4"), "a file now").expect("there is room");
    fs::create_dir(scene.upper("usr/lib/part5")).expect("it can be made");
    fs::create_dir(scene.upper("usr/lib/part5/6")).expect("it can be made");
    set_xattr(&scene.upper("usr/lib/part5"), "trusted.overlay.opaque", b"x");
    let hidden = scene.upper("usr/lib/part5/7");
    fs::write(&hidden, "").expect("there is room");
    set_xattr(&hidden, "trusted.overlay.whiteout", b"");
    scene.written("layer");
    let expected = scene.dir.path().join("tree/usr/lib");
    fs::remove_file(expected.join("part1/3")).expect("it is there");
    fs::remove_dir_all(expected.join("part2")).expect("it is there");
    fs::remove_dir_all(expected.join("part3")).expect("it is there");
    fs::create_dir(expected.join("part3")).expect("it can be made");
    fs::write(expected.join("part3/only"), "").expect("there is room");
    fs::remove_dir_all(expected.join("part4")).expect("it is there");
    fs::write(expected.join("part4"), "a file now").expect("there is room");
    fs::remove_file(expected.join("part5/6")).expect("it is there");
    fs::create_dir(expected.join("part5/6")).expect("it can be made");
    fs::remove_file(expected.join("part5/7")).expect("it is there");
    let expected = scene.bed.commit("expected", &scene.dir.path().join("tree"));
    let ours = scene.bed.repository().resolve("layer").expect("it was made");
    assert_eq!(scene.bed.root_of(ours), scene.bed.root_of(expected));
}

#[test]
fn what_no_commit_can_have_is_refused_before_anything_is_written() {
    let Some(scene) = Scene::new() else { return };
    fs::write(scene.upper("usr/file"), "good").expect("there is room");
    let node = |path: &str, kind, device| {
        rustix::fs::mknodat(CWD, scene.upper(path), kind, Mode::RUSR, device).expect("root may");
    };
    node("usr/device", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node("usr/pipe", FileType::Fifo, 0);
    node("usr/socket", FileType::Socket, 0);
    fs::write(scene.upper("usr").join(odd_name()), "").expect("there is room");
    fs::create_dir(scene.upper("usr/moved")).expect("it can be made");
    set_xattr(&scene.upper("usr/moved"), "trusted.overlay.redirect", b"/usr/lib");
    fs::write(scene.upper("usr/metadata"), "").expect("there is room");
    set_xattr(&scene.upper("usr/metadata"), "trusted.overlay.metacopy", b"");
    let Err(Error::Unfit(found)) = scene.compose(&[]) else { panic!("it was taken") };
    let mut found: Vec<(PathBuf, Why)> = found.into_iter().map(|Unfit { path, why }| (path, why)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        (Path::new("usr").join("device"), Why::Kind(FileKind::CharDevice)),
        (Path::new("usr").join("metadata"), Why::Elsewhere),
        (Path::new("usr").join("moved"), Why::Elsewhere),
        (Path::new("usr").join(odd_name()), Why::Name),
        (Path::new("usr").join("pipe"), Why::Kind(FileKind::Fifo)),
        (Path::new("usr").join("socket"), Why::Kind(FileKind::Socket)),
    ];
    assert_eq!(found, expected);
    let repository = scene.bed.repository();
    let good = Checksum::of(b"good").as_object(ObjectKind::File);
    assert!(!repository.has(good).expect("it can be looked for"));
    // What is left out may be anything.
    let without = ["device", "pipe", "socket", "moved", "metadata"].map(|name| Path::new("usr").join(name));
    let without = [&without[..], &[Path::new("usr").join(odd_name())]].concat();
    scene.compose(&without).expect("the rest is good");
    symlink(odd_name(), scene.upper("usr/link")).expect("it can be linked");
    let Err(Error::Unfit(found)) = scene.compose(&without) else { panic!("it was taken") };
    assert_eq!(found, [Unfit { path: PathBuf::from("usr/link"), why: Why::Target }]);
}

#[test]
fn what_is_the_machines_own_is_left_out() {
    let Some(scene) = Scene::new() else { return };
    for path in ["etc", "var", "var/lib"] {
        fs::create_dir(scene.upper(path)).expect("it can be made");
    }
    fs::write(scene.upper("etc/hostname"), "x").expect("there is room");
    fs::write(scene.upper("usr/more"), "x").expect("there is room");
    let repository = scene.bed.repository();
    let base = repository.commit(scene.base).expect("it is there");
    let upper = Root::open(&scene.upper).expect("it opens");
    let mut transaction = repository.begin().expect("nobody else writes");
    let without = [PathBuf::from("etc"), PathBuf::from("var/lib")];
    let root = transaction
        .compose(&Composition { base: base.root, upper: &upper, without: &without })
        .expect("it can be committed");
    let metadata = [("version".to_owned(), Value::text("13+1"))];
    let commit = Commit::upon((scene.base, &base), root, "a subject", 1_700_000_000, metadata);
    let commit = transaction.write_commit(commit, "layers/one").expect("there is room");
    transaction.finish("layers/one", commit).expect("there is room");
    let listed = scene.bed.ostree(&["ls", "-R", "--nul-filenames-only", "layers/one"]);
    assert!(listed.contains("/usr/more") && listed.contains("/var\0"), "{listed:?}");
    assert!(!listed.contains("/etc") && !listed.contains("/var/lib"), "{listed:?}");
    let shown = scene.bed.ostree(&["show", "layers/one"]);
    for line in [
        &format!("commit {commit}"),
        &format!("Parent:  {}", scene.base),
        "Date:  2023-11-14 22:13:20 +0000",
        "Version: 13+1",
        "    a subject",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let content = repository.commit(commit).expect("it is there").content();
    assert!(shown.contains(&format!("ContentChecksum:  {content}")), "{shown}");
}

#[test]
fn of_the_bases_words_only_those_are_taken_over_that_stay_true() {
    let Some(scene) = Scene::new() else { return };
    let tree = format!("--tree=dir={}", scene.dir.path().join("tree").display());
    let arguments = [
        "commit",
        "--branch=words",
        &tree,
        "--add-metadata-string=version=13.1",
        "--add-metadata=ostree.bootable=true",
        "--add-metadata-string=ostree.linux=6.12",
        "--add-metadata-string=rpmostree.inputhash=x",
        "--add-metadata-string=ostree.composefs.digest.v0=x",
    ];
    let base: Checksum = scene.bed.ostree(&arguments).trim().parse().expect("a commit");
    let (commit, _) = scene.bed.layer(base, &scene.upper, "ours");
    let metadata = scene.bed.repository().commit(commit).expect("it is there").metadata;
    let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ostree.bootable", "ostree.linux", "ostree.ref-binding", "version"]);
    assert_eq!(metadata["ostree.ref-binding"].as_texts(), Some(vec!["ours"]));
    let print = |key: &str| scene.bed.ostree(&["show", &format!("--print-metadata-key={key}"), "ours"]);
    assert_eq!(print("ostree.bootable").trim(), "true");
    assert_eq!(print("ostree.ref-binding").trim(), "['ours']");
    scene.bed.ostree(&["fsck", "--quiet", "--verify-bindings"]);
}
