//! What a root wants to be active: `/etc/onlay/extensions/NAME.raw`, each a link to an image; until the reboot also
//! `/run/onlay/extensions/NAME.raw`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Error;
use super::images::parts;
use super::links::{remove_file, replace_link};
use crate::sys::{FileKind, Root, sync_dir};

/// The directory, below a root.
pub(super) const PLACE: &str = "etc/onlay/extensions";
/// The same for what is enabled until the reboot.
pub(super) const UNTIL_REBOOT: &str = "run/onlay/extensions";

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enabled {
    /// The extension's name.
    pub name: String,
    /// The image, as the running host sees it when that root runs.
    pub image: PathBuf,
    /// When it was enabled, in seconds and nanoseconds since 1970: of two that do not go together, the later one is held back.
    pub since: (i64, i64),
    /// Whether it is enabled only until the reboot.
    pub until_reboot: bool,
}

impl Enabled {
    /// The version of the image, by its name.
    pub fn version(&self) -> String {
        let file = self.image.file_name().unwrap_or_default().to_string_lossy();
        parts(&file).map(|(_, version)| version.to_owned()).unwrap_or_default()
    }
}

/// All of a root, in the order of their names. What is enabled until the reboot only root is told of: others may not look
/// into `/run/onlay`.
pub fn enabled(root: &Root) -> Result<Vec<Enabled>, Error> {
    let mut found = lasting(root)?;
    match links(root, UNTIL_REBOOT) {
        Err(Error::Io(error)) if error.is_denied() => {}
        other => found.extend(other?),
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// All of a root that are enabled over reboots, in the order of their names.
pub fn lasting(root: &Root) -> Result<Vec<Enabled>, Error> {
    let mut found = links(root, PLACE)?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn links(root: &Root, place: &str) -> Result<Vec<Enabled>, Error> {
    let dir = match root.open_dir(place) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in dir.entries()? {
        let Some(name) = name_of(&entry.name) else { continue };
        let Some(stat) = dir.lstat(&entry.name)? else { continue };
        if FileKind::of(&stat) != FileKind::Symlink {
            continue;
        }
        let image = Path::new("/").join(place).join(dir.read_link(&entry.name)?);
        let since = (stat.st_mtime as _, stat.st_mtime_nsec as _);
        found.push(Enabled { name: name.to_owned(), image, since, until_reboot: place == UNTIL_REBOOT });
    }
    Ok(found)
}

fn name_of(file: &OsStr) -> Option<&str> {
    file.to_str()?.strip_suffix(".raw").filter(|name| !name.is_empty() && !name.starts_with('.'))
}

/// Enables an image, in place of another one of its name. Says whether anything changed.
pub(super) fn enable(root: &Root, name: &str, image: &Path) -> Result<bool, Error> {
    link(root, PLACE, name, image)
}

/// The same, until the reboot. The image is in RAM or in the folder of images.
pub(super) fn enable_until_reboot(root: &Root, name: &str, image: &Path) -> Result<bool, Error> {
    link(root, UNTIL_REBOOT, name, image)
}

/// The image that a name has until the reboot.
pub(super) fn until_reboot(root: &Root, name: &str) -> Result<Option<PathBuf>, Error> {
    match root.read_link_exact(Path::new(UNTIL_REBOOT).join(format!("{name}.raw"))) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?.into())),
    }
}

fn link(root: &Root, place: &str, name: &str, image: &Path) -> Result<bool, Error> {
    root.make_dirs(place, 0o755)?;
    let dir = root.open_dir(place)?;
    let changed = replace_link(&dir, &format!("{name}.raw"), image)?;
    if changed {
        sync_dir(&dir)?;
    }
    Ok(changed)
}

/// Disables what has a name.
pub(super) fn disable(root: &Root, name: &str) -> Result<(), Error> {
    [PLACE, UNTIL_REBOOT].iter().try_for_each(|place| unlink(root, place, name))
}

/// Disables what has a name until the reboot alone.
pub(super) fn disable_until_reboot(root: &Root, name: &str) -> Result<(), Error> {
    unlink(root, UNTIL_REBOOT, name)
}

fn unlink(root: &Root, place: &str, name: &str) -> Result<(), Error> {
    let dir = match root.open_dir(place) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    remove_file(&dir, format!("{name}.raw"))?;
    Ok(sync_dir(&dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_image_of_an_extension() {
        let place = tempfile::tempdir().expect("a directory");
        let root = Root::open(place.path()).expect("it opens");
        assert!(enabled(&root).expect("readable").is_empty());
        let images = |root: &Root| -> Vec<String> {
            let found = enabled(root).expect("readable");
            found.iter().map(|link| format!("{} {}", link.name, link.image.display())).collect()
        };
        assert!(enable(&root, "gdb", Path::new("/images/gdb_1_any.raw")).expect("it is ours"));
        assert!(!enable(&root, "gdb", Path::new("/images/gdb_1_any.raw")).expect("it is ours"));
        assert!(enable(&root, "a", Path::new("/images/a_1_any.raw")).expect("it is ours"));
        assert!(enable(&root, "gdb", Path::new("/images/gdb_2_any.raw")).expect("it is ours"));
        std::fs::write(place.path().join(PLACE).join("file.raw"), "").expect("a file");
        assert_eq!(images(&root), ["a /images/a_1_any.raw", "gdb /images/gdb_2_any.raw"]);
        disable(&root, "gdb").expect("it is ours");
        disable(&root, "gdb").expect("it is ours");
        assert_eq!(images(&root), ["a /images/a_1_any.raw"]);
        enable_until_reboot(&root, "now", Path::new("/run/now_1_any.raw")).expect("it is ours");
        assert_eq!(images(&root), ["a /images/a_1_any.raw", "now /run/now_1_any.raw"]);
        assert_eq!(lasting(&root).expect("readable").len(), 1);
        disable(&root, "now").expect("it is ours");
        assert_eq!(images(&root), ["a /images/a_1_any.raw"]);
    }
}
