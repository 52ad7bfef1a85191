//! A package's header as a database has it.
//!
//! rpm installs the header of a package with what the package's signature says of it (`headerMergeLegacySigs` in its package.cc)
//! and with what became of it (`dbAdd` in psm.cc), all behind the region: digests and signatures of that still hold.

use super::{Entry, Header, Kind, Value, tag};

/// What a signature has that goes into a header: its tag there, its tag here, and how its values are stored.
const SIGNATURE: &[(u32, u32, Kind)] = &[
    (tag::SIGNATURE_SIZE, tag::SIG_SIZE, Kind::Int32),
    (tag::SIGNATURE_PGP, tag::SIG_PGP, Kind::Binary),
    (tag::SIGNATURE_MD5, tag::SIG_MD5, Kind::Binary),
    (tag::SIGNATURE_GPG, tag::SIG_GPG, Kind::Binary),
    (tag::SIGNATURE_PAYLOAD_SIZE, tag::ARCHIVE_SIZE, Kind::Int32),
    (tag::DSA_HEADER, tag::DSA_HEADER, Kind::Binary),
    (tag::RSA_HEADER, tag::RSA_HEADER, Kind::Binary),
    (tag::SHA1_HEADER, tag::SHA1_HEADER, Kind::String),
    (tag::LONG_SIG_SIZE, tag::LONG_SIG_SIZE, Kind::Int64),
    (tag::LONG_ARCHIVE_SIZE, tag::LONG_ARCHIVE_SIZE, Kind::Int64),
    (tag::SHA256_HEADER, tag::SHA256_HEADER, Kind::String),
    (tag::FILE_SIGNATURES, tag::FILE_SIGNATURES, Kind::StringArray),
    (tag::FILE_SIGNATURE_LENGTH, tag::FILE_SIGNATURE_LENGTH, Kind::Int32),
    (tag::VERITY_SIGNATURES, tag::VERITY_SIGNATURES, Kind::StringArray),
    (tag::VERITY_SIGNATURE_ALGORITHM, tag::VERITY_SIGNATURE_ALGORITHM, Kind::Int32),
    (tag::OPENPGP, tag::OPENPGP, Kind::StringArray),
    (tag::SHA3_256_HEADER, tag::SHA3_256_HEADER, Kind::String),
];

impl Header<'_> {
    /// This header, of a package, as a database has it: with what `signature` says of the package, and with what is said of
    /// it here. `None` without a region.
    pub fn installed(&self, signature: &Header<'_>, said: &[(u32, Value)]) -> Option<Vec<u8>> {
        let bytes: Vec<Vec<u8>> = said.iter().map(|(_, value)| value.bytes()).collect();
        let said = said.iter().zip(&bytes).map(|((tag, value), bytes)| value.entry(*tag, bytes));
        let signed = SIGNATURE.iter().filter_map(|&(theirs, ours, kind)| {
            let entry = signature.entry(theirs).filter(|entry| entry.kind == kind)?;
            // What the header says itself is signed.
            self.entry(ours).is_none().then_some(Entry { tag: ours, ..*entry })
        });
        let mut dribbles: Vec<Entry<'_>> = signed.chain(said).collect();
        dribbles.sort_by_key(|entry| entry.tag);
        self.with_dribbles(&dribbles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::header::{Builder, HeaderDigest};

    #[test]
    fn what_a_signature_says_goes_behind_the_region() {
        let package = Builder::new()
            .add(tag::NAME, Value::String(b"a".to_vec()))
            .add(tag::ARCHIVE_SIZE, Value::Int32(vec![7]))
            .build();
        let package = Header::parse(&package).expect("we built it");
        let digest = crate::package::digest::Algorithm::Sha256
            .digest(&*package.region().expect("it has one"))
            .expect("memory can be read");
        let signature = Builder::new()
            .add(tag::SIGNATURE_SIZE, Value::Int32(vec![1]))
            .add(tag::SIGNATURE_PGP, Value::String(b"no signature is text".to_vec()))
            .add(tag::SIGNATURE_MD5, Value::Binary(vec![5; 16]))
            .add(tag::SIGNATURE_PAYLOAD_SIZE, Value::Int32(vec![8]))
            .add(1008, Value::Binary(vec![0; 100]))
            .add(tag::SHA256_HEADER, Value::String(digest.to_string().into_bytes()))
            .build();
        let signature = Header::parse(&signature).expect("we built it");
        let installed =
            package.installed(&signature, &[(tag::INSTALL_TIME, Value::Int32(vec![99]))]).expect("a region");
        let installed = Header::parse(&installed).expect("we built it");
        let tags: Vec<u32> = installed.entries().iter().map(|entry| entry.tag).collect();
        let expected = [
            tag::SIG_SIZE,
            tag::SIG_MD5,
            tag::SHA256_HEADER,
            tag::NAME,
            tag::INSTALL_TIME,
            tag::ARCHIVE_SIZE,
        ];
        assert_eq!(tags, expected);
        assert_eq!(installed.number(tag::ARCHIVE_SIZE), Some(7));
        assert_eq!(installed.sha256(), HeaderDigest::Right);
        assert_eq!(installed.region(), package.region());
    }
}
