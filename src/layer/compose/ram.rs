//! Where packages are put in: in RAM, where that is large enough, since nothing of it is to last.
//!
//! On a disk, package managers would sync what a crash takes away in any case, and wait for it (dpkg does so several times for each package, also with
//! `--force-unsafe-io`). What is kept of it is written once, as objects of a repository or into a snapshot.

use std::path::Path;

use super::{Plan, Planned, Workshop};
use crate::layer::Error;
use crate::sys::{
    Context, Namespace, Namespaces, Propagation, Root, available_memory, join, leave_for_new, set_propagation,
};

/// How much larger packages are when they are installed than their files are, at most as a rule.
const EXPANSION: u64 = 4;

/// What is taken besides: databases, caches, an initramfs.
const BESIDES: u64 = 256 << 20;

/// How much RAM may be taken for a plan, in bytes; nothing where it is better done on disk.
pub(super) fn limit(workshop: &Workshop, plan: &Plan) -> Result<Option<u64>, Error> {
    let limit = available_memory()? / 2;
    let needed = size_of_files(&workshop.cache()?, plan)?.saturating_mul(EXPANSION).saturating_add(BESIDES);
    Ok((needed <= limit).then_some(limit))
}

/// What the files of a plan's packages take that lie below a directory, in bytes.
fn size_of_files(dir: &Root, plan: &Plan) -> Result<u64, Error> {
    let (mut size, mut ahead) = (0, vec![dir.try_clone()?]);
    while let Some(dir) = ahead.pop() {
        for entry in dir.entries()? {
            let path = Path::new(&entry.name);
            if dir.is_dir(path)? {
                ahead.push(dir.open_child(&entry.name)?);
                continue;
            }
            let name = entry.name.to_string_lossy();
            let is_package = path.extension().is_some_and(|end| end == "deb" || end == "rpm");
            // Files that were given have their digests as their names.
            let is_given = dir.path().ends_with(super::FILES);
            if is_package && (is_given || plan.installed().any(|planned| is_of(&name, planned))) {
                size += dir.lstat_exact(path)?.map_or(0, |stat| stat.st_size as u64);
            }
        }
    }
    Ok(size)
}

/// `NAME_VERSION_ARCHITECTURE.deb`, with a quoted epoch, or `NAME-VERSION-RELEASE.ARCHITECTURE.rpm`, without one.
fn is_of(file: &str, planned: &Planned) -> bool {
    let rest = file.strip_prefix(&*planned.name).and_then(|rest| rest.strip_prefix(['_', '-']));
    let version = planned.new.as_deref().unwrap_or_default();
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    rest.is_some_and(|rest| rest.split_once("%3a").map_or(rest, |(_, rest)| rest).starts_with(version))
}

/// strerror(3) for ENOSPC, in the language that everything is run in.
pub(super) const NO_ROOM: &str = "No space left on device";

/// What is said where there is no room: by all, by rpm, which counts before, and by dnf.
const FULL: [&str; 3] = [NO_ROOM, "more space on the ", "more space needed on the "];

/// Whether something could not be done since there was no room.
pub(super) fn is_full(error: &Error) -> bool {
    let (Error::Refused { words, .. } | Error::Initramfs { words, .. }) = error else { return false };
    FULL.iter().any(|full| words.contains(full))
}

/// Goes to a mount namespace of this process's own, where what is mounted on the host later is seen, too.
pub(super) fn leave() -> Result<(), Error> {
    leave_for_new(Namespaces::MOUNT)?;
    Ok(set_propagation(Path::new("/"), Propagation::Slave)?)
}

/// Does what may go to a mount namespace of its own, and comes back.
pub(in crate::layer) fn and_back<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let (home, root, directory) = (Namespace::mount_of_thread()?, Root::open("/")?, Root::open(".")?);
    let done = work();
    join(&home)?;
    // The namespace's own root is another one in a chroot.
    rustix::process::fchdir(&root).context("go back to", root.path())?;
    rustix::process::chroot(".").context("go back to", root.path())?;
    rustix::process::fchdir(&directory).context("go back to", directory.path())?;
    done
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_of_the_plan_are_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |path: &str, size: usize| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("below")).expect("ours");
            fs::write(path, vec![0; size]).expect("ours");
        };
        put("archives/gdb_16.3-1_amd64.deb", 1000);
        // Of an earlier change.
        put("archives/gdb_16.2-1_amd64.deb", 100_000);
        put("archives/git_1%3a2.47-1_amd64.deb", 30);
        put("archives/gdbserver_16.3-1_amd64.deb", 10_000);
        put("zypp/packages/repo/x86_64/gdb-16.3-1.x86_64.rpm", 100);
        put("archives/partial/gdb_17.deb.part", 20_000);
        put("files/0a1b.deb", 7);
        let planned = |name: &str, new: Option<&str>| Planned {
            name: name.to_owned(),
            architecture: String::new(),
            old: Some("1".to_owned()),
            new: new.map(str::to_owned),
        };
        let packages = vec![
            planned("gdb", Some("16.3-1")),
            planned("git", Some("1:2.47-1")),
            planned("gdbserver", None),
        ];
        let plan = Plan { packages, satisfied: None };
        let size = size_of_files(&Root::open(dir.path()).expect("it opens"), &plan).expect("it can be read");
        assert_eq!(size, 1137);
    }
}
