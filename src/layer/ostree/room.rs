//! Room on the disk of a repository: what ostree keeps free there (`min-free-space-percent` and `-size` of ostree.repo-config(5)), we do, too.

use super::error::Error;
use super::keyfile::KeyFile;
use crate::sys::{Context, IoError, Root};

/// What is to stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserve {
    /// Of what there is.
    Percent(u64),
    /// In bytes.
    Bytes(u64),
}

/// Where neither is set.
const DEFAULT: Reserve = Reserve::Percent(3);

/// Room for what files hold. What else is written is small, and not counted: ostree has it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// What may be taken, in bytes.
    free: u64,
    /// What is to stay free besides.
    reserved: u64,
    /// What is taken, or was to be.
    needed: u64,
    /// What a file takes is a multiple of that.
    block: u64,
}

impl Reserve {
    /// As a repository's settings have it: a size, unless it is none, before a share. What makes no sense ostree refuses, and so would not write.
    pub(super) fn of(file: &KeyFile) -> Reserve {
        let size = file.get("core", "min-free-space-size").and_then(|text| bytes(&text));
        let percent = file.get("core", "min-free-space-percent").and_then(|text| text.trim().parse().ok());
        match (size, percent) {
            (Some(size @ 1..), _) => Reserve::Bytes(size),
            (_, Some(percent)) => Reserve::Percent(percent),
            (Some(_), None) => Reserve::Bytes(0),
            (None, None) => DEFAULT,
        }
    }
}

/// `NUMBERMB`, `NUMBERGB` or `NUMBERTB`, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(2)?)?;
    let shift = match unit {
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl Room {
    /// What there is now on the file system of a repository.
    pub(super) fn on(root: &Root, reserve: Reserve) -> Result<Room, IoError> {
        let stat = rustix::fs::fstatvfs(root).context("examine the file system of", root.path())?;
        let reserved = match reserve {
            Reserve::Bytes(bytes) => bytes,
            Reserve::Percent(percent) => {
                (u128::from(stat.f_blocks) * u128::from(stat.f_frsize) * u128::from(percent) / 100) as u64
            }
        };
        let free = stat.f_bfree.saturating_mul(stat.f_frsize).saturating_sub(reserved);
        Ok(Room { free, reserved, needed: 0, block: stat.f_bsize.max(1) })
    }

    /// Whether what takes so many bytes can be written. What cannot is counted all the same.
    pub(super) fn take(&mut self, size: u64) -> bool {
        self.needed = self.needed.saturating_add(size.div_ceil(self.block).saturating_mul(self.block));
        self.needed <= self.free
    }

    /// Whether all could be written that was asked for.
    pub(super) fn check(&self, root: &Root) -> Result<(), Error> {
        if self.needed <= self.free {
            return Ok(());
        }
        let Room { free, reserved, needed, .. } = *self;
        Err(Error::NoRoom { path: root.path().to_owned(), needed, free, reserved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(text: &str) -> Reserve {
        Reserve::of(&KeyFile::parse(&format!("[core]\n{text}\n")).expect("settings"))
    }

    #[test]
    fn a_size_counts_before_a_share_unless_it_is_none() {
        assert_eq!(reserve(""), Reserve::Percent(3));
        assert_eq!(reserve("min-free-space-percent=0"), Reserve::Percent(0));
        assert_eq!(reserve("min-free-space-size=500MB"), Reserve::Bytes(524_288_000));
        assert_eq!(reserve("min-free-space-size=1TB\nmin-free-space-percent=7"), Reserve::Bytes(1 << 40));
        assert_eq!(reserve("min-free-space-size=0MB\nmin-free-space-percent=7"), Reserve::Percent(7));
        for nonsense in ["MB", "-1MB", "5", "5kB", "99999999999TB", "é"] {
            assert_eq!(reserve(&format!("min-free-space-size={nonsense}")), DEFAULT, "{nonsense}");
        }
    }

    #[test]
    fn files_take_whole_blocks_and_all_are_counted() {
        let mut room = Room { free: 8192, reserved: 1, needed: 0, block: 4096 };
        assert!(room.take(0) && room.take(1) && room.take(4096));
        assert!(!room.take(1) && !room.take(u64::MAX));
    }
}
