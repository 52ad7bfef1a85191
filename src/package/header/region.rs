//! The digests that a header holds of its own region.

use std::borrow::Cow;

use super::{ENTRY, Glance, Header, INTRO, MAGIC, Region, Tags, tag};
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
        parts(self.blob, self.region?).map(|parts| parts.concat())
    }

    /// The identity of the region: the same wherever and whenever the package is installed, while the
    /// header as a database holds it also tells that, and what became of its files.
    pub fn package_identity(&self) -> Option<Identity> {
        parts(self.blob, self.region?).map(|parts| Identity::of_parts(&parts))
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
        index_length(self.blob)
    }
}

impl Glance<'_> {
    /// What tells the package from any other, wherever and whenever it is installed: the SHA-256 of its region, as the
    /// header itself says it (SHA256HEADER) where it does; of all of the header where it has no region.
    pub fn package_identity(&self) -> Identity {
        let noted =
            self.string(tag::SHA256_HEADER).and_then(|text| Identity::parse(str::from_utf8(text).ok()?));
        let of_region = || parts(self.blob, self.region?).map(|parts| Identity::of_parts(&parts));
        noted.or_else(of_region).unwrap_or_else(|| Identity::of(self.blob))
    }
}

/// What a region is made of: magic and the numbers of its entries and bytes, entries, data.
fn parts(blob: &[u8], region: Region) -> Option<[Cow<'_, [u8]>; 3]> {
    let counts = [region.entries as u32, region.data as u32].map(u32::to_be_bytes).concat();
    let entries = blob.get(INTRO..INTRO + region.entries * ENTRY)?;
    let data = blob.get(INTRO + index_length(blob)..)?.get(..region.data)?;
    Some([[&MAGIC[..], &counts].concat().into(), entries.into(), data.into()])
}

fn index_length(blob: &[u8]) -> usize {
    super::number(blob, 0).unwrap_or_default() as usize * ENTRY
}
