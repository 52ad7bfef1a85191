//! Files that programs make from what many packages bring: an index of libraries, of types, of icons.
//!
//! An overlay's own knows nothing of what the new base brings, and the base's nothing of the overlay's
//! packages. So it is neither kept nor dropped but made anew, inside, before anything else runs there.

use std::ffi::OsStr;
use std::path::Path;

use super::seen;
use crate::overlay::layers;
use crate::sys::{IoError, Root, replace_file};

/// Such a file, and what makes it.
struct Cache {
    path: &'static str,
    command: &'static [&'static str],
}

const fn cache(path: &'static str, command: &'static [&'static str]) -> Cache {
    Cache { path, command }
}

const CACHES: &[Cache] = &[
    cache("/etc/ld.so.cache", &["ldconfig"]),
    cache("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", &["update-ca-trust"]),
    cache("/etc/ssl/certs/ca-certificates.crt", &["update-ca-certificates"]),
    cache("/var/lib/ca-certificates/ca-bundle.pem", &["update-ca-certificates"]),
    cache("/etc/udev/hwdb.bin", &["systemd-hwdb", "update"]),
    cache("/usr/lib/udev/hwdb.bin", &["systemd-hwdb", "--usr", "update"]),
    cache("/usr/share/applications/mimeinfo.cache", &["update-desktop-database", "/usr/share/applications"]),
    cache(
        "/usr/share/glib-2.0/schemas/gschemas.compiled",
        &["glib-compile-schemas", "/usr/share/glib-2.0/schemas"],
    ),
    cache(
        "/usr/share/icons/hicolor/icon-theme.cache",
        &["gtk-update-icon-cache", "--force", "--ignore-theme-index", "/usr/share/icons/hicolor"],
    ),
    cache("/usr/share/info/dir", &["update-info-dir"]),
    cache("/usr/share/mime/mime.cache", &["update-mime-database", "/usr/share/mime"]),
    cache("/var/cache/man/index.db", &["mandb", "--quiet"]),
];

/// Where a solver keeps what it has read of the package database. It trusts that while the database looks the same by
/// the names and numbers of its headers, and those can be the same after a merge though versions are not. It reads
/// the database again where that is missing.
const MEMORIES: &[&str] = &["/var/cache/zypp/solv/@System"];

/// The file that lists what is still to be made, as JSON: an array of commands.
const PENDING: &str = "pending";

/// Whether a path of the view is such a file.
pub(super) fn is_cache(path: &Path) -> bool {
    CACHES.iter().any(|cache| path == Path::new(cache.path))
}

/// Whether a path of the view is what a solver has noted of packages, which may have changed since.
pub(super) fn is_memory(path: &Path) -> bool {
    MEMORIES.iter().any(|memory| path.starts_with(memory))
}

/// The commands that make those among the files of an overlay.
pub(super) fn commands(mut has: impl FnMut(&Path) -> bool) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for cache in CACHES.iter().filter(|cache| has(Path::new(cache.path))) {
        let command: Vec<String> = cache.command.iter().map(|&word| word.to_owned()).collect();
        if !found.contains(&command) {
            found.push(command);
        }
    }
    found
}

/// Notes what is to be run in an overlay before anything else.
pub(super) fn note(layers: &Root, commands: &[Vec<String>]) -> Result<(), IoError> {
    if commands.is_empty() {
        return Ok(());
    }
    layers.make_dir(seen::DIRECTORY, 0o700)?;
    let text = serde_json::to_string(commands).expect("only strings");
    replace_file(&layers.open_child(OsStr::new(seen::DIRECTORY))?, PENDING, text.as_bytes())
}

/// What is to be run in an overlay before anything else, since its base has changed.
pub fn pending(overlay: &Root) -> Result<Vec<Vec<String>>, IoError> {
    let text = match open(overlay).and_then(|dir| dir.read(PENDING, 1 << 20)) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    // Of a damaged list nothing can be run.
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// Notes that all of it was run.
pub fn forget_pending(overlay: &Root) -> Result<(), IoError> {
    use crate::sys::Context;
    match open(overlay) {
        Ok(dir) => match rustix::fs::unlinkat(&dir, PENDING, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context("remove", dir.join(PENDING)),
        },
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn open(overlay: &Root) -> Result<Root, IoError> {
    overlay.open_child(OsStr::new(layers::DIRECTORY))?.open_child(OsStr::new(seen::DIRECTORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_run_once() {
        let all = commands(|_| true);
        assert_eq!(all.iter().filter(|command| command[0] == "update-ca-certificates").count(), 1);
        assert!(commands(|_| false).is_empty());
        assert_eq!(commands(|path| path == Path::new("/etc/ld.so.cache")), [["ldconfig"]]);
    }

    #[test]
    fn what_a_solver_has_noted_of_installed_packages_is_known() {
        assert!(is_memory(Path::new("/var/cache/zypp/solv/@System/solv")));
        assert!(!is_memory(Path::new("/var/cache/zypp/solv/main/solv")));
    }

    #[test]
    fn what_is_pending_is_forgotten_when_done() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join(layers::DIRECTORY)).expect("a directory");
        let overlay = Root::open(dir.path()).expect("it opens");
        let layers = overlay.open_dir(layers::DIRECTORY).expect("it opens");
        assert!(pending(&overlay).expect("readable").is_empty());
        let commands = vec![vec!["a".to_owned(), "b c".to_owned()]];
        note(&layers, &commands).expect("writable");
        assert_eq!(pending(&overlay).expect("readable"), commands);
        forget_pending(&overlay).expect("writable");
        forget_pending(&overlay).expect("nothing to do");
        assert!(pending(&overlay).expect("readable").is_empty());
    }
}
