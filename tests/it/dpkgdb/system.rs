//! Systems to try databases on: overlays of the Debian tree, mounted where only this test sees them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use onlay::pkgdb::dpkg::{Database, Entry};
use onlay::sys::{Namespaces, Propagation, Root, leave_for_new, set_propagation};

use crate::debian::{self, command, expect_success, words};

/// A place for several systems.
pub(super) struct Bed {
    tree: PathBuf,
    place: tempfile::TempDir,
}

/// A Debian that can be changed, and run in a chroot.
pub(super) struct System {
    /// Its root.
    pub(super) root: PathBuf,
}

impl Bed {
    /// Makes one whose mounts end with this thread; `None` after saying why there is none.
    pub(super) fn make() -> Option<Bed> {
        let tree = debian::tree("trixie")?;
        leave_for_new(Namespaces::MOUNT).expect("root may leave its mount namespace");
        set_propagation(Path::new("/"), Propagation::Private).expect("the namespace is ours");
        Some(Bed { tree, place: debian::place() })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The tree, which is never changed.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// A new system over the tree.
    pub(super) fn system(&self, name: &str) -> System {
        self.stack(name, &self.tree, &self.path(&format!("{name}.upper")))
    }

    /// A system of an upper that may have been written over another base.
    pub(super) fn stack(&self, name: &str, base: &Path, upper: &Path) -> System {
        let (root, work) = (self.path(name), self.path(&format!("{name}.work")));
        for directory in [&root, &work, &upper.to_owned()] {
            fs::create_dir_all(directory).expect("our directory");
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=off,metacopy=off,redirect_dir=off,xino=off",
            base.display(),
            upper.display(),
            work.display()
        );
        expect_success(command("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&root));
        for name in ["dev", "proc"] {
            expect_success(
                command("mount").args(["--bind"]).arg(Path::new("/").join(name)).arg(root.join(name)),
            );
        }
        System { root }
    }

    /// Builds a package; `files` are paths and contents.
    pub(super) fn deb(&self, control: &str, files: &[(&str, &str)]) -> PathBuf {
        let field = |name: &str| {
            let found = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.unwrap_or_else(|| panic!("no {name}")).to_owned()
        };
        let name = format!("{}_{}_{}", field("Package"), field("Version"), field("Architecture"));
        let directory = self.path(&name);
        let write = |path: &str, text: &str| {
            let path = directory.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("it has one")).expect("our directory");
            fs::write(&path, text).expect("our file");
            let is_script = path.parent().is_some_and(|parent| parent.ends_with("DEBIAN"))
                && path.extension().is_none()
                && text.starts_with("#!");
            let mode = if is_script { 0o755 } else { 0o644 };
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("our file");
        };
        let common = "Maintainer: Tests <tests@localhost>\nDescription: a package for tests\n";
        write("DEBIAN/control", &format!("{}\n{common}", control.trim_end()));
        for (path, text) in files {
            write(path, text);
        }
        let digests =
            "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | xargs -0r md5sum >DEBIAN/md5sums";
        expect_success(command("sh").args(["-ec", digests]).current_dir(&directory));
        let deb = self.path(&format!("{name}.deb"));
        expect_success(
            command("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).arg(&directory).arg(&deb),
        );
        deb
    }
}

impl System {
    /// What a script in the system prints; it must succeed.
    pub(super) fn run(&self, script: &str) -> String {
        let output = self.attempt(script);
        assert!(output.status.success(), "{script}: {}: {}", output.status, words(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(super) fn attempt(&self, script: &str) -> std::process::Output {
        self.command(script).output().expect("chroot(8) is everywhere")
    }

    pub(super) fn command(&self, script: &str) -> std::process::Command {
        let mut chroot = command("timeout");
        chroot.args(["--kill-after=5", "100", "chroot"]).arg(&self.root).args(["sh", "-ec", script]);
        chroot.env("DEBIAN_FRONTEND", "noninteractive");
        chroot.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        chroot
    }

    /// Copies packages into the system and has dpkg install them.
    pub(super) fn install(&self, debs: &[&Path]) {
        self.dpkg("--install", debs);
    }

    pub(super) fn dpkg(&self, option: &str, debs: &[&Path]) {
        let names: Vec<String> = debs.iter().map(|deb| self.copy(deb)).collect();
        self.run(&format!("dpkg {option} {}", names.join(" ")));
    }

    /// Copies a file into the system's /var/tmp; its path there.
    pub(super) fn copy(&self, file: &Path) -> String {
        let name = file.file_name().and_then(OsStr::to_str).expect("a name");
        fs::copy(file, self.root.join("var/tmp").join(name)).expect("a copy");
        format!("/var/tmp/{name}")
    }

    pub(super) fn open(&self) -> Root {
        Root::open(&self.root).expect("it is mounted")
    }

    pub(super) fn database(&self) -> Database {
        let found = Database::open(&self.open());
        let found = found.unwrap_or_else(|error| panic!("{}", onlay::sys::with_causes(&error)));
        found.expect("a Debian has a database")
    }
}

/// The entry of a package of any architecture.
pub(super) fn entry<'a>(database: &'a Database, name: &str) -> &'a Entry {
    let found = database.entries.values().find(|entry| entry.key.name == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

/// The lines of a text, sorted.
pub(super) fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}
