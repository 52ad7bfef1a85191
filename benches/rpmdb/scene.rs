//! What is merged: three databases that came from one, and the same as a host that was updated under an overlay.
//!
//! As many packages have another version in the overlay as on the updated host, none of them on both.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use onlay::pkgdb::rpm::Backend;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::made::{label, make, package};
use super::peers::succeed;

/// Where the host's database is.
const DIRECTORY: &str = "usr/lib/sysimage/rpm";

pub(crate) struct Scene {
    pub(crate) place: PathBuf,
    pub(crate) backend: Backend,
    packages: usize,
    changed: usize,
}

impl Scene {
    /// Makes all of it in an empty directory.
    pub(crate) fn make(place: PathBuf, backend: Backend, packages: usize, changed: usize) -> Scene {
        fs::create_dir_all(&place).expect("our directory");
        let scene = Scene { place, backend, packages, changed };
        let version = |newer: Vec<usize>| move |number: usize| 1 + u32::from(newer.contains(&number));
        make(backend, packages, |_| 1, &scene.path("base"));
        make(backend, packages, version(scene.ours()), &scene.path("ours"));
        make(backend, packages, version(scene.theirs()), &scene.path("theirs"));
        for side in ["base", "ours", "theirs"] {
            as_rpm_leaves_it(&scene.file(side), backend);
        }
        scene.make_host();
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// The database of a side.
    pub(crate) fn file(&self, side: &str) -> PathBuf {
        self.path(side).join(self.backend.file_name())
    }

    fn ours(&self) -> Vec<usize> {
        self.spread(0)
    }

    fn theirs(&self) -> Vec<usize> {
        self.spread(self.changed)
    }

    /// Numbers of packages, small and large ones: 997 has no divisor that the number of all has.
    fn spread(&self, first: usize) -> Vec<usize> {
        (first..first + self.changed).map(|index| index * 997 % self.packages).collect()
    }

    /// What has to go from the host's database to get the merged one, as rpm names it.
    pub(crate) fn removed(&self) -> Vec<String> {
        self.ours().into_iter().map(|number| label(number, 1)).collect()
    }

    /// And what has to come.
    pub(crate) fn added(&self) -> Vec<Vec<u8>> {
        self.ours().into_iter().map(|number| package(number, 2)).collect()
    }

    /// What is installed when all is merged.
    pub(crate) fn merged(&self) -> Vec<String> {
        let newer = [self.ours(), self.theirs()].concat();
        let version = |number: usize| 1 + u32::from(newer.contains(&number));
        let mut all: Vec<String> = (0..self.packages).map(|number| label(number, version(number))).collect();
        all.sort();
        all
    }

    /// `onlay db merge` of the three into a new directory.
    pub(crate) fn merge(&self) -> Command {
        let mut command = onlay();
        command.args(["db", "merge"]);
        command.args(["base", "ours", "theirs"].map(|side| self.path(side)));
        command.arg("--output").arg(self.path("merged"));
        command
    }

    /// `onlay rebase` of the overlay in a state directory.
    pub(crate) fn rebase(&self, state: &str) -> Command {
        let mut command = self.onlay(state);
        command.args(["rebase", "bench"]);
        command
    }

    fn onlay(&self, state: &str) -> Command {
        let mut command = onlay();
        command.arg("--root").arg(self.path("host")).arg("--state").arg(self.path(state));
        command
    }

    /// A host with the base's database, an overlay with ours, and then the host with theirs.
    fn make_host(&self) {
        let host = self.path("host");
        for name in [
            "dev/pts", "etc", "home", "proc", "root", "run", "srv", "sys", "tmp", "usr/bin", "var/lib",
            DIRECTORY,
        ] {
            fs::create_dir_all(host.join(name)).expect("our directory");
        }
        fs::write(host.join("etc/os-release"), "ID=bench\n").expect("there is room");
        fs::copy(PROGRAM, host.join("usr/bin/onlay")).expect("there is room");
        self.set_host("base");
        self.enter("state");
        let upper = self.path("state/overlays/bench/layers/@root/upper").join(DIRECTORY);
        fs::create_dir_all(&upper).expect("our directory");
        fs::copy(self.file("ours"), upper.join(self.backend.file_name())).expect("there is room");
        // Whoever leaves notes what the base had.
        self.enter("state");
        self.set_host("theirs");
        copy_tree(&self.path("state"), &self.path("saved"));
        copy_tree(&self.path("state"), &self.path("settled"));
        succeed(&mut self.rebase("settled"));
    }

    fn set_host(&self, side: &str) {
        let file = self.path("host").join(DIRECTORY).join(self.backend.file_name());
        let _ = fs::remove_file(&file);
        fs::copy(self.file(side), file).expect("there is room");
    }

    fn enter(&self, state: &str) {
        fs::create_dir_all(self.path(state)).expect("our directory");
        succeed(self.onlay(state).args(["shell", "-q", "bench", "--", "/usr/bin/onlay", "--version"]));
    }

    /// Makes the overlay what it was before it followed its host.
    pub(crate) fn restore(&self) {
        let overlay = self.path("state/overlays/bench");
        fs::remove_dir_all(&overlay).expect("our directory");
        copy_tree(&self.path("saved/overlays/bench"), &overlay);
    }

    /// The directory of the overlay's database in a state.
    pub(crate) fn overlays(&self, state: &str) -> PathBuf {
        self.path(state).join("overlays/bench/layers/@root/upper").join(DIRECTORY)
    }

    /// Runs a command; whether the host's or the overlay's database was opened meanwhile (inotify(7)).
    pub(crate) fn opens_databases(&self, state: &str, command: &mut Command) -> bool {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify");
        for directory in [self.path("host").join(DIRECTORY), self.overlays(state)] {
            let file = directory.join(self.backend.file_name());
            inotify::add_watch(&watch, file, WatchFlags::OPEN | WatchFlags::ACCESS).expect("it is there");
        }
        succeed(command);
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        inotify::Reader::new(&watch, &mut buffer).next().is_ok()
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_onlay");

pub(crate) fn onlay() -> Command {
    Command::new(PROGRAM)
}

/// rpm leaves its log turned on: that is what bytes 18 and 19 of SQLite's header say.
fn as_rpm_leaves_it(file: &Path, backend: Backend) {
    if backend == Backend::Sqlite {
        let file = File::options().write(true).open(file).expect("our file");
        file.write_all_at(&[2, 2], 18).expect("there is room");
    }
}

fn copy_tree(from: &Path, to: &Path) {
    succeed(Command::new("cp").arg("-a").arg(from).arg(to));
}
