//! The files of a package, as its header lists them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Header, Numbers, Strings, tag};
use crate::package::digest::{Algorithm, FileDigest};

/// The files of a header, in its order. Arrays that are too short give what a file without them has.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    directories: Vec<&'a [u8]>,
    basenames: Strings<'a>,
    directory_indexes: Numbers<'a>,
    digests: Strings<'a>,
    algorithm: Option<Algorithm>,
    link_targets: Strings<'a>,
    users: Strings<'a>,
    groups: Strings<'a>,
    numbers: FileNumbers<'a>,
    next: usize,
}

/// The arrays of numbers, which can be entered anywhere.
#[derive(Debug, Clone)]
struct FileNumbers<'a> {
    modes: Numbers<'a>,
    flags: Numbers<'a>,
    sizes: Numbers<'a>,
    mtimes: Numbers<'a>,
    states: Numbers<'a>,
    colors: Numbers<'a>,
    rdevs: Numbers<'a>,
    inodes: Numbers<'a>,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'a> {
    /// Which one of the header's, from 0.
    pub index: usize,
    /// Its directory, with a `/` at the end.
    pub directory: &'a Path,
    /// Its name in there, which is empty for the root itself.
    pub basename: &'a OsStr,
    /// Type and permissions, as in inode(7).
    pub mode: u32,
    /// The digest of its content; regular files have one.
    pub digest: Option<FileDigest>,
    /// What it is for.
    pub flags: FileFlags,
    /// What a symbolic link says.
    pub link_target: Option<&'a OsStr>,
    /// Its owner.
    pub user: &'a OsStr,
    /// Its group.
    pub group: &'a OsStr,
    /// Its size in bytes.
    pub size: u64,
    /// Its time, in seconds.
    pub mtime: u64,
    /// What became of it; packages that are not installed have none.
    pub state: Option<FileState>,
    /// 1 is 32-bit ELF, 2 is 64-bit, 0 is neither.
    pub color: u32,
    /// The number of a device file.
    pub rdev: u32,
    /// Equal for hard links to each other, as built.
    pub inode: u32,
}

impl File<'_> {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        // Not `join`: for the root's own entry, the name is empty and the directory is all.
        let mut path = self.directory.as_os_str().to_owned();
        path.push(self.basename);
        path.into()
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether this package's file is there: not where another package replaced it, where it was left
    /// out, or where it belongs to another architecture's colour.
    pub fn is_installed(&self) -> bool {
        self.state.is_none_or(|state| matches!(state, FileState::Normal | FileState::NetShared))
    }
}

/// What a file is for (`rpmfileAttrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileFlags(pub u32);

impl FileFlags {
    /// Configuration, kept where it was edited (`%config`).
    pub const CONFIG: FileFlags = FileFlags(1 << 0);
    /// Documentation (`%doc`).
    pub const DOC: FileFlags = FileFlags(1 << 1);
    /// Configuration that may be missing (`%config(missingok)`).
    pub const MISSING_OK: FileFlags = FileFlags(1 << 3);
    /// An edited one stays, the new one comes beside it as `.rpmnew` (`%config(noreplace)`).
    pub const NO_REPLACE: FileFlags = FileFlags(1 << 4);
    /// Belongs to the package, but is not in it (`%ghost`).
    pub const GHOST: FileFlags = FileFlags(1 << 6);
    /// A licence (`%license`).
    pub const LICENSE: FileFlags = FileFlags(1 << 7);
    /// A README (`%readme`).
    pub const README: FileFlags = FileFlags(1 << 8);
    /// Made by a program at build time (`%artifact`).
    pub const ARTIFACT: FileFlags = FileFlags(1 << 12);

    /// Whether all of `others` are set.
    pub fn contains(self, others: FileFlags) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What became of a file at installation (`rpmfileState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is there.
    Normal,
    /// Another package's file took its place.
    Replaced,
    /// It was not wanted (documentation, a language).
    NotInstalled,
    /// It lies on a file system that others share.
    NetShared,
    /// Another architecture's file has its place.
    WrongColor,
    /// A number that rpm does not know.
    Other(u8),
}

impl FileState {
    /// The state with this number in a header.
    pub fn from_number(number: u8) -> FileState {
        match number {
            0 => FileState::Normal,
            1 => FileState::Replaced,
            2 => FileState::NotInstalled,
            3 => FileState::NetShared,
            4 => FileState::WrongColor,
            other => FileState::Other(other),
        }
    }

    /// Its number in a header.
    pub fn number(self) -> u8 {
        match self {
            FileState::Normal => 0,
            FileState::Replaced => 1,
            FileState::NotInstalled => 2,
            FileState::NetShared => 3,
            FileState::WrongColor => 4,
            FileState::Other(number) => number,
        }
    }
}

impl<'a> Files<'a> {
    pub(super) fn of(header: &Header<'a>) -> Files<'a> {
        let long_sizes = header.numbers(tag::LONG_FILE_SIZES);
        let sizes = if long_sizes.len() > 0 { long_sizes } else { header.numbers(tag::FILE_SIZES) };
        // Without a word about it, they are MD5.
        let algorithm = header.number(tag::FILE_DIGEST_ALGORITHM).unwrap_or(1);
        Files {
            directories: header.strings(tag::DIRNAMES).collect(),
            basenames: header.strings(tag::BASENAMES),
            directory_indexes: header.numbers(tag::DIR_INDEXES),
            digests: header.strings(tag::FILE_DIGESTS),
            algorithm: u32::try_from(algorithm).ok().and_then(Algorithm::from_number),
            link_targets: header.strings(tag::FILE_LINK_TOS),
            users: header.strings(tag::FILE_USER_NAME),
            groups: header.strings(tag::FILE_GROUP_NAME),
            numbers: FileNumbers {
                modes: header.numbers(tag::FILE_MODES),
                flags: header.numbers(tag::FILE_FLAGS),
                sizes,
                mtimes: header.numbers(tag::FILE_MTIMES),
                states: header.numbers(tag::FILE_STATES),
                colors: header.numbers(tag::FILE_COLORS),
                rdevs: header.numbers(tag::FILE_RDEVS),
                inodes: header.numbers(tag::FILE_INODES),
            },
            next: 0,
        }
    }
}

impl<'a> Iterator for Files<'a> {
    type Item = File<'a>;

    fn next(&mut self) -> Option<File<'a>> {
        let basename = self.basenames.next()?;
        let index = self.next;
        self.next += 1;
        let number = |numbers: &Numbers<'_>| numbers.get(index).unwrap_or_default();
        let directory = self.directory_indexes.get(index).unwrap_or(u64::MAX);
        let directory = usize::try_from(directory).ok().and_then(|number| self.directories.get(number));
        let digest = self.digests.next().unwrap_or_default();
        let link_target = self.link_targets.next().unwrap_or_default();
        let numbers = &self.numbers;
        Some(File {
            index,
            directory: Path::new(OsStr::from_bytes(directory.copied().unwrap_or_default())),
            basename: OsStr::from_bytes(basename),
            mode: number(&numbers.modes) as u32,
            digest: self.algorithm.and_then(|algorithm| FileDigest::parse(algorithm, digest)),
            flags: FileFlags(number(&numbers.flags) as u32),
            link_target: (!link_target.is_empty()).then(|| OsStr::from_bytes(link_target)),
            user: OsStr::from_bytes(self.users.next().unwrap_or_default()),
            group: OsStr::from_bytes(self.groups.next().unwrap_or_default()),
            size: number(&numbers.sizes),
            mtime: number(&numbers.mtimes),
            state: numbers.states.get(index).map(|state| FileState::from_number(state as u8)),
            color: number(&numbers.colors) as u32,
            rdev: number(&numbers.rdevs) as u32,
            inode: number(&numbers.inodes) as u32,
        })
    }
}
