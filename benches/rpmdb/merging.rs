//! Merging 20 changed packages, beside others.

use std::fs::{self, File};
use std::path::Path;

use onlay::pkgdb::rpm::Backend;

use super::peers::{Rpm, succeed};
use super::rounds::Rounds;
use super::scene::{Scene, onlay};
use super::{CHANGED, PACKAGES, memory};

const COPY: &str = "plain copy";
const SYNCED: &str = "copy, synced";
const UNCHANGED: &str = "onlay rebase, where the base is the same";

pub(crate) fn run(backend: Backend, place: &Path) {
    let scene = Scene::make(place.join("scene"), backend, PACKAGES, CHANGED);
    let size = fs::metadata(scene.file("base")).expect("it is there").len() / 1_000_000;
    println!("\n{backend:?}: {PACKAGES} packages, {size} MB; {CHANGED} others on either side");
    let rpms = match backend {
        Backend::Sqlite => [Rpm::of_machine(place), Rpm::of_tree("rpm-sqlite", place)],
        Backend::Ndb => [None, Rpm::of_tree("rpm-ndb", place)],
    };
    let rpms: Vec<Rpm> = rpms.into_iter().flatten().collect();
    if rpms.is_empty() {
        println!("left out: rpm (neither installed nor in a tree of scripts/test-trees)");
    }
    check(&scene, rpms.last());
    let mut rounds = Rounds::new(place);
    add_copies(&mut rounds, &scene);
    add_own(&mut rounds, &scene);
    for rpm in &rpms {
        add_peers(&mut rounds, &scene, rpm);
    }
    let toys = rpms.last().map(toys_name).unwrap_or_default();
    rounds.run().print("merging", &[COPY, SYNCED, &toys]);
    let opened = scene.opens_databases("settled", &mut scene.rebase("settled"));
    println!("{UNCHANGED}: {}", if opened { "opens a database" } else { "opens no database" });
    clear(&scene.path("merged"));
    memory::print("onlay db merge", &scene.merge());
    scene.restore();
    memory::print("onlay rebase", &scene.rebase("state"));
    memory::print(UNCHANGED, &scene.rebase("settled"));
}

/// All ways lead to the same packages.
fn check(scene: &Scene, rpm: Option<&Rpm>) {
    succeed(&mut scene.merge());
    scene.restore();
    succeed(&mut scene.rebase("state"));
    let Some(rpm) = rpm else { return };
    let expected = scene.merged();
    let copy = scene.path("checked");
    for directory in [scene.path("merged"), scene.overlays("state")] {
        clear(&copy);
        succeed(std::process::Command::new("cp").arg("-a").arg(directory.join(".")).arg(&copy));
        assert!(rpm.list(&copy) == expected, "rpm -qa of {}", directory.display());
    }
    clear(&copy);
    plain_copy(&scene.file("theirs"), &copy.join(scene.backend.file_name()));
    rpm.change(&copy, &scene.removed(), &scene.added());
    assert!(rpm.list(&copy) == expected, "rpm -qa of rpm's own");
    clear(&copy);
}

/// The least that anybody needs who makes a new database.
pub(crate) fn add_copies<'a>(rounds: &mut Rounds<'a>, scene: &'a Scene) {
    let copy = scene.path("copy");
    let again = copy.clone();
    rounds.add_after(
        COPY,
        || clear(&scene.path("copy")),
        move || {
            plain_copy(&scene.file("theirs"), &copy.join("file"));
        },
    );
    rounds.add_after(
        SYNCED,
        || clear(&scene.path("copy")),
        move || {
            let file = again.join("file");
            plain_copy(&scene.file("theirs"), &file);
            File::open(file).and_then(|file| file.sync_all()).expect("it can be synced");
        },
    );
}

pub(crate) fn add_own<'a>(rounds: &mut Rounds<'a>, scene: &'a Scene) {
    rounds.add_after("onlay db merge", || clear(&scene.path("merged")), || succeed(&mut scene.merge()));
    rounds.add_after("onlay rebase", || scene.restore(), || succeed(&mut scene.rebase("state")));
    rounds.add(UNCHANGED, || succeed(&mut scene.rebase("settled")));
    rounds.add("onlay --version", || succeed(onlay().arg("--version")));
}

fn toys_name(rpm: &Rpm) -> String {
    format!("toy's, {}", rpm.version)
}

fn add_peers<'a>(rounds: &mut Rounds<'a>, scene: &'a Scene, rpm: &'a Rpm) {
    let name = scene.backend.file_name();
    let (remove, add) = (scene.removed(), scene.added());
    let headers = add.clone();
    let version = &rpm.version;
    let place = scene.path("peers");
    let from = move || clear(&scene.path("peers"));
    rounds.add_after(format!("copy, rpm {version} -e --justdb, rpmdb --importdb"), from, {
        let place = place.clone();
        move || {
            plain_copy(&scene.file("theirs"), &place.join(name));
            rpm.change(&place, &remove, &add);
        }
    });
    let copied = move || {
        clear(&scene.path("peers"));
        plain_copy(&scene.file("theirs"), &scene.path("peers").join(name));
    };
    rounds.add_after(format!("rpmdb {version} --rebuilddb"), copied, {
        let place = place.clone();
        move || rpm.rebuild(&place)
    });
    rounds.is_slow();
    let files = scene.path("headers");
    let empty = move || ["peers", "headers"].iter().for_each(|name| clear(&scene.path(name)));
    rounds.add_after(toys_name(rpm), empty, move || {
        rpm.dump_and_import(&scene.path("ours"), &files, &place, &headers);
    });
    rounds.is_slow();
}

/// Makes an empty directory.
pub(crate) fn clear(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).expect("our directory");
}

fn plain_copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("there is room");
}
