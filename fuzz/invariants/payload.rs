//! What must hold for any bytes that come as a package file. Each function panics where it does not.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Component, PathBuf};

use onlay::package::archive::{Error, Kind, Limits, PackageFile};

/// A package is read to its end or refused; what comes of it stays inside, and contradicts nothing before it.
pub(crate) fn package(data: &[u8], mut file: File) {
    file.write_all(data).expect("a place for files");
    let Ok(package) = PackageFile::from_file("fuzzed", file) else { return };
    let _ = (package.version(), package.source(), package.installed_size(), package.systemd_architecture());
    assert!(package.scripts().len() < 20 && !package.name().is_empty());
    let limits = Limits { entries: 1000, bytes: 4 << 20, check_files: data.len().is_multiple_of(2) };
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let mut no_directories: HashSet<PathBuf> = HashSet::new();
    let mut bytes = 0;
    let result = package.visit(&limits, |entry, content| -> Result<(), Error> {
        assert!(entry.path.components().all(|name| matches!(name, Component::Normal(_))), "{entry:?}");
        assert!(entry.path.ancestors().skip(1).all(|parent| !no_directories.contains(parent)), "{entry:?}");
        assert!(seen.insert(entry.path.clone()) || entry.kind == Kind::Directory, "{entry:?}");
        assert!(entry.mode & !0o7777 == 0 && (entry.size == 0 || entry.kind == Kind::File), "{entry:?}");
        if let Kind::Hardlink(target) = &entry.kind {
            assert!(no_directories.contains(target), "{entry:?}");
        }
        if entry.kind != Kind::Directory {
            no_directories.insert(entry.path.clone());
        }
        let mut buffer = [0; 4096];
        let mut read = 0;
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break assert_eq!(read, entry.size),
                Ok(length) => read += length as u64,
                // It comes back as the visit's own.
                Err(_) => break,
            }
        }
        bytes += entry.size;
        assert!(bytes <= limits.bytes && seen.len() as u64 <= limits.entries);
        Ok(())
    });
    if let Ok(summary) = result {
        assert_eq!(summary.bytes, bytes);
    }
}
