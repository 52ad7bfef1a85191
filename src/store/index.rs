//! `index.json`: all that a client needs to choose an image without downloading one.
//!
//! It is one file, so that it appears at once with the signatures that it has: `{"index": …, "signatures": […]}`. A
//! signature is made over the bytes of the value of `index`, as they stand in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::sums::is_name;
use crate::extension::Versions;
use crate::package::Identity;

/// The name of the index.
pub(super) const INDEX: &str = "index.json";

/// The format that is written; a reader refuses a higher one.
pub(super) const FORMAT: u32 = 1;

/// The index of a store. Fields may be added; those that are there keep their meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The version of this format: 1.
    pub format: u32,
    /// Grows by each change: a client that has seen a higher one is shown an old index.
    pub serial: u64,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The last day on which it is to be believed, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_before: Option<String>,
    /// For how many days it is to be believed from when it is signed; that day moves on with each signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_before_days: Option<u32>,
    /// Fingerprints of the keys that sign it, as the store remembers them; the first one also signs `SHA256SUMS`. Nobody trusts
    /// a key for standing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The images, by their file names.
    pub images: Vec<Entry>,
}

/// An image of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its file name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The extension.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `ARCHITECTURE` of its release file; none where it is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The other fields of its release file by which a host takes it: `ID`, `VERSION_ID`, `SYSEXT_LEVEL` and the like.
    pub release: BTreeMap<String, String>,
    /// The packages in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Libraries that its programs need and that are not in it, with symbol versions.
    #[serde(default, skip_serializing_if = "Versions::is_empty")]
    pub needs: Versions,
    /// Libraries that are in it, with symbol versions.
    #[serde(default, skip_serializing_if = "Versions::is_empty")]
    pub provides: Versions,
    /// Loaders of its programs that are not in it, by their paths, each with the architectures of those programs; `None` in an
    /// index that was made before this was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaders: Option<Versions>,
    /// That it extends /etc (systemd-confext), and not /usr; not told of what was added before this was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confext: bool,
    /// The SHA-256 of the manifest beside it, which has the same name and `.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The list of its blocks, by which it is built from another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Beside>,
    /// Patches that make it of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<PatchFile>,
}

/// A file beside an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// A patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchFile {
    /// The SHA-256 of the image that it is for.
    pub from: String,
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// What blocks must be compressed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressor: Option<Compressor>,
}

/// How blocks of an image are compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressor {
    /// The settings, such as `zstd:3`.
    pub compression: String,
    /// Bytes of a block before it is compressed, at most.
    pub block_size: u32,
    /// What tells compressors apart (`store/delta/patch`): 16 hexadecimal digits.
    pub fingerprint: String,
}

/// A package in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An index as it is in its file.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What it says.
    pub index: Index,
    /// The bytes that are signed.
    pub bytes: Vec<u8>,
    /// Signatures of these bytes, in ASCII armour (RFC 9580, 6.2).
    pub signatures: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    index: &'a RawValue,
    #[serde(default)]
    signatures: Vec<String>,
}

/// The format of an index that this program does not know, being older than that.
pub(super) fn later_format(text: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let File { index, .. } = serde_json::from_slice(text).ok()?;
    let Format { format } = serde_json::from_str(index.get()).ok()?;
    (format > FORMAT).then_some(format)
}

impl Index {
    /// The bytes that are signed: one line for each image.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Index { images: Vec::new(), ..self.clone() };
        let mut text = serde_json::to_string(&head).expect("it has nothing that JSON cannot say");
        let close = "]}";
        text.truncate(text.len() - close.len());
        for (number, entry) in self.images.iter().enumerate() {
            text.push_str(if number == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(entry).expect("it has nothing that JSON cannot say"));
        }
        text.push_str(close);
        text.into_bytes()
    }

    /// The image with a file name.
    pub fn image(&self, file: &str) -> Option<&Entry> {
        let found = self.images.binary_search_by(|entry| entry.file.as_str().cmp(file)).ok()?;
        self.images.get(found)
    }

    /// Puts an image at its place, instead of one with its file name.
    pub fn put(&mut self, entry: Entry) {
        match self.images.binary_search_by(|other| other.file.cmp(&entry.file)) {
            Ok(found) => self.images[found] = entry,
            Err(place) => self.images.insert(place, entry),
        }
    }
}

impl Entry {
    /// The hosts that it is for, in a few words.
    pub fn host(&self) -> String {
        let field = |name: &str| self.release.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match (field("ID"), field("SYSEXT_LEVEL").or(field("CONFEXT_LEVEL")), field("VERSION_ID")) {
            (Some("_any"), ..) => "any host".to_owned(),
            (Some(id), Some(level), _) => format!("{id}, level {level}"),
            (Some(id), None, Some(version)) => format!("{id} {version}"),
            (id, ..) => id.unwrap_or_default().to_owned(),
        }
    }

    /// The names of all that belongs to it, its manifest aside, whose name is made of its own.
    fn files(&self) -> impl Iterator<Item = &str> {
        let beside = self.blocks.iter().map(|blocks| &*blocks.file);
        let patches = self.patches.iter().map(|patch| &*patch.file);
        std::iter::once(&*self.file).chain(beside).chain(patches)
    }

    /// Its SHA-256; `None` where what it says is none.
    pub fn digest(&self) -> Option<Identity> {
        Identity::parse(&self.sha256)
    }
}

impl Signed {
    /// Reads an index. What it says is believed only when a signature was checked.
    pub fn parse(text: &[u8]) -> Result<Signed, String> {
        let File { index, signatures } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let bytes = index.get().as_bytes().to_vec();
        let mut index: Index = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if index.format > FORMAT {
            return Err(format!("its format is {}, and this program knows {FORMAT}", index.format));
        }
        let names = index.images.iter().flat_map(Entry::files);
        if let Some(name) = names.into_iter().find(|name| name.contains('/') || !is_name(name)) {
            return Err(format!("it has the name {name:?}, which no file of a store can have"));
        }
        index.images.sort_by(|one, other| one.file.cmp(&other.file));
        if let Some(pair) = index.images.windows(2).find(|pair| pair[0].file == pair[1].file) {
            return Err(format!("it has '{}' twice", pair[0].file));
        }
        Ok(Signed { index, bytes, signatures })
    }

    /// As it is written.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = b"{\"index\":".to_vec();
        text.extend_from_slice(&self.bytes);
        let signatures = serde_json::to_vec(&self.signatures).expect("they are text");
        text.extend_from_slice(b",\"signatures\":");
        text.extend_from_slice(&signatures);
        text.extend_from_slice(b"}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str) -> Entry {
        Entry { file: file.to_owned(), size: 3, ..Entry::default() }
    }

    #[test]
    fn what_is_written_is_read_with_the_bytes_that_are_signed() {
        let mut index = Index { format: FORMAT, serial: 7, ..Index::default() };
        for images in [&[][..], &["b"], &["b", "a", "b", "c"]] {
            for file in images {
                index.put(entry(file));
            }
            let bytes = index.to_bytes();
            let signed =
                Signed { index: index.clone(), bytes: bytes.clone(), signatures: vec!["x\ny".to_owned()] };
            let read = Signed::parse(&signed.to_text()).expect("it was just written");
            assert_eq!((&read.index, read.bytes, read.signatures), (&index, bytes, signed.signatures));
        }
        let files: Vec<&str> = index.images.iter().map(|entry| &*entry.file).collect();
        assert_eq!(files, ["a", "b", "c"]);
        assert!(index.image("b").is_some() && index.image("d").is_none());
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let twice = r#"{"index":{"format":1,"serial":1,"made":1,"images":[X,X]}}"#;
        let image = serde_json::to_string(&entry("a")).expect("text");
        for (text, problem) in [
            ("", "EOF"),
            ("{}", "missing field"),
            (r#"{"index":{"format":2,"serial":1,"made":1,"images":[]}}"#, "format is 2"),
            (&twice.replace('X', &image), "'a' twice"),
            (&twice.replace('X', &serde_json::to_string(&entry("../a")).expect("text")), "which no file"),
        ] {
            let said = Signed::parse(text.as_bytes()).expect_err("no index");
            assert!(said.contains(problem), "{said}");
        }
    }
}
