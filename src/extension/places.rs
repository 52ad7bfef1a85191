//! Where a host keeps its extensions, and which of several with one name counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::release::name_of;
use super::{Class, Error, SystemdVersion, order, versions};
use crate::host::Host;
use crate::sys::{FileKind, Root};

/// One entry of these directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The extension's name.
    pub name: String,
    /// Where it is, below the root.
    pub path: PathBuf,
    /// What it is.
    pub form: Form,
    /// The entry of the same name that counts instead.
    pub hidden_by: Option<PathBuf>,
}

/// What an extension can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A directory with its files.
    Directory,
    /// A directory without any: it only keeps those of its name from being merged that other directories have.
    Mask,
    /// An image, or a block device with one.
    Image,
    /// A directory of several versions (systemd.v(7)), none of which systemd takes. Where it takes one, that is the entry.
    Versions,
}

/// The directories that systemd looks in, the one that counts first.
pub fn directories(class: Class, systemd: SystemdVersion) -> &'static [&'static str] {
    const SYSEXT: &[&str] = &[
        "etc/extensions",
        "run/extensions",
        "var/lib/extensions",
        "usr/local/lib/extensions",
        "usr/lib/extensions",
    ];
    const CONFEXT: &[&str] =
        &["run/confexts", "var/lib/confexts", "usr/local/lib/confexts", "usr/lib/confexts"];
    match class {
        Class::Sysext if systemd.major >= 254 => &SYSEXT[..3],
        Class::Sysext => SYSEXT,
        Class::Confext => CONFEXT,
    }
}

/// All extensions that a root has, in the order in which they are laid: the last one on top.
pub fn candidates(root: &Root, class: Class, systemd: SystemdVersion) -> Result<Vec<Candidate>, Error> {
    let mut first: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut found = Vec::new();
    for directory in directories(class, systemd) {
        let opened = match root.open_dir(directory) {
            Ok(opened) => opened,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        let mut entries = opened.entries()?;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        for entry in entries {
            let path = Path::new(directory).join(&entry.name);
            let Some(file) = entry.name.to_str() else { continue };
            let Some((name, path, form)) = look_at(root, &path, file, class, systemd)? else { continue };
            if form == Form::Versions {
                // Nothing of it is there for systemd, and hides nothing.
                found.push(Candidate { name, path, form, hidden_by: None });
                continue;
            }
            let counts = first.entry(name.clone()).or_insert_with(|| path.clone());
            let hidden_by = (*counts != path).then(|| counts.clone());
            found.push(Candidate { name, path, form, hidden_by });
        }
    }
    found.sort_by(|one, other| order::compare(&one.name, &other.name));
    Ok(found)
}

/// The name of an entry, where it is and its form; `None` where it is no extension. Links that lead nowhere are none.
fn look_at(
    root: &Root,
    path: &Path,
    file: &str,
    class: Class,
    systemd: SystemdVersion,
) -> Result<Option<(String, PathBuf, Form)>, Error> {
    let Ok(stat) = root.stat(path) else { return Ok(None) };
    let versions = file.strip_suffix(".v").filter(|_| systemd.major >= 256);
    let (name, form) = match FileKind::of(&stat) {
        FileKind::File => (name_of(file, true, class, systemd), Form::Image),
        FileKind::BlockDevice => (name_of(file, false, class, systemd), Form::Image),
        FileKind::Directory if let Some(inner) = versions => {
            return of_versions(root, path, inner, class, systemd);
        }
        FileKind::Directory => {
            let is_empty = root.open_dir(path)?.is_empty()?;
            (name_of(file, false, class, systemd), if is_empty { Form::Mask } else { Form::Directory })
        }
        _ => return Ok(None),
    };
    Ok(name.map(|name| (name, path.to_owned(), form)))
}

/// The version that is taken of a directory of several: `inner` is its name without `.v`.
fn of_versions(
    root: &Root,
    path: &Path,
    inner: &str,
    class: Class,
    systemd: SystemdVersion,
) -> Result<Option<(String, PathBuf, Form)>, Error> {
    let is_image = inner.strip_suffix(".raw").is_some();
    let Some(name) = name_of(inner, is_image, class, systemd) else { return Ok(None) };
    let suffix = inner.strip_prefix(&*name).unwrap_or_default();
    let entries = root.open_dir(path)?.entries()?;
    let files = entries.iter().filter_map(|entry| entry.name.to_str());
    let none = Ok(Some((name.clone(), path.to_owned(), Form::Versions)));
    let Some(file) = versions::newest(files, &name, suffix, Host::architecture(), systemd) else {
        return none;
    };
    let path = path.join(file);
    let Ok(stat) = root.stat(&path) else { return none };
    // Of what is of another kind, systemd looks for no other.
    let form = match (FileKind::of(&stat), is_image) {
        (FileKind::File | FileKind::BlockDevice, true) => Form::Image,
        (FileKind::Directory, false) if root.open_dir(&path)?.is_empty()? => Form::Mask,
        (FileKind::Directory, false) => Form::Directory,
        _ => return none,
    };
    Ok(Some((name, path, form)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_first_of_a_name_counts() {
        let place = tempfile::tempdir().expect("a directory");
        let make = |path: &str| std::fs::create_dir_all(place.path().join(path)).expect("a directory");
        for path in [
            "etc/extensions/masked",
            "run/extensions/a/usr",
            "var/lib/extensions/a/usr",
            "var/lib/extensions/masked/usr",
            "var/lib/extensions/b.v",
            "var/lib/extensions/c.v/c_1/usr",
            "var/lib/extensions/c.v/c_2/usr",
            "var/lib/extensions/d.raw.v/d_1.raw",
            "run/extensions/e.sysext.raw.v",
            "var/lib/extensions/.#c",
            "usr/lib/extensions/old/usr",
        ] {
            make(path);
        }
        let root = Root::open(place.path()).expect("it opens");
        std::fs::write(place.path().join("var/lib/extensions/image.raw"), "x").expect("a file");
        std::fs::write(place.path().join("var/lib/extensions/README"), "x").expect("a file");
        std::fs::write(place.path().join("run/extensions/e.sysext.raw.v/e_3.sysext.raw"), "x")
            .expect("a file");
        symlink("/run/extensions/a", place.path().join("etc/extensions/z")).expect("a link");
        symlink("/nowhere", place.path().join("etc/extensions/y")).expect("a link");
        let found = |major| {
            let version = SystemdVersion { major, minor: 0 };
            let found = candidates(&root, Class::Sysext, version).expect("it can be read");
            let line = |one: &Candidate| {
                format!("{} {:?} {}", one.path.display(), one.form, one.hidden_by.is_some())
            };
            found.iter().map(line).collect::<Vec<_>>()
        };
        let common = [
            "run/extensions/a Directory false",
            "var/lib/extensions/a Directory true",
            "var/lib/extensions/b.v Versions false",
            "var/lib/extensions/c.v/c_2 Directory false",
            "var/lib/extensions/d.raw.v Versions false",
            "run/extensions/e.sysext.raw.v/e_3.sysext.raw Image false",
            "var/lib/extensions/image.raw Image false",
            "etc/extensions/masked Mask false",
            "var/lib/extensions/masked Directory true",
            "etc/extensions/z Directory false",
        ];
        assert_eq!(found(257), common);
        assert!(found(252).contains(&"usr/lib/extensions/old Directory false".to_owned()));
        assert!(found(252).contains(&"var/lib/extensions/b.v Mask false".to_owned()));
    }
}
