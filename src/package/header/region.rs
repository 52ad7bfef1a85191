//! The digests that a header holds of its own region.

use super::{ENTRY, Header, INTRO, MAGIC, tag};
use crate::package::Identity;
use crate::package::digest::{Algorithm, FileDigest};

/// What a digest in a header says of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderDigest {
    /// It has none. Keys and very old packages do not.
    Absent,
    /// It is right.
    Right,
    /// It is another's.
    Wrong,
}

impl Header<'_> {
    /// The region as it was in the package file: magic, beginning, entries and data. These are the bytes
    /// that digests and signatures cover; dribbles are not among them.
    pub fn region(&self) -> Option<Vec<u8>> {
        let region = self.region?;
        let data_start = INTRO + self.index_length();
        let entries = self.blob.get(INTRO..INTRO + region.entries * ENTRY)?;
        let data = self.blob.get(data_start..)?.get(..region.data)?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + INTRO + entries.len() + data.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(region.entries as u32).to_be_bytes());
        bytes.extend_from_slice(&(region.data as u32).to_be_bytes());
        bytes.extend_from_slice(entries);
        bytes.extend_from_slice(data);
        Some(bytes)
    }

    /// The identity of the region: the same wherever and whenever the package is installed, while the
    /// header as a database holds it also tells that, and what became of its files.
    pub fn package_identity(&self) -> Option<Identity> {
        self.region().map(|region| Identity::of(&region))
    }

    /// Checks SHA1HEADER against the region.
    pub fn sha1(&self) -> HeaderDigest {
        self.check(tag::SHA1_HEADER, Algorithm::Sha1)
    }

    /// Checks SHA256HEADER against the region.
    pub fn sha256(&self) -> HeaderDigest {
        self.check(tag::SHA256_HEADER, Algorithm::Sha256)
    }

    fn check(&self, tag: u32, algorithm: Algorithm) -> HeaderDigest {
        let Some(text) = self.string(tag) else { return HeaderDigest::Absent };
        let region = self.region().unwrap_or_default();
        let digest = algorithm.digest(&*region).expect("memory can be read");
        let is_right = FileDigest::parse(algorithm, text) == Some(digest);
        if is_right { HeaderDigest::Right } else { HeaderDigest::Wrong }
    }

    pub(super) fn index_length(&self) -> usize {
        super::number(self.blob, 0).unwrap_or_default() as usize * ENTRY
    }
}
