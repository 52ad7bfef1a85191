//! What packages that are gone have left in /var.
//!
//! It was born since the host was unlocked, and a package that is gone named it; or it lies where packages keep what they
//! write, and has the name of one or belongs to a user who is gone. So what services of the host wrote meanwhile is not
//! among it, and what is called otherwise is not found. No tree is searched.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Traces;
use super::traces::LASTING;
use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, statx};

/// Something that was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Where.
    pub path: PathBuf,
    /// The package, or the user, whose it was.
    pub of: String,
    /// How many names it is, with all that is in a directory; no more than [`MOST`] are counted.
    pub entries: u64,
    /// Bytes that those take on disk.
    pub bytes: u64,
}

/// So many names are counted of one directory.
pub const MOST: u64 = 10_000;

/// Where packages keep what they write, each under a name of its own.
const KEPT: &[&str] = &[
    "/var/lib",
    "/var/lib/private",
    "/var/log",
    "/var/log/private",
    "/var/cache",
    "/var/cache/private",
    "/var/cache/apt/archives",
    "/var/opt",
    "/var/spool",
    "/var/spool/cron/crontabs",
    "/var/mail",
];

impl Traces {
    /// What there is of them now, in order, nothing below another.
    pub fn left(&self) -> Vec<Left> {
        if self.packages.is_empty() {
            return Vec::new();
        }
        let named = self.paths.iter().map(|(path, package)| (path.clone(), Some(package.clone())));
        let kept = KEPT.iter().flat_map(|directory| children(Path::new(directory))).map(|path| (path, None));
        let mut found: Vec<Left> = Vec::new();
        let mut all: Vec<(PathBuf, Option<String>)> = named.chain(kept).collect();
        // Named ones come before those that are only found, where both are there.
        all.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
        for (path, package) in all {
            if found.last().is_some_and(|last| path.starts_with(&last.path)) || !self.lasts(&path) {
                continue;
            }
            let Some(status) = status(&path).filter(|status| born(status) >= self.since) else { continue };
            let Some(of) = package.or_else(|| self.whose(&path, &status)) else { continue };
            let (entries, bytes) = measure(&path, &status);
            found.push(Left { path, of, entries, bytes });
        }
        found
    }

    fn lasts(&self, path: &Path) -> bool {
        path.starts_with(LASTING) && !self.places.iter().any(|place| path.starts_with(place))
    }

    /// Whose it is, by its name or its owner.
    fn whose(&self, path: &Path, status: &Statx) -> Option<String> {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let has_name = |package: &&String| is_named_for(name, package.as_bytes());
        self.packages.iter().find(has_name).or_else(|| self.users.get(&status.stx_uid)).cloned()
    }
}

/// `a`, `a.log`, `a_1.0_amd64.deb`; not `a-b`, which is another package.
fn is_named_for(name: &[u8], package: &[u8]) -> bool {
    name.strip_prefix(package).is_some_and(|rest| matches!(rest.first(), None | Some(b'.' | b'_')))
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn status(path: &Path) -> Option<Statx> {
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS | StatxFlags::BTIME).ok()
}

/// When it was made; where the file system does not keep that, when it last changed. To the second, as the other time is.
fn born(status: &Statx) -> SystemTime {
    let has_birth = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::BTIME);
    let time = if has_birth { status.stx_btime } else { status.stx_ctime };
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
}

/// How many names something is, and what they take.
fn measure(path: &Path, status: &Statx) -> (u64, u64) {
    let (mut entries, mut bytes) = (1, status.stx_blocks * 512);
    let is_directory =
        |status: &Statx| FileType::from_raw_mode(status.stx_mode.into()) == FileType::Directory;
    let mut unread = if is_directory(status) { vec![path.to_owned()] } else { Vec::new() };
    while let Some(directory) = unread.pop() {
        for child in children(&directory) {
            let Some(status) = self::status(&child) else { continue };
            if entries >= MOST {
                return (entries, bytes);
            }
            entries += 1;
            bytes += status.stx_blocks * 512;
            if is_directory(&status) {
                unread.push(child);
            }
        }
    }
    (entries, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_end_where_another_begins() {
        for name in ["cron", "cron.log", "cron_3.0_amd64.deb", "cron.log.1"] {
            assert!(is_named_for(name.as_bytes(), b"cron"), "{name}");
        }
        for name in ["cron-apt", "cronie", "cro", "", "acron"] {
            assert!(!is_named_for(name.as_bytes(), b"cron"), "{name}");
        }
    }
}
