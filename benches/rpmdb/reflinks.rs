//! Merging on a file system whose files can share blocks: a btrfs in a file.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use onlay::pkgdb::rpm::Backend;

use super::merging::{add_copies, add_own, clear};
use super::peers::succeed;
use super::rounds::Rounds;
use super::scene::Scene;
use super::{CHANGED, PACKAGES};

pub(crate) fn run(place: &Path) {
    let (image, at) = (place.join("image"), place.join("btrfs"));
    File::create(&image).and_then(|file| file.set_len(3 << 30)).expect("there is room");
    std::fs::create_dir(&at).expect("our directory");
    let is_made =
        Command::new("mkfs.btrfs").arg("-q").arg(&image).status().is_ok_and(|status| status.success());
    if !is_made {
        println!("left out: reflinks (no mkfs.btrfs)");
        return;
    }
    succeed(Command::new("mount").args(["-t", "btrfs", "-o", "loop"]).arg(&image).arg(&at));
    for backend in [Backend::Sqlite, Backend::Ndb] {
        merge(&at, backend);
    }
    succeed(Command::new("umount").arg(&at));
}

fn merge(at: &Path, backend: Backend) {
    let scene = Scene::make(at.join(format!("{backend:?}")), backend, PACKAGES, CHANGED);
    let mut rounds = Rounds::new(at);
    let name = "copy of all blocks";
    rounds.add_after(
        name,
        || clear(&scene.path("copy")),
        || {
            let (from, to) = (scene.file("theirs"), scene.path("copy").join("file"));
            succeed(Command::new("cp").arg("--reflink=never").arg(from).arg(to));
        },
    );
    add_copies(&mut rounds, &scene);
    add_own(&mut rounds, &scene);
    rounds.run().print(&format!("{backend:?} on btrfs"), &[name]);
    clear(&scene.path("merged"));
    succeed(&mut scene.merge());
    let merged = scene.path("merged").join(backend.file_name());
    let used = Command::new("btrfs").args(["filesystem", "du", "--raw"]).arg(&merged).output();
    let used = used.expect("btrfs-progs are there");
    println!(
        "blocks of the merged database (btrfs filesystem du):\n{}",
        String::from_utf8_lossy(&used.stdout)
    );
}
