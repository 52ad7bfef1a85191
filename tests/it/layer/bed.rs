//! A repository of ostree's, and what it says of what is in it.

use std::path::{Path, PathBuf};

use onlay::layer::ostree::{Checksum, Commit, Composition, Directory, Repository};
use onlay::sys::Root;

use crate::kernel::{output, tool_or_skip};

/// A repository in a directory of its own, without syncs.
pub(crate) struct Bed {
    pub(crate) path: PathBuf,
}

/// Whether ostree is there.
pub(crate) fn ostree_or_skip() -> bool {
    tool_or_skip("/usr/bin/ostree")
}

impl Bed {
    pub(crate) fn new(dir: &Path) -> Bed {
        let bed = Bed { path: dir.join("repo") };
        bed.ostree(&["init", "--mode=bare"]);
        bed.ostree(&["config", "set", "core.fsync", "false"]);
        bed
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open(&self.path).expect("ostree made it")
    }

    /// Has ostree do something with it.
    pub(crate) fn ostree(&self, arguments: &[&str]) -> String {
        let repository = format!("--repo={}", self.path.display());
        output("ostree", &[&arguments[..1], &[&repository], &arguments[1..]].concat())
    }

    /// Has ostree commit a directory.
    pub(crate) fn commit(&self, branch: &str, tree: &Path) -> Checksum {
        let (branch, tree) = (format!("--branch={branch}"), format!("--tree=dir={}", tree.display()));
        self.ostree(&["commit", &branch, &tree]).trim().parse().expect("ostree says what it made")
    }

    /// Has ostree look at every object.
    pub(crate) fn check(&self) {
        self.ostree(&["fsck", "--quiet"]);
    }

    /// Commits what an upper says over a base, by us.
    pub(crate) fn layer(&self, base: Checksum, upper: &Path, branch: &str) -> (Checksum, Directory) {
        let repository = self.repository();
        let commit = repository.commit(base).expect("the base is there");
        let upper = Root::open(upper).expect("the upper opens");
        let mut transaction = repository.begin().expect("nobody else writes");
        let composition = Composition { base: commit.root, upper: &upper, without: &[] };
        let root = transaction.compose(&composition).expect("it can be committed");
        let commit = Commit::upon((base, &commit), root, "a layer", 1_700_000_000, []);
        let checksum = transaction.write_commit(commit, branch).expect("there is room");
        transaction.finish(branch, checksum).expect("there is room");
        (checksum, root)
    }

    pub(crate) fn root_of(&self, commit: Checksum) -> Directory {
        self.repository().commit(commit).expect("it is there").root
    }
}
