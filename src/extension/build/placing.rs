//! Where a file of a package goes in an extension.
//!
//! systemd-sysext(8) lays an extension over /usr and /opt alone. So what packages have in /etc and /var goes below
//! /usr/share/factory, and tmpfiles.d(5) copies it to its place where nothing is there yet: at boot, after extensions were
//! merged. What is in a package's /bin or /lib64 goes where the base has it: over a base in which such a directory is a link,
//! a directory of an extension would hide the link, and with it all that is behind.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::base::stack;
use crate::extension::{Contents, Stack};
use crate::sys::FileKind;

/// What becomes of a file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is in the extension, there (from the root, without a slash before).
    At(PathBuf),
    /// It is a default: in the extension below [`FACTORY`], to be copied to its own place where nothing is.
    Default(PathBuf),
    /// It is not in the extension, for this reason.
    Out(Reason),
}

/// Why a file of a package is not in an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A database or cache of a package manager, which would hide the base's.
    PackageManager,
    /// The base's os-release, which an extension may not have.
    OsRelease,
    /// A place that systems fill themselves while they run.
    RunTime,
    /// A place of people and machines, not of packages: /home, /srv, /boot and the like.
    Local,
    /// The recipe, or the command line, says so.
    Dropped,
}

impl Reason {
    /// All of them.
    const ALL: [Reason; 5] =
        [Reason::PackageManager, Reason::OsRelease, Reason::RunTime, Reason::Local, Reason::Dropped];

    /// A word for it, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Reason::PackageManager => "package-manager",
            Reason::OsRelease => "os-release",
            Reason::RunTime => "run-time",
            Reason::Local => "out-of-reach",
            Reason::Dropped => "dropped",
        }
    }

    /// The reason that has a word.
    pub fn of_word(word: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// In words, of several files.
    pub fn words(self) -> &'static str {
        match self {
            Reason::Dropped => "what was to be dropped",
            Reason::PackageManager => "package managers' own data, which would hide the base's",
            Reason::OsRelease => "an os-release, with which systemd takes an image for a whole system",
            Reason::RunTime => "places that are filled while a system runs",
            Reason::Local => "places that an extension cannot reach: it is laid over /usr and /opt alone",
        }
    }
}

/// Where defaults are (tmpfiles.d(5), type `C`).
pub(super) const FACTORY: &str = "usr/share/factory";

/// Directories that are links into /usr on every system whose packages are put there as this says
/// (<https://systemd.io/THE_CASE_FOR_THE_USR_MERGE>).
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What would hide a database of the base, or is a cache of its package manager.
pub(super) const PACKAGE_MANAGERS: &[&str] = &[
    "usr/lib/sysimage",
    "usr/share/rpm",
    "var/lib/rpm",
    "var/lib/dpkg",
    "var/lib/apt",
    "var/lib/dnf",
    "var/lib/zypp",
    "var/cache/apt",
    "var/cache/dnf",
    "var/cache/libdnf5",
    "var/cache/zypp",
];

/// os-release(5), in each place and under each name that it has.
pub(super) const OS_RELEASE: &[&str] = &["etc/os-release", "usr/lib/os-release"];

/// Where files of packages go over one base.
#[derive(Debug)]
pub(super) struct Placing<'a> {
    base: Stack<'a>,
    /// Directories of packages, and where the base has them.
    known: HashMap<PathBuf, PathBuf>,
}

impl<'a> Placing<'a> {
    /// Over a base.
    pub(super) fn over(base: &'a dyn Contents) -> Placing<'a> {
        Placing { base: stack(base), known: HashMap::new() }
    }

    /// Where a file of a package goes: by its path from the root, without a slash before, and without `.` and `..` in it.
    pub(super) fn place(&mut self, path: &Path) -> Placed {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => placed(self.directory(parent).join(name)),
            _ => placed(PathBuf::new()),
        }
    }

    /// Where a directory goes, likewise: one that the base has as a link is what that leads to.
    pub(super) fn place_directory(&mut self, path: &Path) -> Placed {
        placed(self.directory(path))
    }

    fn directory(&mut self, path: &Path) -> PathBuf {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let placed = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                let parent = self.directory(parent);
                self.followed(&parent, name)
            }
            _ => PathBuf::new(),
        };
        self.known.insert(path.to_owned(), placed.clone());
        placed
    }

    /// A directory in one that is placed, followed where the base has it as a link to one.
    fn followed(&self, parent: &Path, name: &OsStr) -> PathBuf {
        let path = parent.join(name);
        match self.base.resolve(&path) {
            Ok(Some(found)) if found.item.kind == FileKind::Directory => found.path.clone(),
            // A base that has no /lib64 would have it there.
            _ => merged(path),
        }
    }
}

/// What becomes of what is at a path of the base.
fn placed(path: PathBuf) -> Placed {
    let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    if below(PACKAGE_MANAGERS) {
        return Placed::Out(Reason::PackageManager);
    }
    if OS_RELEASE.iter().any(|name| path == Path::new(name)) {
        return Placed::Out(Reason::OsRelease);
    }
    match path.components().next() {
        Some(Component::Normal(top)) => match top.as_bytes() {
            b"usr" | b"opt" => Placed::At(path),
            b"etc" | b"var" => Placed::Default(path),
            b"run" | b"tmp" | b"dev" | b"proc" | b"sys" => Placed::Out(Reason::RunTime),
            _ => Placed::Out(Reason::Local),
        },
        // The root itself.
        _ => Placed::At(PathBuf::new()),
    }
}

fn merged(path: PathBuf) -> PathBuf {
    if MERGED.iter().any(|name| path == Path::new(name)) { Path::new("usr").join(path) } else { path }
}

/// A line of tmpfiles.d(5) that copies a default to its place where nothing is there: `C`. Owner and group are those that the
/// default has, unless they are named.
pub(super) fn copy_line(path: &Path, owner: Option<[&str; 2]>) -> Vec<u8> {
    let rest = owner.map(|[user, group]| format!(" - {user} {group} -")).unwrap_or_default();
    line(b"C", path, rest.as_bytes())
}

/// A line that makes a directory where nothing is: `d`, with its mode, owner and group, by names or numbers.
pub(super) fn directory_line(path: &Path, mode: u32, [user, group]: [&str; 2]) -> Vec<u8> {
    line(b"d", path, format!(" {mode:04o} {user} {group} -").as_bytes())
}

/// A line that makes a symbolic link where nothing is: `L`.
pub(super) fn link_line(path: &Path, target: &OsStr) -> Vec<u8> {
    line(b"L", path, &[b" - - - - ", escaped(target).as_bytes()].concat())
}

fn line(kind: &[u8], path: &Path, rest: &[u8]) -> Vec<u8> {
    [kind, b" /", escaped(path.as_os_str()).as_bytes(), rest, b"\n"].concat()
}

/// As systemd reads a word: specifiers begin with `%`, and odd bytes are written as in C.
fn escaped(path: &OsStr) -> OsString {
    let mut escaped = Vec::with_capacity(path.len());
    for &byte in path.as_bytes() {
        match byte {
            b'%' => escaped.extend(b"%%"),
            b'!'..=b'~' if !matches!(byte, b'"' | b'\'' | b'\\') => escaped.push(byte),
            odd => escaped.extend(format!("\\x{odd:02x}").as_bytes()),
        }
    }
    OsString::from(String::from_utf8(escaped).expect("it is ASCII"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::extension::Directory;
    use crate::sys::Root;

    fn at(path: &str) -> Placed {
        Placed::At(path.into())
    }

    #[test]
    fn files_go_where_the_base_has_their_directories() {
        let dir = tempfile::tempdir().expect("a directory");
        for made in ["usr/bin", "usr/lib/x86_64-linux-gnu"] {
            fs::create_dir_all(dir.path().join(made)).expect("ours");
        }
        for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("usr/sbin", "bin")] {
            symlink(target, dir.path().join(link)).expect("ours");
        }
        let root = Directory::new(Root::open(dir.path()).expect("it opens"));
        let mut placing = Placing::over(&root);
        for (path, placed) in [
            ("bin/ls", "usr/bin/ls"),
            ("usr/sbin/lsof", "usr/bin/lsof"),
            ("lib/x86_64-linux-gnu/libx.so.1", "usr/lib/x86_64-linux-gnu/libx.so.1"),
            ("lib/new/deep/file", "usr/lib/new/deep/file"),
            ("lib64/ld.so", "usr/lib64/ld.so"),
            ("opt/new/bin/x", "opt/new/bin/x"),
        ] {
            assert_eq!(placing.place(Path::new(path)), at(placed), "{path}");
        }
        for (path, placed) in [("bin", "usr/bin"), ("usr/sbin", "usr/bin"), ("usr/new", "usr/new"), ("", "")]
        {
            assert_eq!(placing.place_directory(Path::new(path)), at(placed), "{path}");
        }
    }

    #[test]
    fn a_link_that_is_the_packages_own_stays_where_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("usr/lib/a")).expect("ours");
        symlink("a", dir.path().join("usr/lib/b")).expect("ours");
        let root = Directory::new(Root::open(dir.path()).expect("it opens"));
        let mut placing = Placing::over(&root);
        assert_eq!(placing.place(Path::new("usr/lib/b")), at("usr/lib/b"));
        assert_eq!(placing.place(Path::new("usr/lib/b/x")), at("usr/lib/a/x"));
    }

    #[test]
    fn where_a_base_has_nothing_the_merged_directories_are_known() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Directory::new(Root::open(dir.path()).expect("it opens"));
        let mut placing = Placing::over(&root);
        assert_eq!(placing.place(Path::new("sbin/x")), at("usr/sbin/x"));
        assert_eq!(placing.place(Path::new("lib64/x")), at("usr/lib64/x"));
        assert_eq!(placing.place(Path::new("usr/sbin/x")), at("usr/sbin/x"));
    }

    #[test]
    fn what_cannot_be_reached_is_a_default_or_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Directory::new(Root::open(dir.path()).expect("it opens"));
        let mut placing = Placing::over(&root);
        for (path, placed) in [
            ("etc/x.conf", Placed::Default("etc/x.conf".into())),
            ("var/lib/x", Placed::Default("var/lib/x".into())),
            ("var/lib/dpkg/info/x.list", Placed::Out(Reason::PackageManager)),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", Placed::Out(Reason::PackageManager)),
            ("usr/lib/os-release", Placed::Out(Reason::OsRelease)),
            ("etc/os-release", Placed::Out(Reason::OsRelease)),
            ("run/x", Placed::Out(Reason::RunTime)),
            ("boot/vmlinuz", Placed::Out(Reason::Local)),
            ("srv/www", Placed::Out(Reason::Local)),
            ("usr/lib/rpm/macros", at("usr/lib/rpm/macros")),
        ] {
            assert_eq!(placing.place(Path::new(path)), placed, "{path}");
        }
    }

    #[test]
    fn lines_are_as_systemd_reads_them() {
        assert_eq!(copy_line(Path::new("etc/a b%.conf"), None), b"C /etc/a\\x20b%%.conf\n");
        assert_eq!(copy_line(Path::new("etc/a"), Some(["lab", "0"])), b"C /etc/a - lab 0 -\n");
        assert_eq!(
            directory_line(Path::new("var/lib/x"), 0o750, ["33", "lab"]),
            b"d /var/lib/x 0750 33 lab -\n"
        );
        assert_eq!(link_line(Path::new("etc/x"), OsStr::new("../y z")), b"L /etc/x - - - - ../y\\x20z\n");
    }
}
