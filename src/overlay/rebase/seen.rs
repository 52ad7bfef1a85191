//! What an overlay has seen of its base: written when it is left, read when the base has changed.
//!
//! Once a base is gone, nobody can say any more whether a file of the overlay is one that somebody
//! changed there or a mere copy of what the base had. So, beside the layers, it is noted what the base
//! had under every name that the overlay's own files cover. That is as much as the overlay is large, and
//! a name that was noted once for a base is not looked at again.
//!
//! # Format of `layers/@seen/files`
//! ```text
//! onlay seen 1 LF
//! the base, as JSON, on one line LF
//! then for each name: KIND [ATTRIBUTES VALUE] NUL PATH NUL
//!   a          nothing was there
//!   h          something large that is now hidden by a whiteout, whatever it was; where something is diverted, that is
//!              noted, too
//!   d          a directory
//!   f SHA-256  a regular file
//!   l TARGET   a symbolic link
//!   o          anything else
//!   u          something that was changed while somebody was in the overlay, who may have seen it before or after
//!   e WHAT     an extension had something there, which the overlay had by itself; without that, this
//! ```
//! ATTRIBUTES is a SHA-256 over mode, owner and extended attributes. Each SHA-256 is 64 hexadecimal digits.
//! PATH is from the root of the view and may be any bytes. A file that is cut off or damaged is taken
//! for one that knows nothing: that asks more questions later, but answers none wrongly. Beside it, `diversions` is a copy
//! of that base's table of them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use rustix::io::Errno;

use super::content::Content;
use crate::host::Base;
use crate::overlay::Error;
use crate::overlay::changes::marks::Prefix;
use crate::overlay::changes::place::Place;
use crate::overlay::changes::upper::{Node, Status, Upper};
use crate::overlay::clear::clear;
use crate::package::Identity;
use crate::sys::{Context, FileKind, IoError, Root, Xattrs, replace_file, sync_file_system};

/// The directory that holds it; no mount point has a layer of that name.
pub(in crate::overlay) const DIRECTORY: &str = "@seen";
const FILES: &str = "files";
const MAGIC: &str = "onlay seen 1";

/// Holds what tells the packages of a base, with [`OF`] beside it once it is complete.
const PACKAGES: &str = "packages";
/// Says whose packages they are: the base, as JSON.
const OF: &str = "packages.of";

/// What was noted of a base's packages; `None` where nothing was.
pub(super) fn packages(layers: &Root, base: &Base) -> Result<Option<Root>, IoError> {
    let found = layers.open_child(OsStr::new(DIRECTORY)).and_then(|dir| {
        let of = dir.read(OF, 1 << 20)?;
        let known: Option<Base> = serde_json::from_slice(&of).ok();
        if known.as_ref() == Some(base) { dir.open_child(OsStr::new(PACKAGES)).map(Some) } else { Ok(None) }
    });
    match found {
        Err(error) if error.is_not_found() => Ok(None),
        other => other,
    }
}

/// The base that anything was noted of; `None` where nothing was, or it cannot be understood.
pub(super) fn base(layers: &Root) -> Option<Base> {
    let dir = layers.open_child(OsStr::new(DIRECTORY)).ok()?;
    let of_packages = || serde_json::from_slice(&dir.read(OF, 1 << 20).ok()?).ok();
    let of_files = || noted_base(&dir.read(FILES, LARGEST).ok()?).map(|(base, _)| base);
    of_packages().or_else(of_files)
}

/// The base's table of diversions, noted with what lies below the overlay's files.
const DIVERSIONS: &str = "diversions";

/// What was noted of a base's diversions; `None` where nothing was noted of that base.
pub(super) fn diversions(layers: &Root, base: &Base) -> Result<Option<Vec<u8>>, IoError> {
    if !SeenFiles::are_of(layers, base)? {
        return Ok(None);
    }
    match layers.open_child(OsStr::new(DIRECTORY))?.read(DIVERSIONS, LARGEST) {
        Err(error) if error.is_not_found() => Ok(Some(Vec::new())),
        other => other.map(Some),
    }
}

/// Notes a base's diversions, before it is said that what was noted is of that base.
pub(super) fn note_diversions(layers: &Root, table: &[u8]) -> Result<(), IoError> {
    layers.make_dir(DIRECTORY, 0o700)?;
    let dir = layers.open_child(OsStr::new(DIRECTORY))?;
    let noted = match dir.read(DIVERSIONS, LARGEST) {
        Err(error) if error.is_not_found() => Vec::new(),
        other => other?,
    };
    if noted == table { Ok(()) } else { replace_file(&dir, DIVERSIONS, table) }
}

/// Notes a base's packages, as `fill` writes them.
pub(super) fn note_packages(
    layers: &Root,
    base: &Base,
    fill: impl FnOnce(&Root) -> Result<bool, Error>,
) -> Result<(), Error> {
    layers.make_dir(DIRECTORY, 0o700)?;
    let dir = layers.open_child(OsStr::new(DIRECTORY))?;
    match rustix::fs::unlinkat(&dir, OF, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error).context("remove", dir.join(OF)).map_err(Error::from),
    }
    clear(&dir, OsStr::new(PACKAGES))?;
    dir.make_dir(PACKAGES, 0o700)?;
    if fill(&dir.open_child(OsStr::new(PACKAGES))?)? {
        // Before it is said to be there.
        sync_file_system(&dir)?;
        let text = serde_json::to_string(base).expect("a base has only strings");
        replace_file(&dir, OF, text.as_bytes())?;
    }
    Ok(())
}

/// More than this is no record of ours.
const LARGEST: u64 = 1 << 30;

/// What the base had under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::overlay) enum Had {
    /// Nothing.
    Nothing,
    /// Something large that a whiteout hides.
    Hidden,
    /// Something that was changed while somebody was in the overlay.
    Uncertain,
    /// What comes and goes with an extension, beside something that the overlay has by itself; this would be there without it.
    BesideExtension(Box<Had>),
    /// This.
    Content(Content, Attributes),
}

/// What counts of a file besides its content and times: equal for two files with the same mode, owner
/// and extended attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::overlay) struct Attributes(Identity);

impl Attributes {
    /// Of a name that something is under.
    pub(in crate::overlay) fn of(dir: &Root, name: &OsStr) -> Result<Attributes, IoError> {
        let status = Status::at(dir, name)?;
        let (_, own) = Prefix::Trusted.split(Xattrs::read(dir, Path::new(name))?);
        Ok(status.map_or(Attributes(Identity::of(b"")), |status| Attributes::new(&status, &own)))
    }

    /// Of a name in an upper.
    pub(in crate::overlay) fn of_node(node: &Node) -> Attributes {
        Attributes::new(&node.status, &node.xattrs)
    }

    /// Of nothing in particular.
    #[cfg(test)]
    pub(super) fn none() -> Attributes {
        Attributes(Identity::of(b""))
    }

    fn new(status: &Status, xattrs: &Xattrs) -> Attributes {
        let mut bytes = format!("{:o} {:?}", status.mode, status.owner).into_bytes();
        for (name, value) in &xattrs.0 {
            bytes.extend([&[0], &name[..], &[0], &value.len().to_le_bytes()[..], &value[..]].concat());
        }
        Attributes(Identity::of(&bytes))
    }
}

/// What the base had under the names that an overlay's files cover.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::overlay) struct SeenFiles(HashMap<PathBuf, Had>);

impl SeenFiles {
    /// Reads what was noted of this base; nothing where none was, or of another.
    pub(in crate::overlay) fn read(layers: &Root, base: &Base) -> Result<SeenFiles, IoError> {
        let found = match layers.open_child(OsStr::new(DIRECTORY)).and_then(|dir| dir.read(FILES, LARGEST)) {
            Err(error) if error.is_not_found() => return Ok(SeenFiles::default()),
            other => other?,
        };
        Ok(parse(&found, base).unwrap_or_default())
    }

    /// Whether what was noted is of this base.
    pub(in crate::overlay) fn are_of(layers: &Root, base: &Base) -> Result<bool, IoError> {
        match layers.open_child(OsStr::new(DIRECTORY)).and_then(|dir| dir.read(FILES, LARGEST)) {
            Err(error) if error.is_not_found() => Ok(false),
            other => Ok(noted_base(&other?).is_some_and(|(noted, _)| noted == *base)),
        }
    }

    /// Whether anything was noted.
    pub(in crate::overlay) fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// What the base had under a path; `None` where that was not noted.
    pub(in crate::overlay) fn get(&self, path: &Path) -> Option<&Had> {
        self.0.get(path)
    }

    /// All paths of which something was noted, in their order.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let mut paths: Vec<&Path> = self.0.keys().map(PathBuf::as_path).collect();
        paths.sort_unstable();
        paths
    }

    /// Notes for a path that an extension has something there beside what the overlay has by itself.
    pub(super) fn note_beside_extension(&mut self, path: &Path, had: &Had) {
        let had = Had::BesideExtension(Box::new(had.without_extension().clone()));
        self.0.insert(path.to_owned(), had);
    }

    /// Notes what lies below the names of an upper that are not noted yet. What was changed since somebody may have
    /// seen it in the overlay is not certain. Says whether there were any.
    pub(in crate::overlay) fn note(
        &mut self,
        upper: &Upper,
        lower: &Root,
        point: &Path,
        entered: Option<Moment>,
    ) -> Result<bool, IoError> {
        let known = self.0.len();
        let mut place = Place::top(lower);
        for (path, node) in upper.paths() {
            let whole = point.join(&path);
            let Some(name) = path.file_name().filter(|_| !self.0.contains_key(&whole)) else { continue };
            place.move_to(path.parent().unwrap_or(Path::new("")));
            let had = if !place.exists()? {
                Had::Nothing
            } else if is_changed_since(place.dir()?, name, entered)? {
                Had::Uncertain
            } else {
                Had::look(place.dir()?, name, node.whiteout)?
            };
            self.0.insert(whole, had);
        }
        Ok(self.0.len() > known)
    }

    /// Notes what lies below more paths, also where that is hidden. Each is given by its path in the view and from the
    /// lower. Says whether there was anything new.
    pub(in crate::overlay) fn note_also(
        &mut self,
        lower: &Root,
        paths: impl Iterator<Item = (PathBuf, PathBuf)>,
    ) -> Result<bool, IoError> {
        let mut place = Place::top(lower);
        let mut is_new = false;
        for (whole, path) in paths {
            let is_unknown = matches!(self.0.get(&whole), None | Some(Had::Hidden));
            let Some(name) = path.file_name().filter(|_| is_unknown) else { continue };
            place.move_to(path.parent().unwrap_or(Path::new("")));
            let had = if place.exists()? { Had::look(place.dir()?, name, false)? } else { Had::Nothing };
            self.0.insert(whole, had);
            is_new = true;
        }
        Ok(is_new)
    }

    /// Writes all that was noted.
    pub(in crate::overlay) fn write(&self, layers: &Root, base: &Base) -> Result<(), IoError> {
        layers.make_dir(DIRECTORY, 0o700)?;
        let dir = layers.open_child(OsStr::new(DIRECTORY))?;
        replace_file(&dir, FILES, &self.to_bytes(base))
    }

    fn to_bytes(&self, base: &Base) -> Vec<u8> {
        let base = serde_json::to_string(base).expect("a base has only strings");
        let mut bytes = format!("{MAGIC}\n{base}\n").into_bytes();
        let mut paths: Vec<_> = self.0.iter().collect();
        paths.sort_by_key(|(path, _)| *path);
        for (path, had) in paths {
            bytes.extend(had.to_bytes());
            bytes.push(0);
            bytes.extend(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }
}

/// What was removed is compared to tell a person that the base has changed it since. That is worth a look at what
/// persons write, and not at all the files of large packages that were removed.
const WORTH_A_LOOK: u64 = 64 << 10;

/// A time of the kernel's coarse clock, which files are marked with: seconds since 1970, and nanoseconds.
pub(in crate::overlay) type Moment = (i64, u64);

/// When a file, or what is known of it, was last changed.
pub(super) fn changed_at(stat: &Stat) -> Moment {
    (stat.st_ctime as _, stat.st_ctime_nsec as _)
}

/// Of a directory that tells nothing: names come and go in it.
fn is_changed_since(dir: &Root, name: &OsStr, moment: Option<Moment>) -> Result<bool, IoError> {
    let Some(moment) = moment else { return Ok(false) };
    let is_later = |stat: Stat| FileKind::of(&stat) != FileKind::Directory && changed_at(&stat) > moment;
    Ok(dir.lstat(name)?.is_some_and(is_later))
}

impl Had {
    /// Looks what is under a name, which an overlay may hide.
    pub(super) fn look(dir: &Root, name: &OsStr, is_hidden: bool) -> Result<Had, IoError> {
        let Some(stat) = dir.lstat(name)? else { return Ok(Had::Nothing) };
        if is_hidden && u64::try_from(stat.st_size).is_ok_and(|size| size > WORTH_A_LOOK) {
            return Ok(Had::Hidden);
        }
        Ok(Had::Content(Content::of(dir, name)?, Attributes::of(dir, name)?))
    }

    /// What it was, where that was looked at.
    pub(in crate::overlay) fn content(&self) -> Option<&Content> {
        match self {
            Had::Content(content, _) => Some(content),
            Had::BesideExtension(had) => had.content(),
            Had::Nothing | Had::Hidden | Had::Uncertain => None,
        }
    }

    /// What it would be if no extension were merged, as far as that was noted.
    pub(in crate::overlay) fn without_extension(&self) -> &Had {
        match self {
            Had::BesideExtension(had) => had,
            had => had,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (content, attributes) = match self {
            Had::BesideExtension(had) => return [b"e ", &had.to_bytes()[..]].concat(),
            Had::Nothing => return b"a".to_vec(),
            Had::Hidden => return b"h".to_vec(),
            Had::Uncertain => return b"u".to_vec(),
            Had::Content(content, attributes) => (content, attributes.0.to_string()),
        };
        let (kind, value) = match content {
            Content::Absent => return b"a".to_vec(),
            Content::Directory => (b"d", Vec::new()),
            Content::File(digest) => (b"f", Identity::from_digest(*digest).to_string().into_bytes()),
            Content::Link(target) => (b"l", target.as_bytes().to_vec()),
            Content::Other => (b"o", Vec::new()),
        };
        [kind, attributes.as_bytes(), &value].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Had> {
        let (&kind, rest) = bytes.split_first()?;
        match kind {
            b'a' => return Some(Had::Nothing),
            b'h' => return Some(Had::Hidden),
            b'u' => return Some(Had::Uncertain),
            b'e' => {
                // They are not nested.
                let had = Had::parse(rest.strip_prefix(b" ").filter(|rest| !rest.starts_with(b"e"))?)?;
                return Some(Had::BesideExtension(Box::new(had)));
            }
            _ => {}
        }
        let (attributes, value) = rest.split_at_checked(64)?;
        let content = match kind {
            b'd' => Content::Directory,
            b'f' => Content::File(parse_digest(value)?.digest()),
            b'l' => Content::Link(OsString::from_vec(value.to_vec())),
            b'o' => Content::Other,
            _ => return None,
        };
        Some(Had::Content(content, Attributes(parse_digest(attributes)?)))
    }
}

fn parse_digest(digits: &[u8]) -> Option<Identity> {
    Identity::parse(std::str::from_utf8(digits).ok()?)
}

/// Whose it is, and the rest.
fn noted_base(bytes: &[u8]) -> Option<(Base, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC.as_bytes())?.strip_prefix(b"\n")?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    Some((serde_json::from_slice(&rest[..end]).ok()?, &rest[end + 1..]))
}

fn parse(bytes: &[u8], wanted: &Base) -> Option<SeenFiles> {
    let (base, rest) = noted_base(bytes)?;
    if base != *wanted {
        return None;
    }
    let mut found = HashMap::new();
    let mut fields = rest.strip_suffix(b"\0").unwrap_or_default().split(|&byte| byte == 0);
    while let Some(value) = fields.next().filter(|value| !value.is_empty()) {
        found.insert(PathBuf::from(OsStr::from_bytes(fields.next()?)), Had::parse(value)?);
    }
    Some(SeenFiles(found))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::FileType::CharacterDevice;
    use rustix::fs::Mode;

    use super::*;
    use crate::host::BaseKind;

    fn read(upper: &Path) -> Upper {
        Upper::read(&Root::open(upper).expect("it opens"), Prefix::Trusted).expect("readable")
    }

    fn base(id: &str) -> Base {
        Base { kind: BaseKind::Image, id: id.into(), os: "Debian".into(), packages: None, extensions: None }
    }

    fn some() -> SeenFiles {
        let with = |content| Had::Content(content, Attributes(Identity::of(b"some")));
        let content = [
            ("/a", with(Content::File([7; 32]))),
            ("/b\n c", with(Content::Link("to\nthere".into()))),
            ("/d", with(Content::Directory)),
            ("/e", Had::Nothing),
            ("/o", with(Content::Other)),
            ("/h", Had::Hidden),
            ("/u", Had::Uncertain),
            ("/x", Had::BesideExtension(Box::new(Had::Nothing))),
            ("/y", Had::BesideExtension(Box::new(with(Content::File([8; 32]))))),
        ];
        SeenFiles(content.into_iter().map(|(path, had)| (path.into(), had)).collect())
    }

    #[test]
    fn what_was_seen_comes_back_for_its_base_only() {
        let bytes = some().to_bytes(&base("1"));
        assert_eq!(parse(&bytes, &base("1")), Some(some()));
        assert_eq!(parse(&bytes, &base("2")), None);
        let none = SeenFiles::default();
        assert_eq!(parse(&none.to_bytes(&base("1")), &base("1")), Some(none));
    }

    #[test]
    fn what_was_cut_off_tells_nothing_that_is_wrong() {
        let bytes = some().to_bytes(&base("1"));
        for length in 0..bytes.len() {
            let Some(found) = parse(&bytes[..length], &base("1")) else { continue };
            for (path, had) in &found.0 {
                assert_eq!(some().get(path), Some(had), "cut at {length}");
            }
        }
    }

    #[test]
    fn each_name_of_an_upper_is_noted_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let [upper, lower] = ["upper", "lower"].map(|name| dir.path().join(name));
        for place in [&upper, &lower] {
            fs::create_dir_all(place.join("etc")).expect("directories");
            fs::write(place.join("etc/both"), "text").expect("a file");
        }
        fs::write(upper.join("etc/new"), "text").expect("a file");
        symlink("there", lower.join("etc/link")).expect("a link");
        fs::write(upper.join("etc/link"), "text").expect("a file");
        let open = |path: &Path| Root::open(path).expect("it opens");
        let mut seen = SeenFiles::default();
        assert!(seen.note(&read(&upper), &open(&lower), Path::new("/"), None).expect("readable"));
        let get = |seen: &SeenFiles, path: &str| seen.get(Path::new(path)).cloned();
        let attributes =
            |name| Attributes::of(&open(&lower.join("etc")), OsStr::new(name)).expect("readable");
        let text = Content::of(&open(&lower.join("etc")), OsStr::new("both")).expect("readable");
        assert!(matches!(text, Content::File(_)));
        let text = Had::Content(text, attributes("both"));
        assert!(matches!(get(&seen, "/etc"), Some(Had::Content(Content::Directory, _))));
        assert_eq!(get(&seen, "/etc/both"), Some(text.clone()));
        let link = Content::Link("there".into());
        assert_eq!(get(&seen, "/etc/link"), Some(Had::Content(link, attributes("link"))));
        assert_ne!(attributes("link"), attributes("both"));
        assert_eq!(get(&seen, "/etc/new"), Some(Had::Nothing));
        rustix::fs::mknodat(open(&upper.join("etc")), "gone", CharacterDevice, Mode::empty(), 0)
            .expect("a whiteout");
        fs::write(lower.join("etc/gone"), "large ".repeat(20_000)).expect("a file");
        assert!(seen.note(&read(&upper), &open(&lower), Path::new("/"), None).expect("readable"));
        assert_eq!(get(&seen, "/etc/gone"), Some(Had::Hidden));
        let also =
            || ["etc/gone", "etc/none"].map(|path| (Path::new("/").join(path), path.into())).into_iter();
        assert!(seen.note_also(&open(&lower), also()).expect("readable"));
        assert!(matches!(get(&seen, "/etc/gone"), Some(Had::Content(Content::File(_), _))));
        assert_eq!(get(&seen, "/etc/none"), Some(Had::Nothing));
        assert!(!seen.note_also(&open(&lower), also()).expect("readable"));
        fs::write(lower.join("etc/both"), "another").expect("a file");
        assert!(!seen.note(&read(&upper), &open(&lower), Path::new("/"), None).expect("readable"));
        assert_eq!(get(&seen, "/etc/both"), Some(text));
    }

    #[test]
    fn what_was_changed_while_somebody_was_there_is_uncertain() {
        let dir = tempfile::tempdir().expect("a directory");
        let [upper, lower] = ["upper", "lower"].map(|name| dir.path().join(name));
        for name in ["a", "b", "dir/c"] {
            for place in [&upper, &lower] {
                let path = place.join(name);
                fs::create_dir_all(path.parent().expect("below")).expect("directories");
                fs::write(path, name).expect("a file");
            }
        }
        let open = |path: &Path| Root::open(path).expect("it opens");
        let at = |name: &str| changed_at(&open(&lower).stat(name).expect("it is there"));
        let (secs, nanos) = at("a");
        for (moment, is_uncertain) in [(at("dir/c"), false), ((secs - 1, nanos), true)] {
            let mut seen = SeenFiles::default();
            seen.note(&read(&upper), &open(&lower), Path::new("/"), Some(moment)).expect("readable");
            for name in ["/a", "/b", "/dir/c"] {
                let had = seen.get(Path::new(name)).expect("it is noted");
                assert_eq!(*had == Had::Uncertain, is_uncertain, "{name}");
            }
            let had = seen.get(Path::new("/dir")).expect("it is noted");
            assert_ne!(*had, Had::Uncertain, "names come and go in a directory");
        }
    }
}
