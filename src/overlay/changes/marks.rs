//! The extended attributes by which overlayfs keeps its own notes in an upper, told apart from
//! those that belong to the files.
//!
//! | attribute | on | means |
//! |---|---|---|
//! | `opaque` = `y` | directory | nothing below shows through |
//! | `opaque` = `x` | directory | files in it may be whiteouts by attribute |
//! | `whiteout` | empty file | a whiteout by attribute |
//! | `redirect` | directory, metacopy file | what lies below has another name, or another place |
//! | `metacopy` | file | only metadata was copied up; the data here is nothing |
//! | `origin` | any | the handle of the lower file that this was copied up from |
//!
//! Any other name with the prefix is of no meaning here, but an escaped one: `overlay.overlay.NAME`
//! is how a file within the overlay has an attribute `overlay.NAME`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::sys::{FileHandle, Xattrs};

/// Overlayfs's notes on one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) opaque: Option<Opaque>,
    /// A whiteout, where the parent says that there are such ones.
    pub(crate) whiteout: bool,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) metacopy: bool,
    pub(crate) origin: Option<FileHandle>,
}

/// What hides a directory's lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opaque {
    /// The directory hides all of it.
    Wholly,
    /// Files in it with the whiteout attribute hide their names.
    ByAttribute,
}

/// Where what lies below is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// At a path from the lower's root, given here without its leading slash.
    Path(PathBuf),
    /// Under another name, where it would be without.
    Sibling(OsString),
    /// Nowhere: the kernel refuses this one.
    Invalid,
}

/// Which attributes an overlay uses for its notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// `trusted.overlay.`, as usual.
    Trusted,
    /// `user.overlay.`, of an overlay that is mounted with `userxattr`.
    User,
}

impl Prefix {
    fn bytes(self) -> &'static [u8] {
        match self {
            Prefix::Trusted => b"trusted.overlay.",
            Prefix::User => b"user.overlay.",
        }
    }

    /// Takes overlayfs's notes out of a file's attributes, and undoes the escaping of the others.
    pub(crate) fn split(self, all: Xattrs) -> (Marks, Xattrs) {
        let mut marks = Marks::default();
        let mut own = Xattrs::default();
        for (name, value) in all.0 {
            let Some(note) = name.strip_prefix(self.bytes()) else {
                own.0.insert(name, value);
                continue;
            };
            if let Some(escaped) = note.strip_prefix(b"overlay.") {
                own.0.insert([self.bytes(), escaped].concat(), value);
            } else {
                marks.note(note, &value);
            }
        }
        (marks, own)
    }
}

impl Marks {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"opaque" => {
                self.opaque = match value {
                    b"y" => Some(Opaque::Wholly),
                    b"x" => Some(Opaque::ByAttribute),
                    _ => None,
                }
            }
            b"whiteout" => self.whiteout = true,
            b"redirect" => self.redirect = Some(Redirect::parse(value)),
            b"metacopy" => self.metacopy = true,
            b"origin" => self.origin = parse_origin(value),
            _ => {}
        }
    }
}

impl Redirect {
    /// Reads the attribute as the kernel does: up to a NUL, no empty names, no `.` and `..`.
    fn parse(value: &[u8]) -> Redirect {
        let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
        let names = text.strip_prefix(b"/");
        let plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
        match names {
            Some(names) if names.split(|&byte| byte == b'/').all(plain) => {
                Redirect::Path(PathBuf::from(OsStr::from_bytes(names)))
            }
            None if plain(text) && !text.contains(&b'/') => {
                Redirect::Sibling(OsStr::from_bytes(text).to_owned())
            }
            _ => Redirect::Invalid,
        }
    }
}

/// Reads the attribute `origin`: a file handle behind a header of 21 bytes.
///
/// ```text
///  0  version, 0
///  1  magic, 0xfb
///  2  length of header and handle
///  3  flags: 1 big-endian, 2 any byte order, 4 of a file in the upper
///  4  type of the handle
///  5  UUID of its file system (16 bytes)
/// 21  handle
/// ```
///
/// The UUID is not looked at: whoever finds an equal handle still compares the files.
fn parse_origin(value: &[u8]) -> Option<FileHandle> {
    const HEADER: usize = 21;
    let &[0, 0xfb, length, flags, kind, ..] = value else { return None };
    let big_endian = u8::from(cfg!(target_endian = "big"));
    if flags & !3 != 0 || (flags & 2 == 0 && flags & 1 != big_endian) {
        return None;
    }
    let bytes = value.get(HEADER..usize::from(length)).filter(|bytes| !bytes.is_empty())?;
    Some(FileHandle { kind: i32::from(kind), bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Xattrs {
        Xattrs(
            pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        )
    }

    #[test]
    fn redirects_are_read_as_the_kernel_reads_them() {
        let path = |text: &str| Redirect::Path(PathBuf::from(text));
        let sibling = |text: &str| Redirect::Sibling(OsString::from(text));
        let table: [(&[u8], Redirect); 17] = [
            (b"/a", path("a")),
            (b"/a/b c", path("a/b c")),
            (b"/a/...", path("a/...")),
            (b"/a\0/../b", path("a")),
            (b"name", sibling("name")),
            (b"..name", sibling("..name")),
            (b"name\0", sibling("name")),
            (b"", Redirect::Invalid),
            (b"\0", Redirect::Invalid),
            (b"/", Redirect::Invalid),
            (b"//a", Redirect::Invalid),
            (b"/a//b", Redirect::Invalid),
            (b"/a/", Redirect::Invalid),
            (b"/../../etc", Redirect::Invalid),
            (b"..", Redirect::Invalid),
            (b".", Redirect::Invalid),
            (b"a/b", Redirect::Invalid),
        ];
        for (value, expected) in table {
            assert_eq!(Redirect::parse(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn notes_are_told_apart_from_what_belongs_to_the_file() {
        let all = attributes(&[
            ("security.capability", "c"),
            ("trusted.overlay.opaque", "y"),
            ("trusted.overlay.impure", "y"),
            ("trusted.overlay.overlay.opaque", "inner"),
            ("trusted.overlay.overlay.overlay.redirect", "innermost"),
            ("trusted.overlayed", "t"),
            ("user.overlay.redirect", "u"),
        ]);
        let (marks, own) = Prefix::Trusted.split(all.clone());
        assert_eq!(marks, Marks { opaque: Some(Opaque::Wholly), ..Marks::default() });
        let expected = attributes(&[
            ("security.capability", "c"),
            ("trusted.overlay.opaque", "inner"),
            ("trusted.overlay.overlay.redirect", "innermost"),
            ("trusted.overlayed", "t"),
            ("user.overlay.redirect", "u"),
        ]);
        assert_eq!(own, expected);

        let (marks, own) = Prefix::User.split(all);
        let redirect = Some(Redirect::Sibling(OsString::from("u")));
        assert_eq!(marks, Marks { redirect, ..Marks::default() });
        assert_eq!(own.get("trusted.overlay.opaque"), Some(&b"y"[..]));
        assert_eq!(own.get("user.overlay.redirect"), None);
    }

    #[test]
    fn only_the_kernels_own_values_make_a_directory_opaque() {
        for (value, expected) in [
            ("y", Some(Opaque::Wholly)),
            ("x", Some(Opaque::ByAttribute)),
            ("yes", None),
            ("", None),
            ("n", None),
        ] {
            let (marks, _) = Prefix::Trusted.split(attributes(&[("trusted.overlay.opaque", value)]));
            assert_eq!(marks.opaque, expected, "{value}");
        }
    }

    #[test]
    fn an_origin_is_a_handle_behind_its_header() {
        // As Linux 6.18 wrote it on ext4.
        let real = b"\x00\xfb\x1d\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x7d\x80\x99\x00\x7e\x4b\xd8\x83";
        let handle = FileHandle { kind: 1, bytes: real[21..].to_vec() };
        assert_eq!(parse_origin(real), Some(handle.clone()));
        let changed = |at: usize, byte: u8| {
            let mut value = real.to_vec();
            value[at] = byte;
            parse_origin(&value)
        };
        assert_eq!(changed(0, 1), None, "an unknown version");
        assert_eq!(changed(1, 0), None, "no magic");
        assert_eq!(changed(2, 255), None, "longer than it is");
        assert_eq!(changed(2, 21), None, "no handle");
        assert_eq!(changed(2, 20), None, "shorter than its header");
        assert_eq!(changed(3, 4), None, "of a file in the upper");
        assert_eq!(changed(3, 1).is_some(), cfg!(target_endian = "big"), "of another byte order");
        assert_eq!(changed(3, 2), Some(handle), "of any byte order");
        for length in 0..real.len() {
            assert_eq!(parse_origin(&real[..length]), None, "cut at {length}");
        }
    }
}
