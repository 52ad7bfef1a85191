//! Which files a package has, with what digests, and where they really are.
//!
//! `info/PKG.list` has all paths, `info/PKG.md5sums` the digests of regular files but those of configuration, whose
//! digests are in the Conffiles field. A diverted file is elsewhere; and where `/bin` is a link to `usr/bin`,
//! packages name their files either way.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::lines::path;
use super::{Conffile, Diversions};
use crate::sys::{IoError, Root};

/// A path that a package has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledFile {
    /// The path as the package names it.
    pub path: PathBuf,
    /// Where its file is: not diverted, and without links among the directories of the root.
    pub location: PathBuf,
    /// The MD5 of what the package brought, in hexadecimal; directories and links have none.
    pub digest: Option<String>,
    /// It is a file of configuration, which the administrator may have changed.
    pub is_conffile: bool,
}

/// Directories of the root that are links into `/usr`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(Vec<(PathBuf, PathBuf)>);

impl Aliases {
    /// Reads a root's links: `/bin` to `usr/bin` and the like.
    pub fn of(root: &Root) -> Result<Aliases, IoError> {
        let mut found = Vec::new();
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"] {
            let is_link = root.lstat(name)?.is_some_and(|stat| {
                rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink
            });
            if !is_link {
                continue;
            }
            let target = Path::new("/").join(root.read_link(OsStr::new(name))?);
            if target.starts_with("/usr") && !target.components().any(|part| part.as_os_str() == "..") {
                found.push((Path::new("/").join(name), target));
            }
        }
        Ok(Aliases(found))
    }

    /// Where a path is really.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.exchange(path, |(alias, target)| (alias, target)).unwrap_or_else(|| path.to_owned())
    }

    /// A path and the other one under which a package may name it.
    pub fn names(&self, path: &Path) -> Vec<PathBuf> {
        let resolved = self.resolve(path);
        let mut names = vec![resolved.clone()];
        names.extend(self.exchange(&resolved, |(alias, target)| (target, alias)));
        names
    }

    fn exchange<'a>(
        &'a self,
        path: &Path,
        direction: impl Fn(&'a (PathBuf, PathBuf)) -> (&'a PathBuf, &'a PathBuf),
    ) -> Option<PathBuf> {
        self.0.iter().map(direction).find_map(|(from, to)| {
            let rest = path.strip_prefix(from).ok()?;
            // The link itself is no directory that could be reached through it.
            (rest != Path::new("")).then(|| to.join(rest))
        })
    }
}

/// The paths of `info/PKG.list`, without the root itself.
pub(super) fn parse_list(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"/") && !matches!(*line, b"/" | b"/."))
}

/// The digests of `info/PKG.md5sums` by their path: lines of 32 digits, two blanks, and the path without `/`. Lines
/// that are none are left out, as by dpkg: packages are built with anything in there.
pub(super) fn parse_digests(text: &[u8]) -> HashMap<&[u8], &str> {
    let line = |line| -> Option<(&[u8], &str)> {
        let (digest, rest) = <[u8]>::split_at_checked(line, 32)?;
        let digest = std::str::from_utf8(digest).ok()?;
        let is_digest = digest.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_digest.then_some((rest.strip_prefix(b"  ")?, digest))
    };
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Puts together what is known of a package's files.
pub(super) struct Files<'a> {
    pub(super) package: &'a str,
    pub(super) list: &'a [u8],
    pub(super) digests: &'a [u8],
    pub(super) conffiles: &'a [Conffile],
    pub(super) diversions: &'a Diversions,
    pub(super) aliases: &'a Aliases,
}

impl Files<'_> {
    pub(super) fn collect(&self) -> Vec<InstalledFile> {
        let digests = parse_digests(self.digests);
        let conffiles: HashMap<&[u8], &Conffile> =
            self.conffiles.iter().map(|file| (file.path.as_os_str().as_bytes(), file)).collect();
        parse_list(self.list)
            .map(|name| {
                let conffile = conffiles.get(name);
                let digest = match conffile {
                    Some(conffile) => Some(&*conffile.digest).filter(|word| word.len() == 32),
                    None => digests.get(&name[1..]).copied(),
                };
                let path = path(name);
                let location = self.locate(&path);
                let digest = digest.map(str::to_owned);
                InstalledFile { path, location, digest, is_conffile: conffile.is_some() }
            })
            .collect()
    }

    pub(super) fn locate(&self, path: &Path) -> PathBuf {
        let diverted = self.diversions.get(path).filter(|diversion| diversion.is_for(self.package));
        self.aliases.resolve(diverted.map_or(path, |diversion| &diversion.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::dpkg::diversions;

    fn aliases() -> Aliases {
        let pair = |alias: &str, target: &str| (PathBuf::from(alias), PathBuf::from(target));
        Aliases(vec![pair("/bin", "/usr/bin"), pair("/lib", "/usr/lib")])
    }

    #[test]
    fn paths_have_two_names_where_usr_is_merged() {
        for (path, resolved) in [
            ("/bin/ls", "/usr/bin/ls"),
            ("/usr/bin/ls", "/usr/bin/ls"),
            ("/bin", "/bin"),
            ("/etc/x", "/etc/x"),
        ] {
            assert_eq!(aliases().resolve(Path::new(path)), Path::new(resolved));
        }
        let names = |path| aliases().names(Path::new(path));
        assert_eq!(names("/bin/ls"), ["/usr/bin/ls", "/bin/ls"].map(PathBuf::from));
        assert_eq!(names("/bin/ls"), names("/usr/bin/ls"));
        assert_eq!(names("/library/x"), [PathBuf::from("/library/x")]);
    }

    #[test]
    fn links_of_a_root_are_read() {
        let place = tempfile::tempdir().expect("a directory");
        for (name, target) in
            [("bin", "usr/bin"), ("lib", "/usr/lib"), ("sbin", "../usr/sbin"), ("lib64", "opt/x")]
        {
            std::os::unix::fs::symlink(target, place.path().join(name)).expect("a link");
        }
        let root = Root::open(place.path()).expect("it is there");
        assert_eq!(Aliases::of(&root).expect("links"), aliases());
    }

    #[test]
    fn files_have_digests_and_places() {
        let digit = |digit: &str| digit.repeat(32);
        let digests = format!(
            "{}  usr/bin/a b\n{}  bin/c\nshort  x\n{}  etc/conf\n",
            digit("1"),
            digit("2"),
            digit("3")
        );
        let conffiles = [
            Conffile {
                path: "/etc/conf".into(),
                digest: digit("4"),
                is_obsolete: false,
                is_removed_on_upgrade: false,
            },
            Conffile {
                path: "/etc/new".into(),
                digest: "newconffile".into(),
                is_obsolete: false,
                is_removed_on_upgrade: false,
            },
        ];
        let diverted =
            diversions::parse(b"/bin/c\n/bin/c.real\nother\n/usr/bin/a b\n/x\nown\n").expect("right");
        let files = Files {
            package: "own",
            list: b"/.\n/usr\n/usr/bin/a b\n/bin/c\n/etc/conf\n/etc/new\n\n",
            digests: digests.as_bytes(),
            conffiles: &conffiles,
            diversions: &diverted,
            aliases: &aliases(),
        };
        let found: Vec<(String, String, Option<String>, bool)> = files
            .collect()
            .into_iter()
            .map(|file| {
                let text = |path: PathBuf| path.to_str().expect("text").to_owned();
                (text(file.path), text(file.location), file.digest, file.is_conffile)
            })
            .collect();
        let expected = [
            ("/usr", "/usr", None, false),
            ("/usr/bin/a b", "/usr/bin/a b", Some(digit("1")), false),
            ("/bin/c", "/usr/bin/c.real", Some(digit("2")), false),
            ("/etc/conf", "/etc/conf", Some(digit("4")), true),
            ("/etc/new", "/etc/new", None, true),
        ]
        .map(|(path, location, digest, conf)| (path.to_owned(), location.to_owned(), digest, conf));
        assert_eq!(found, expected);
    }
}
