//! What our units of systemd's have in common, whatever they are for: how they name paths, which program they start, and where
//! they are. Each is wanted by `sysinit.target`, and required by nobody.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::kept::why_fleeting;
use super::record::remove_file;
use crate::host::Host;
use crate::sys::{Context, IoError, Root, replace_public, sync_dir};

/// Where systemd looks for what the administrator wants.
pub const DIRECTORY: &str = "/etc/systemd/system";
const WANTED: &str = "sysinit.target.wants";

/// Puts a unit where a root's systemd finds it at the next boot. Says whether anything changed.
pub fn install(root: &Root, unit: &str, text: &str) -> Result<bool, IoError> {
    let is_new = put(root, unit, text)?;
    Ok(want(root, unit, WANTED)? || is_new)
}

/// Takes a unit away. Says whether there was one.
pub fn uninstall(root: &Root, unit: &str) -> Result<bool, IoError> {
    remove(root, unit, WANTED)
}

/// Puts a unit where it is found, and has nobody want it. Says whether anything changed.
pub fn put(root: &Root, unit: &str, text: &str) -> Result<bool, IoError> {
    root.make_dirs(DIRECTORY, 0o755)?;
    let directory = root.open_dir(DIRECTORY)?;
    let is_new = directory.read(unit, 1 << 20).ok().as_deref() != Some(text.as_bytes());
    if is_new {
        replace_public(&directory, unit, 0o644, text.as_bytes())?;
    }
    Ok(is_new)
}

/// Has a target want a unit that is there, by the directory that says so (`sysinit.target.wants`). Says whether anything
/// changed.
pub fn want(root: &Root, unit: &str, wanted: &str) -> Result<bool, IoError> {
    root.make_dirs(Path::new(DIRECTORY).join(wanted), 0o755)?;
    let wanted = root.open_dir(Path::new(DIRECTORY).join(wanted))?;
    match rustix::fs::symlinkat(format!("../{unit}"), &wanted, unit) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Ok(false),
        Err(error) => return Err(error).context("create", wanted.join(unit)),
    }
    sync_dir(&wanted)?;
    Ok(true)
}

/// Takes a unit away that is wanted there. Says whether there was one.
pub fn remove(root: &Root, unit: &str, wanted: &str) -> Result<bool, IoError> {
    let directory = match root.open_dir(DIRECTORY) {
        Err(error) if error.is_not_found() => return Ok(false),
        other => other?,
    };
    let was = directory.lstat(unit)?.is_some();
    if let Ok(wanted) = directory.open_dir(wanted) {
        remove_file(&wanted, unit)?;
    }
    remove_file(&directory, unit)?;
    Ok(was)
}

/// How a unit starts the program, for a state directory; `None` for paths that it cannot name.
pub fn command(program: &Path, state: &Path) -> Option<String> {
    let in_command = |path| Some(quoted(path)?.replace('$', "$$"));
    Some(format!("{} --state {}", in_command(program)?, in_command(state)?))
}

/// A path as systemd.syntax(7) quotes it, its specifiers doubled.
pub fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control))?;
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")))
}

/// The program that runs, by a path that leads to it at the next boot, too, and that nobody else can give another.
pub fn program(host: &Host) -> Result<PathBuf, Error> {
    let path = std::env::current_exe().context("find", "/proc/self/exe")?;
    let fleeting = |reason| Error::Fleeting { what: "this program", path: path.clone(), reason };
    let running = std::fs::metadata("/proc/self/exe").context("examine", "/proc/self/exe")?;
    let times = |file: &std::fs::Metadata| (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
    // Through an overlay that was laid since it was started, the same file is on another device.
    let is_it = |found: &std::fs::Metadata| {
        (found.dev(), found.ino()) == (running.dev(), running.ino())
            || (found.len(), times(found)) == (running.len(), times(&running))
    };
    if !std::fs::metadata(&path).is_ok_and(|found| is_it(&found)) {
        return Err(fleeting("the host has another file there, or none"));
    }
    if let Some(reason) = why_fleeting(host, &path) {
        return Err(fleeting(reason));
    }
    for part in path.ancestors() {
        let found = std::fs::symlink_metadata(part).context("examine", part)?;
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            let reason = "others than root may write it, and root would run it at boot";
            return Err(Error::NotPersistent { path: part.to_owned(), reason });
        }
    }
    Ok(path)
}

/// The lowest directory on the way to a path that is there, links resolved.
pub fn existing(host: &Host, path: &Path) -> PathBuf {
    path.ancestors().find_map(|part| host.root.resolve(part).ok()).unwrap_or_else(|| PathBuf::from("/"))
}
