//! The file that makes a set of files an extension: `extension-release.NAME`, in the format of os-release(5), and which
//! names of extensions it goes with.

use std::path::{Path, PathBuf};

use super::contents::read_whole;
use super::{Contents, Error, Layer, Stack, SystemdVersion};
use crate::host::OsRelease;
use crate::sys::FileKind;

const PREFIX: &str = "extension-release.";
const STRICT: &str = "user.extension-release.strict";
const LARGEST: usize = 64 * 1024;

/// What an extension extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// /usr and /opt: systemd-sysext(8).
    Sysext,
    /// /etc: systemd-confext(8), since systemd 254.
    Confext,
}

/// The file that goes with an extension's name, or why none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// There is one.
    Found {
        /// Where it is.
        path: PathBuf,
        /// What it says.
        fields: OsRelease,
    },
    /// None goes with the name.
    Missing {
        /// The name that one was looked for with.
        name: String,
        /// The names that there are, and why each does not count.
        others: Vec<Other>,
    },
    /// Several do, and none has the name itself.
    Ambiguous {
        /// Their names.
        names: Vec<String>,
    },
}

/// A release file with another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// What follows `extension-release.`.
    pub name: String,
    /// What its attribute `user.extension-release.strict` says.
    pub strict: Strictness,
}

/// Whether a release file must have the extension's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Nothing is said: it must.
    Unsaid,
    /// It must.
    Strict,
    /// It need not.
    Relaxed,
}

impl Class {
    /// The directories that it is laid over, by their names in the root.
    pub fn hierarchies(self) -> &'static [&'static str] {
        match self {
            Class::Sysext => &["usr", "opt"],
            Class::Confext => &["etc"],
        }
    }

    /// Where its release files are.
    pub fn release_directory(self) -> &'static Path {
        Path::new(match self {
            Class::Sysext => "usr/lib/extension-release.d",
            Class::Confext => "etc/extension-release.d",
        })
    }

    /// The field by which a host and extensions say that they go together whatever their versions.
    pub fn level_field(self) -> &'static str {
        match self {
            Class::Sysext => "SYSEXT_LEVEL",
            Class::Confext => "CONFEXT_LEVEL",
        }
    }

    /// The field that says where an extension may be used.
    pub fn scope_field(self) -> &'static str {
        match self {
            Class::Sysext => "SYSEXT_SCOPE",
            Class::Confext => "CONFEXT_SCOPE",
        }
    }

    /// What some files are an extension of: of /etc where they have a release file for that, and none for /usr.
    pub fn of(contents: &dyn Contents) -> Result<Class, Error> {
        let has = |class: Class| Ok::<_, Error>(contents.look(class.release_directory())?.is_some());
        Ok(if !has(Class::Sysext)? && has(Class::Confext)? { Class::Confext } else { Class::Sysext })
    }

    fn suffix(self) -> &'static str {
        match self {
            Class::Sysext => ".sysext",
            Class::Confext => ".confext",
        }
    }
}

/// The name of the extension that a directory or image with this file name is; `None` where it is taken for none.
pub fn name_of(file: &str, is_image: bool, class: Class, systemd: SystemdVersion) -> Option<String> {
    let name = if is_image { file.strip_suffix(".raw")? } else { file };
    let name = match name.strip_suffix(class.suffix()) {
        Some(shorter) if systemd.major >= 255 => shorter,
        _ => name,
    };
    is_name(name).then(|| name.to_owned())
}

/// Whether a name may be an image's.
fn is_name(name: &str) -> bool {
    let is_file_name =
        !name.is_empty() && name != "." && name != ".." && !name.contains('/') && name.len() <= 255;
    is_file_name && !name.starts_with(".#") && !name.bytes().any(|byte| byte < b' ' || byte == 0x7f)
}

/// What is left of an extension's name without a version and what else follows.
fn base_name(name: &str) -> &str {
    let name = [".sysext.raw", ".confext.raw", ".raw"]
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name);
    name.split(['_', '+']).next().unwrap_or_default()
}

impl Release {
    /// Finds the file as systemd does: the one of the extension's name, else the only one with another name that goes
    /// with it.
    pub fn find(
        contents: &dyn Contents,
        class: Class,
        name: &str,
        systemd: SystemdVersion,
    ) -> Result<Release, Error> {
        let stack = Stack::new(vec![Layer { contents, hierarchies: None }]);
        let own = class.release_directory().join(format!("{PREFIX}{name}"));
        if let Some(node) = stack.resolve(&own)? {
            let is_file = node.item.kind == FileKind::File;
            return if is_file { read(contents, &node.path) } else { Ok(Release::nowhere(name)) };
        }
        let Some(directory) = stack.resolve(class.release_directory())? else {
            return Ok(Release::nowhere(name));
        };
        let mut fitting = Vec::new();
        let mut others = Vec::new();
        for file in stack.list(&directory.path)? {
            let Some(other) = file.to_str().and_then(|file| file.strip_prefix(PREFIX)) else { continue };
            let path = directory.path.join(&file);
            let is_file = contents.look(&path)?.is_some_and(|item| item.kind == FileKind::File);
            if !is_file || !is_name(other) {
                continue;
            }
            let strict = strictness(contents, &path)?;
            let has_base_name = systemd.major >= 257 && other == base_name(name);
            if has_base_name || strict == Strictness::Relaxed {
                fitting.push((other.to_owned(), path));
            } else {
                others.push(Other { name: other.to_owned(), strict });
            }
        }
        match fitting.as_slice() {
            [] => Ok(Release::Missing { name: name.to_owned(), others }),
            [(_, path)] => read(contents, path),
            several => {
                Ok(Release::Ambiguous { names: several.iter().map(|(name, _)| name.clone()).collect() })
            }
        }
    }

    fn nowhere(name: &str) -> Release {
        Release::Missing { name: name.to_owned(), others: Vec::new() }
    }
}

fn read(contents: &dyn Contents, path: &Path) -> Result<Release, Error> {
    let content = read_whole(contents, path, LARGEST)?;
    // Of a file that is no UTF-8, systemd takes nothing.
    let fields = std::str::from_utf8(&content).map(OsRelease::parse).unwrap_or_default();
    Ok(Release::Found { path: path.to_owned(), fields })
}

fn strictness(contents: &dyn Contents, path: &Path) -> Result<Strictness, Error> {
    let value = contents.attribute(path, STRICT)?;
    let Some(value) = value else { return Ok(Strictness::Unsaid) };
    let value = String::from_utf8_lossy(&value).trim_end_matches('\0').to_ascii_lowercase();
    Ok(match value.as_str() {
        "0" | "no" | "n" | "false" | "f" | "off" => Strictness::Relaxed,
        _ => Strictness::Strict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Directory;
    use crate::sys::{Root, Xattrs};

    const V252: SystemdVersion = SystemdVersion { major: 252, minor: 39 };
    const V257: SystemdVersion = SystemdVersion { major: 257, minor: 13 };

    #[test]
    fn a_name_is_that_of_the_file_without_its_suffixes() {
        let name = |file: &str, is_image, version| name_of(file, is_image, Class::Sysext, version);
        for (file, is_image, old, new) in [
            ("x.raw", true, Some("x"), Some("x")),
            ("x", true, None, None),
            ("x", false, Some("x"), Some("x")),
            ("x_1.2+3.raw", true, Some("x_1.2+3"), Some("x_1.2+3")),
            ("x.sysext.raw", true, Some("x.sysext"), Some("x")),
            ("x.sysext", false, Some("x.sysext"), Some("x")),
            ("x.confext", false, Some("x.confext"), Some("x.confext")),
            (".#x", false, None, None),
            ("a\tb", false, None, None),
            (".raw", true, None, None),
        ] {
            assert_eq!(name(file, is_image, V252).as_deref(), old, "{file}");
            assert_eq!(name(file, is_image, V257).as_deref(), new, "{file}");
        }
    }

    /// Which release file goes with the name, where there are these, each with its attribute.
    fn found(name: &str, files: &[(&str, Option<&str>)], systemd: SystemdVersion) -> String {
        let place = tempfile::tempdir_in("/var/tmp").expect("a directory");
        let directory = place.path().join("usr/lib/extension-release.d");
        std::fs::create_dir_all(&directory).expect("a directory");
        let opened = Root::open(&directory).expect("it opens");
        for (file, strict) in files {
            std::fs::write(directory.join(format!("{PREFIX}{file}")), "ID=_any\n").expect("a file");
            if let Some(value) = strict {
                let file = format!("{PREFIX}{file}");
                Xattrs::set(&opened, Path::new(&file), STRICT.as_bytes(), value.as_bytes())
                    .expect("attributes");
            }
        }
        let contents = Directory::new(Root::open(place.path()).expect("it opens"));
        match Release::find(&contents, Class::Sysext, name, systemd).expect("it can be read") {
            Release::Found { path, fields } => {
                assert_eq!(fields.get("ID"), Some("_any"));
                let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                name[PREFIX.len()..].to_owned()
            }
            Release::Missing { others, .. } => format!("none of {}", others.len()),
            Release::Ambiguous { names } => format!("all of {}", names.join(" ")),
        }
    }

    #[test]
    fn a_release_file_has_the_name_of_its_extension() {
        for (name, files, old, new) in [
            ("x", &[("x", None)][..], "x", "x"),
            ("x", &[("y", None)], "none of 1", "none of 1"),
            ("x", &[("y", Some("0"))], "y", "y"),
            ("x", &[("y", Some("no"))], "y", "y"),
            ("x", &[("y", Some("1"))], "none of 1", "none of 1"),
            ("x", &[("y", Some("maybe"))], "none of 1", "none of 1"),
            ("x", &[("y", Some("0")), ("z", Some("0"))], "all of y z", "all of y z"),
            ("x", &[("x", None), ("z", Some("0"))], "x", "x"),
            ("x_1.2", &[("x", None)], "none of 1", "x"),
            ("x+1", &[("x", None)], "none of 1", "x"),
            ("x-1", &[("x", None)], "none of 1", "none of 1"),
            ("x_1", &[("x", Some("1"))], "none of 1", "x"),
            ("x_1", &[("x", None), ("y", Some("0"))], "y", "all of x y"),
            ("x_1", &[("x_1", None), ("x", None)], "x_1", "x_1"),
            ("x", &[], "none of 0", "none of 0"),
        ] {
            assert_eq!(found(name, files, V252), old, "{name} {files:?}");
            assert_eq!(found(name, files, V257), new, "{name} {files:?}");
        }
    }
}
