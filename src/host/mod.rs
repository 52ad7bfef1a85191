//! What this machine is: its release, architecture, kind of base and the base's identity, its
//! package system, and what of it can be written. This room only reads.

mod base;
mod extensions;
mod os_release;
mod packages;
pub mod selinux;

pub use base::{Base, BaseKind};
pub use extensions::{Bare, below_extensions, is_extensions, is_inside_extensions};
pub use os_release::OsRelease;
pub use packages::PackageSystem;

use std::path::{Path, PathBuf};

use crate::sys::{Context, IoError, MountTable, Root};

/// A system to work on: the running one, or a tree with one in it.
#[derive(Debug)]
pub struct Host {
    /// Its root directory.
    pub root: Root,
    /// Whether it is the system that runs, whose /proc, /run and devices are its own.
    pub is_running: bool,
    /// The mounts of this machine.
    pub mounts: MountTable,
}

impl Host {
    /// Opens the system below a directory; `/` is the running one.
    pub fn open(directory: &Path) -> Result<Host, IoError> {
        let mut root = Root::open("/")?;
        if directory != Path::new("/") {
            root = Root::open(root.resolve(absolute(directory)?)?)?;
        }
        let is_running = root.path() == Path::new("/");
        Ok(Host { root, is_running, mounts: MountTable::read()? })
    }

    /// The base of this system: what it is, and how to tell it from another.
    pub fn base(&self) -> Base {
        Base::of(self)
    }

    /// What /etc/os-release says; empty where there is none.
    pub fn os_release(&self) -> OsRelease {
        OsRelease::read(&self.root)
    }

    /// The database of installed packages, where one is known.
    pub fn package_system(&self) -> Option<PackageSystem> {
        PackageSystem::find(&self.root)
    }

    /// Whether systemd runs as the system's first process (sd_booted(3)).
    pub fn runs_systemd(&self) -> bool {
        self.is_running && self.root.exists("run/systemd/system")
    }

    /// The places that people ask about, and whether each can be written now.
    pub fn writable(&self) -> Vec<(PathBuf, bool)> {
        ["/", "/usr", "/etc", "/opt", "/var", "/root", "/home"]
            .into_iter()
            .filter_map(|name| {
                let resolved = self.root.resolve(name).ok()?;
                let on_machine = self.root.join(&resolved);
                Some((PathBuf::from(name), self.mounts.at(&on_machine)?.is_writable()))
            })
            .collect()
    }

    /// The processor architecture, in systemd's words (`ConditionArchitecture=`, os-release(5)).
    pub fn architecture() -> &'static str {
        match std::env::consts::ARCH {
            "x86_64" => "x86-64",
            "aarch64" => "arm64",
            other => other,
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, IoError> {
    std::path::absolute(path).context("resolve", path)
}
