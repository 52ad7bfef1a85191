//! Where it is written who is in the overlays of a state directory: a folder below `/run/onlay`,
//! which a reboot empties.
//!
//! It is named after what the state directory is (device, inode number, birth), so that all paths
//! to it lead to one folder, and a later directory with the same number has another. Before the
//! state directory is there, those who need none (their overlay is in RAM) have a folder that is
//! named after its path. Whoever then first finds the state directory there gives that folder its
//! lasting name: those who are in hold it open, and move along.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags, StatxFlags};
use rustix::io::Errno;

use super::clear::clear;
use crate::sys::{Context, IoError, Root};

/// Below it are the folders. A view shows there what is its own.
pub const RUN: &str = "/run/onlay";

/// Opens [`RUN`], made when missing.
pub fn run_directory() -> Result<Root, IoError> {
    match Root::open(RUN) {
        Err(error) if error.is_not_found() => {
            Root::open("/")?.make_dir(RUN, 0o700)?;
            Root::open(RUN)
        }
        other => other,
    }
}

/// Opens the folder of a state directory, made when missing.
pub(super) fn open(state: &Path) -> Result<Root, IoError> {
    let run = run_directory()?;
    loop {
        if let Some(name) = lasting_name(state)? {
            return open_lasting(&run, &name, state);
        }
        let name = name_by_path(state)?;
        run.make_dir(&name, 0o700)?;
        let folder = run.open_child(OsStr::new(&name));
        // Only who looks for the state directory after the folder was made finds the folder.
        match folder {
            Ok(folder) if lasting_name(state)?.is_none() => return Ok(folder),
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
}

/// Opens the folder of a state directory; `None` where nobody has made one.
pub(super) fn existing(state: &Path) -> Result<Option<Root>, IoError> {
    let run = match Root::open(RUN) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let by_lasting_name = || open_if_there(&run, lasting_name(state)?.as_deref());
    if let Some(folder) = by_lasting_name()? {
        return Ok(Some(folder));
    }
    match open_if_there(&run, Some(&name_by_path(state)?))? {
        // It may have got its lasting name between the two looks.
        None => by_lasting_name(),
        found => Ok(found),
    }
}

/// Removes the folder of a state directory that is about to go, and that nobody else knows of: with what those who were killed have left there.
pub fn remove(state: &Path) -> Result<(), IoError> {
    let Some(folder) = existing(state)? else { return Ok(()) };
    match folder.path().file_name() {
        Some(name) => clear(&run_directory()?, name),
        None => Ok(()),
    }
}

fn open_lasting(run: &Root, name: &str, state: &Path) -> Result<Root, IoError> {
    if let Some(folder) = open_if_there(run, Some(name))? {
        return Ok(folder);
    }
    let by_path = name_by_path(state)?;
    match rustix::fs::renameat_with(run, &by_path, run, name, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::NOENT | Errno::EXIST) => {}
        Err(error) => return Err(error).context("rename", run.join(by_path)),
    }
    run.make_dir(name, 0o700)?;
    run.open_child(OsStr::new(name))
}

fn open_if_there(run: &Root, name: Option<&str>) -> Result<Option<Root>, IoError> {
    let Some(name) = name else { return Ok(None) };
    match run.open_child(OsStr::new(name)) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Names a state directory by what it is; `None` where it is not there.
fn lasting_name(state: &Path) -> Result<Option<String>, IoError> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    match rustix::fs::statx(CWD, state, AtFlags::empty(), wanted) {
        Ok(stat) => {
            let device = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
            // A file system that keeps no birth leaves it 0.
            let birth =
                i128::from(stat.stx_btime.tv_sec) * 1_000_000_000 + i128::from(stat.stx_btime.tv_nsec);
            Ok(Some(format!("{device:x}-{}-{birth}", stat.stx_ino)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error).context("examine", state),
    }
}

/// Names a state directory by its path after all links, hashed (FNV-1a), since a path may be longer
/// than a name.
fn name_by_path(state: &Path) -> Result<String, IoError> {
    let path = settled(&Root::open("/")?, &std::path::absolute(state).context("resolve", state)?)?;
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    Ok(format!("path-{hash:016x}"))
}

/// The path after all links of what is there, or will be when plain directories are made for what
/// is missing.
fn settled(root: &Root, path: &Path) -> Result<PathBuf, IoError> {
    match root.resolve(path) {
        Err(error) if error.is_not_found() => {}
        other => return other,
    }
    let above = path.parent().unwrap_or(Path::new("/"));
    if let Ok(target) = std::fs::read_link(path) {
        return settled(root, &above.join(target));
    }
    let above = settled(root, above)?;
    Ok(match path.file_name() {
        Some(name) => above.join(name),
        // `..` in what is missing.
        None => above.parent().unwrap_or(Path::new("/")).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_missing_directory_has_the_name_of_its_path_after_all_links() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("real")).expect("a directory");
        symlink("real", at("link")).expect("a link");
        symlink("link/below/state", at("dangling")).expect("a link");
        let name = |path: &str| name_by_path(&at(path)).expect("a name");
        let expected = name("real/below/state");
        for path in ["link/below/state", "dangling", "real/./below//state/", "real/below/x/../state"] {
            assert_eq!(name(path), expected, "{path}");
        }
        for path in ["real/below", "real/below/states", "real/other/state", "real"] {
            assert_ne!(name(path), expected, "{path}");
        }
        fs::create_dir_all(at("real/below/state")).expect("a directory");
        for path in ["real/below/state", "link/below/state", "dangling"] {
            assert_eq!(name(path), expected, "{path}: the same when it is there");
        }
    }

    #[test]
    fn links_in_a_circle_are_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        symlink("b", dir.path().join("a")).expect("a link");
        symlink("a", dir.path().join("b")).expect("a link");
        let error = name_by_path(&dir.path().join("a/state")).expect_err("it leads nowhere");
        assert_eq!(error.errno(), Some(libc::ELOOP));
    }

    #[test]
    fn a_directory_that_follows_another_has_a_name_of_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        let mut names = Vec::new();
        for _ in 0..5 {
            assert_eq!(lasting_name(&state).expect("a look"), None);
            fs::create_dir(&state).expect("a directory");
            names.extend(lasting_name(&state).expect("a look"));
            assert_eq!(lasting_name(&state).expect("a look").as_ref(), names.last());
            fs::remove_dir(&state).expect("it is empty");
            // Births are as fine as the kernel's clock tick.
            std::thread::sleep(std::time::Duration::from_millis(12));
        }
        names.dedup();
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
