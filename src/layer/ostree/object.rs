//! What ostree's objects say, and their bytes.
//!
//! | object | GVariant | named by |
//! |---|---|---|
//! | dirtree | `(a(say)a(sayay))`: files with their checksums, directories with those of dirtree and dirmeta; sorted | its bytes |
//! | dirmeta | `(uuua(ayay))`: owner, group, mode, extended attributes | its bytes |
//! | commit | `(a{sv}aya(say)sstayay)`: metadata, parent, nothing, subject, body, seconds since 1970, dirtree, dirmeta | its bytes |
//! | file | kept as itself (mode `bare`) | a header, `(uuuusa(ayay))` with its length before it, and its content |
//!
//! Numbers are in network byte order. The rules come from ostree's `ostree-core.h` and `ostree-core.c`: modes have no bits but those of
//! chmod(2), names are UTF-8 without slashes, and times of modification are nowhere.

use std::collections::BTreeMap;

use super::checksum::{Checksum, ObjectKind};
use super::variant::{self, ArrayWriter, Malformed, Member, TupleWriter};
use crate::sys::Xattrs;

/// A directory, as that in which it is, or a commit, names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Directory {
    /// What is in it.
    pub tree: Checksum,
    /// What it is.
    pub meta: Checksum,
}

/// What is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// A file or link.
    File(Checksum),
    /// A directory.
    Directory(Directory),
}

/// The names in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirTree(pub BTreeMap<String, Item>);

/// Owner, mode and attributes of a directory, or of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Who owns it.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Kind and permissions, as in a status (inode(7)).
    pub mode: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// A state of a tree, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// What machines are to know of it (`version`, `ostree.bootable`).
    pub metadata: BTreeMap<String, Value>,
    /// The one that came before it.
    pub parent: Option<Checksum>,
    /// One line.
    pub subject: String,
    /// More lines.
    pub body: String,
    /// When it was made, in seconds since 1970.
    pub timestamp: u64,
    /// Its root.
    pub root: Directory,
}

/// A value of a commit's metadata: its type in GVariant's words, and its bytes as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    kind: String,
    bytes: Vec<u8>,
}

/// What is true of a base with a layer as well (ostree-core.h, OSTREE_COMMIT_META_KEY_*). Who brings another kernel says so (`ostree.linux`).
const CARRIED: [&str; 6] = [
    "ostree.architecture",
    "ostree.bootable",
    "ostree.endoflife",
    "ostree.endoflife-rebase",
    "ostree.linux",
    "version",
];

const FILE_TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const PERMISSIONS: u32 = 0o7777;

impl DirTree {
    /// Reads an object's bytes.
    pub fn parse(bytes: &[u8]) -> Result<DirTree, Malformed> {
        let [files, directories] = variant::tuple(bytes, [Member::BYTES; 2])?;
        let mut names = BTreeMap::new();
        let mut last = None;
        for element in variant::array(files, 1)? {
            let [name, file] = variant::tuple(element?, [Member::BYTES; 2])?;
            let name = next_name(name, &mut last)?;
            names.insert(name.to_owned(), Item::File(checksum(file)?));
        }
        last = None;
        for element in variant::array(directories, 1)? {
            let [name, tree, meta] = variant::tuple(element?, [Member::BYTES; 3])?;
            let name = next_name(name, &mut last)?;
            let directory = Directory { tree: checksum(tree)?, meta: checksum(meta)? };
            if names.insert(name.to_owned(), Item::Directory(directory)).is_some() {
                return Err(Malformed("a name is that of a file and of a directory"));
            }
        }
        Ok(DirTree(names))
    }

    /// The object's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut files, mut directories) = (ArrayWriter::new(1), ArrayWriter::new(1));
        for (name, item) in &self.0 {
            let name = variant::terminated(name.as_bytes());
            let element = TupleWriter::default().variable(&name, Member::BYTES);
            match item {
                Item::File(file) => files.push(&element.last(&file.0, Member::BYTES)),
                Item::Directory(Directory { tree, meta }) => {
                    let element = element.variable(&tree.0, Member::BYTES).last(&meta.0, Member::BYTES);
                    directories.push(&element);
                }
            }
        }
        let files = TupleWriter::default().variable(&files.finish(), Member::BYTES);
        files.last(&directories.finish(), Member::BYTES)
    }
}

impl Metadata {
    /// Reads the bytes of a dirmeta object.
    pub fn parse(bytes: &[u8]) -> Result<Metadata, Malformed> {
        let kinds = [Member::U32, Member::U32, Member::U32, Member::BYTES];
        let [uid, gid, mode, attributes] = variant::tuple(bytes, kinds)?;
        let mode = variant::u32_be(mode)?;
        if mode & !PERMISSIONS != DIRECTORY {
            return Err(Malformed("its mode is not that of a directory"));
        }
        let xattrs = xattrs(attributes)?;
        Ok(Metadata { uid: variant::u32_be(uid)?, gid: variant::u32_be(gid)?, mode, xattrs })
    }

    /// The bytes of a dirmeta object.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.uid, self.gid, self.mode];
        let tuple =
            numbers.iter().fold(TupleWriter::default(), |tuple, number| tuple.fixed(&number.to_be_bytes()));
        tuple.last(&xattrs_bytes(&self.xattrs), Member::BYTES)
    }

    /// What is before a file's content when its checksum is made. `target` is what a link says, and empty for a file.
    pub(super) fn file_header(&self, target: &str) -> Vec<u8> {
        let numbers = [self.uid, self.gid, self.mode, 0];
        let header = numbers
            .iter()
            .fold(TupleWriter::default(), |tuple, number| tuple.fixed(&number.to_be_bytes()))
            .variable(&variant::terminated(target.as_bytes()), Member::BYTES)
            .last(&xattrs_bytes(&self.xattrs), Member::BYTES);
        // Padded to eight bytes, as a variant is.
        let length = (header.len() as u32).to_be_bytes();
        [&length, &[0; 4], &header[..]].concat()
    }

    /// Whether it is one of a link.
    pub fn is_link(&self) -> bool {
        self.mode & FILE_TYPE == 0o120_000
    }
}

impl Commit {
    /// Reads an object's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Commit, Malformed> {
        let bytes_member = Member::BYTES;
        let kinds = [
            Member::VARIANTS,
            bytes_member,
            bytes_member,
            bytes_member,
            bytes_member,
            Member::U64,
            bytes_member,
            bytes_member,
        ];
        let [metadata, parent, _related, subject, body, timestamp, tree, meta] =
            variant::tuple(bytes, kinds)?;
        Ok(Commit {
            metadata: dictionary(metadata)?,
            parent: if parent.is_empty() { None } else { Some(checksum(parent)?) },
            subject: variant::text(subject)?.to_owned(),
            body: variant::text(body)?.to_owned(),
            timestamp: variant::u64_be(timestamp)?,
            root: Directory { tree: checksum(tree)?, meta: checksum(meta)? },
        })
    }

    /// The object's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut metadata = ArrayWriter::new(8);
        for (name, Value { kind, bytes }) in &self.metadata {
            let value = variant::write_variant(bytes, kind);
            let name = variant::terminated(name.as_bytes());
            let entry = TupleWriter::default().variable(&name, Member::BYTES).last(&value, Member::VARIANTS);
            metadata.push(&entry);
        }
        let parent = self.parent.map(|parent| parent.0.to_vec()).unwrap_or_default();
        TupleWriter::default()
            .variable(&metadata.finish(), Member::VARIANTS)
            .variable(&parent, Member::BYTES)
            .variable(b"", Member::BYTES)
            .variable(&variant::terminated(self.subject.as_bytes()), Member::BYTES)
            .variable(&variant::terminated(self.body.as_bytes()), Member::BYTES)
            .fixed(&self.timestamp.to_be_bytes())
            .variable(&self.root.tree.0, Member::BYTES)
            .last(&self.root.meta.0, Member::BYTES)
    }

    /// A commit for a tree that was made of a base's: with what the base says of itself that stays true, and `metadata` instead of or
    /// besides that. Not carried over are signatures' and sizes' notes of its own objects, digests of its image (composefs), refs
    /// and collections it is bound to, and lists of its packages.
    pub fn upon(
        base: (Checksum, &Commit),
        root: Directory,
        subject: &str,
        timestamp: u64,
        metadata: impl IntoIterator<Item = (String, Value)>,
    ) -> Commit {
        let (parent, base) = base;
        let carried = base.metadata.iter().filter(|(key, _)| CARRIED.contains(&key.as_str()));
        let carried = carried.map(|(key, value)| (key.clone(), value.clone()));
        Commit {
            metadata: carried.chain(metadata).collect(),
            parent: Some(parent),
            subject: subject.to_owned(),
            body: String::new(),
            timestamp,
            root,
        }
    }

    /// A text of its metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key)?.as_text()
    }

    /// What stands for its content alone, whatever is said of it: ostree's "ContentChecksum".
    pub fn content(&self) -> Checksum {
        Checksum::of(&[self.root.tree.0, self.root.meta.0].concat())
    }
}

impl Value {
    /// A text (`s`). It must be without NUL.
    pub fn text(text: &str) -> Value {
        Value { kind: "s".to_owned(), bytes: variant::terminated(text.as_bytes()) }
    }

    /// A list of texts (`as`).
    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Value {
        let mut list = ArrayWriter::new(1);
        texts.into_iter().for_each(|text| list.push(&variant::terminated(text.as_bytes())));
        Value { kind: "as".to_owned(), bytes: list.finish() }
    }

    /// Yes or no (`b`).
    pub fn flag(value: bool) -> Value {
        Value { kind: "b".to_owned(), bytes: vec![u8::from(value)] }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        (self.kind == "s").then(|| variant::text(&self.bytes).ok()).flatten()
    }

    /// The texts, where it is a list of them.
    pub fn as_texts(&self) -> Option<Vec<&str>> {
        let elements = (self.kind == "as").then(|| variant::array(&self.bytes, 1).ok()).flatten()?;
        elements.map(|element| variant::text(element.ok()?).ok()).collect()
    }

    /// What is in it, where it is a dictionary (`a{sv}`).
    pub(super) fn as_dictionary(&self) -> Option<BTreeMap<String, Value>> {
        (self.kind == "a{sv}").then(|| dictionary(&self.bytes).ok()).flatten()
    }

    /// The numbers, where it is two of them (`(tt)`), as this machine writes them.
    pub(super) fn as_two_numbers(&self) -> Option<(u64, u64)> {
        let (one, other) = self.bytes.split_at_checked(8).filter(|_| self.kind == "(tt)")?;
        Some((u64::from_ne_bytes(one.try_into().ok()?), u64::from_ne_bytes(other.try_into().ok()?)))
    }

    /// What it says, where it says yes or no.
    pub fn as_flag(&self) -> Option<bool> {
        (self.kind == "b" && self.bytes.len() == 1).then(|| self.bytes[0] != 0)
    }
}

/// Reads a dictionary (`a{sv}`).
pub(super) fn dictionary(bytes: &[u8]) -> Result<BTreeMap<String, Value>, Malformed> {
    let mut entries = BTreeMap::new();
    for entry in variant::array(bytes, 8)? {
        let [name, value] = variant::tuple(entry?, [Member::BYTES, Member::VARIANTS])?;
        let (value, kind) = variant::variant(value)?;
        let value = Value { kind: kind.to_owned(), bytes: value.to_vec() };
        entries.insert(variant::text(name)?.to_owned(), value);
    }
    Ok(entries)
}

fn checksum(bytes: &[u8]) -> Result<Checksum, Malformed> {
    bytes.try_into().map(Checksum).map_err(|_| Malformed("a checksum is not of 32 bytes"))
}

/// A name that comes after the last one.
fn next_name<'a>(bytes: &'a [u8], last: &mut Option<&'a str>) -> Result<&'a str, Malformed> {
    let name = variant::text(bytes)?;
    if matches!(name, "" | "." | "..") || name.contains('/') {
        return Err(Malformed("a name is none of a file"));
    }
    if last.is_some_and(|last| last >= name) {
        return Err(Malformed("names are not sorted"));
    }
    *last = Some(name);
    Ok(name)
}

fn xattrs(bytes: &[u8]) -> Result<Xattrs, Malformed> {
    let mut found = Xattrs::default();
    for element in variant::array(bytes, 1)? {
        let [name, value] = variant::tuple(element?, [Member::BYTES; 2])?;
        match name.split_last() {
            Some((0, name)) if !name.is_empty() && !name.contains(&0) => {
                found.0.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(Malformed("an attribute has no name")),
        }
    }
    Ok(found)
}

fn xattrs_bytes(xattrs: &Xattrs) -> Vec<u8> {
    let mut list = ArrayWriter::new(1);
    for (name, value) in &xattrs.0 {
        let name = variant::terminated(name);
        list.push(&TupleWriter::default().variable(&name, Member::BYTES).last(value, Member::BYTES));
    }
    list.finish()
}

/// The limit that ostree has for all objects but files (OSTREE_MAX_METADATA_SIZE).
pub(super) const LARGEST: u64 = 128 * 1024 * 1024;

/// The kinds of objects that are read as a whole.
pub(super) trait Parsed: Sized {
    /// Which.
    const KIND: ObjectKind;
    /// Reads the bytes.
    fn parsed(bytes: &[u8]) -> Result<Self, Malformed>;
}

impl Parsed for DirTree {
    const KIND: ObjectKind = ObjectKind::DirTree;
    fn parsed(bytes: &[u8]) -> Result<DirTree, Malformed> {
        DirTree::parse(bytes)
    }
}

impl Parsed for Metadata {
    const KIND: ObjectKind = ObjectKind::DirMeta;
    fn parsed(bytes: &[u8]) -> Result<Metadata, Malformed> {
        Metadata::parse(bytes)
    }
}

impl Parsed for Commit {
    const KIND: ObjectKind = ObjectKind::Commit;
    fn parsed(bytes: &[u8]) -> Result<Commit, Malformed> {
        Commit::parse(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum_of(number: u64) -> Checksum {
        Checksum::of(&number.to_le_bytes())
    }

    fn tree(names: u64) -> DirTree {
        let item = |number| match number % 3 {
            0 => Item::Directory(Directory { tree: checksum_of(number), meta: checksum_of(number + 1) }),
            _ => Item::File(checksum_of(number)),
        };
        DirTree((0..names).map(|number| (format!("name {number}"), item(number))).collect())
    }

    fn metadata() -> Metadata {
        let pairs =
            [("security.capability", vec![1, 0, 0, 2]), ("user.empty", vec![]), ("user.long", vec![7; 300])];
        let xattrs = Xattrs(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect());
        Metadata { uid: 1, gid: 70_000, mode: 0o041_755, xattrs }
    }

    fn commit() -> Commit {
        let values = [
            ("version", Value::text("13.1")),
            ("ostree.ref-binding", Value::texts(["one", "", "three"])),
            ("ostree.bootable", Value::flag(true)),
        ];
        Commit {
            metadata: values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            parent: Some(checksum_of(1)),
            subject: "a subject".to_owned(),
            body: "lines\nand ü".to_owned(),
            timestamp: 1_700_000_000,
            root: Directory { tree: checksum_of(2), meta: checksum_of(3) },
        }
    }

    #[test]
    fn objects_are_read_as_they_are_written() {
        for names in [0, 1, 2, 5, 100, 2000] {
            let tree = tree(names);
            assert_eq!(DirTree::parse(&tree.to_bytes()), Ok(tree), "{names}");
        }
        let plain = Metadata { xattrs: Xattrs::default(), ..metadata() };
        for metadata in [metadata(), plain] {
            assert_eq!(Metadata::parse(&metadata.to_bytes()), Ok(metadata));
        }
        let first = Commit { parent: None, metadata: BTreeMap::new(), ..commit() };
        for commit in [commit(), first] {
            assert_eq!(Commit::parse(&commit.to_bytes()), Ok(commit));
        }
        let read = Commit::parse(&commit().to_bytes()).expect("our own");
        assert_eq!(read.text("version"), Some("13.1"));
        assert_eq!(read.metadata["ostree.ref-binding"].as_texts(), Some(vec!["one", "", "three"]));
        assert_eq!(read.metadata["ostree.bootable"].as_flag(), Some(true));
        assert_eq!(read.text("ostree.bootable"), None);
    }

    #[test]
    fn what_no_tree_can_have_is_refused() {
        for names in [["a", "a"], ["b", "a"], ["..", "a"], ["", "a"], ["a/b", "c"]] {
            let mut files = ArrayWriter::new(1);
            for name in names {
                let name = variant::terminated(name.as_bytes());
                files.push(
                    &TupleWriter::default().variable(&name, Member::BYTES).last(&[0; 32], Member::BYTES),
                );
            }
            let files = TupleWriter::default().variable(&files.finish(), Member::BYTES);
            assert!(DirTree::parse(&files.last(b"", Member::BYTES)).is_err(), "{names:?}");
        }
        let file = Metadata { mode: 0o100_644, ..metadata() };
        assert!(Metadata::parse(&file.to_bytes()).is_err());
    }
}
