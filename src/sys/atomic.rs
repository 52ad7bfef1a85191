//! Durable writes: the old content or the new one, never a mixture, also after a power cut.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;

use rustix::fs::{AtFlags, Mode, OFlags};

use super::{Context, IoError, Root};

/// Replaces `name` in `dir` by a file with `content`: written aside, synced, renamed over the old
/// one, and the directory synced (rename(2), fsync(2)).
pub fn replace_file(dir: &Root, name: &str, content: &[u8]) -> Result<(), IoError> {
    replace_public(dir, name, 0o600, content)
}

fn write_aside(dir: &Root, aside: &str, content: &[u8]) -> Result<File, IoError> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(0o600);
    let mut file =
        rustix::fs::openat(dir, aside, flags, mode).map(File::from).context("create", dir.join(aside))?;
    file.write_all(content).context("write", dir.join(aside))?;
    Ok(file)
}

/// Makes creations, renames and removals in `dir` durable.
pub fn sync_dir(dir: &Root) -> Result<(), IoError> {
    // A directory opened with O_PATH cannot be synced, so it is opened again for reading.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, OsStr::new("."), flags, Mode::empty()).context("open", dir.path())?;
    rustix::fs::fsync(fd).context("sync", dir.path())
}

/// Makes all that was written to the file system of `dir` durable (syncfs(2)).
pub fn sync_file_system(dir: &Root) -> Result<(), IoError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, OsStr::new("."), flags, Mode::empty()).context("open", dir.path())?;
    rustix::fs::syncfs(fd).context("sync", dir.path())
}

/// Replaces a file like [`replace_file`], with a mode of its own: for files that others read.
pub fn replace_public(dir: &Root, name: &str, mode: u32, content: &[u8]) -> Result<(), IoError> {
    let aside = format!(".{name}.new");
    // What an earlier run left aside.
    let _ = rustix::fs::unlinkat(dir, &aside, AtFlags::empty());
    let result = write_new(dir, &aside, mode, content)
        .and_then(|()| rustix::fs::renameat(dir, &aside, dir, name).context("replace", dir.join(name)));
    if result.is_err() {
        // The error that matters is the first one.
        let _ = rustix::fs::unlinkat(dir, &aside, AtFlags::empty());
    }
    result.and_then(|()| sync_dir(dir))
}

/// Replaces a file like [`replace_file`], without syncing: for directories that a reboot empties.
pub fn replace_volatile(dir: &Root, name: &str, content: &[u8]) -> Result<(), IoError> {
    let aside = format!(".{name}.new");
    write_aside(dir, &aside, content)?;
    rustix::fs::renameat(dir, &aside, dir, name).context("replace", dir.join(name))
}

/// Makes a new file with `content` and a mode, and syncs it. Nothing must be there.
pub fn write_new(dir: &Root, name: &str, mode: u32, content: &[u8]) -> Result<(), IoError> {
    make_new(dir, name, mode, content)?.sync_all().context("sync", dir.join(name))
}

/// Makes a new file like [`write_new`], which is to be synced by [`sync_file_system`]: one of very many.
pub fn write_new_unsynced(dir: &Root, name: &str, mode: u32, content: &[u8]) -> Result<(), IoError> {
    make_new(dir, name, mode, content).map(drop)
}

fn make_new(dir: &Root, name: &str, mode: u32, content: &[u8]) -> Result<File, IoError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode))
        .map(File::from)
        .context("create", dir.join(name))?;
    // The umask is nobody's wish for this file.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).context("change mode of", dir.join(name))?;
    file.write_all(content).context("write", dir.join(name))?;
    Ok(file)
}
