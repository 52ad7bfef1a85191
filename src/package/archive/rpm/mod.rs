//! RPM packages.
//!
//! ```text
//! 0    lead of 96 bytes: 0xedabeedb, version, 0 for binary or 1 for source (2 bytes from 6), what is not used any more
//! 96   signature: a header with digests and signatures of the next one, up to a multiple of 8
//! …    header: all that is said of the package and its files, with digests of the payload
//! …    payload: contents, compressed, up to the end of the file
//! ```

mod payload;

use std::fs::File;
use std::io::Read;

use super::decoder::{Compression, Decoded, Stored};
use super::delivery::{Delivery, Stop};
use super::error::Fault;
use super::scripts::sets_alternatives;
use crate::package::digest::{Algorithm, Digester, FileDigest};
use crate::package::header::{self, FileState, Header, Value, tag};
use payload::Payload;

pub(super) const MAGIC: &[u8; 4] = b"\xed\xab\xee\xdb";

const LEAD: u64 = 96;
/// rpm's limit on a signature's data, and more than its limit on entries takes.
const LARGEST_SIGNATURE: usize = 65 * 1024 * 1024;

/// The header of an RPM package.
#[derive(Debug, Clone)]
pub struct Rpm {
    signature: Vec<u8>,
    header: Vec<u8>,
    compression: Compression,
    payload: (u64, u64),
    digest: Option<PayloadDigest>,
}

/// What the payload is compared with: the first of these that the package has.
#[derive(Debug, Clone, Copy)]
enum PayloadDigest {
    /// Of the payload as it is; where it was compressed anew, of what it unpacks to.
    Packed(FileDigest, Option<FileDigest>),
    /// Of what it unpacks to.
    Unpacked(FileDigest),
    /// Of header and payload, as before rpm 4.14.
    Whole(FileDigest),
}

impl Rpm {
    /// The header as rpm's database would hold it.
    pub fn header(&self) -> Header<'_> {
        Header::parse(&self.header).expect("it was read before")
    }

    /// The header's bytes.
    pub fn header_blob(&self) -> &[u8] {
        &self.header
    }

    /// The header as rpm's database would hold it once the package is installed: with what the signature says of it, the time
    /// in seconds since 1970, and what became of each of its files.
    pub fn installed_header(&self, time: u32, states: &[FileState]) -> Vec<u8> {
        let signature = Header::parse(&self.signature).expect("it was read before");
        let mut said =
            vec![(tag::INSTALL_TIME, Value::Int32(vec![time])), (tag::INSTALL_TID, Value::Int32(vec![time]))];
        if !states.is_empty() {
            let states = states.iter().map(|state| state.number()).collect();
            said.push((tag::FILE_STATES, Value::Char(states)));
        }
        self.header().installed(&signature, &said).expect("its region is all of it")
    }

    /// Names of the scripts and triggers that it has.
    pub fn scripts(&self) -> impl Iterator<Item = &'static str> {
        let header = self.header();
        SCRIPTS.iter().filter(move |(_, tag)| header.entry(*tag).is_some()).map(|(name, _)| *name)
    }

    /// Whether one of its scripts sets alternatives as it is installed.
    pub(super) fn sets_alternatives(&self) -> bool {
        let header = self.header();
        let texts = [tag::POST_IN, tag::POST_TRANS].into_iter().flat_map(|tag| header.strings(tag));
        texts.into_iter().any(sets_alternatives)
    }

    /// Whether the package has a digest of its payload. All that rpm built since 2004 have.
    pub fn has_payload_digest(&self) -> bool {
        self.digest.is_some()
    }

    pub(super) fn read(file: &File, length: u64) -> Result<Rpm, Fault> {
        let mut lead = [0; LEAD as usize];
        read_exact(file, 0, length, &mut lead, "lead")?;
        match lead[6..8] {
            [0, 0] => {}
            [0, 1] => return Err(Fault::Source),
            _ => return Err(Fault::malformed("lead", "it has a type that is not known")),
        }
        let (signature_blob, end) = read_header(file, LEAD, length, "signature", LARGEST_SIGNATURE)?;
        let signature = parse(&signature_blob, "signature")?;
        let (blob, begin) = read_header(file, end.next_multiple_of(8), length, "header", header::LARGEST)?;
        let parsed = parse(&blob, "header")?;
        check_header(&parsed, &signature)?;
        let digest = payload_digest(&parsed, &signature)?;
        let compression = payload_compression(&parsed, file, begin, length)?;
        Ok(Rpm { signature: signature_blob, header: blob, compression, payload: (begin, length), digest })
    }

    /// Gives all entries of the payload.
    pub(super) fn walk(&self, file: &File, delivery: &mut Delivery<'_>) -> Result<(), Stop> {
        let header = self.header();
        let (packed, unpacked) = match self.digest {
            Some(PayloadDigest::Packed(digest, _)) => (Some(Digester::new(digest.algorithm())), None),
            Some(PayloadDigest::Unpacked(digest)) => (None, Some(Digester::new(digest.algorithm()))),
            Some(PayloadDigest::Whole(digest)) => {
                let mut digester = Digester::new(digest.algorithm());
                digester.update(&header::MAGIC);
                digester.update(&self.header);
                (Some(digester), None)
            }
            None => (None, None),
        };
        let mut stored = self.stored(file).digested(packed);
        let limit = delivery.limits().bytes;
        let decoded = Decoded::new(&mut stored, self.compression, limit)?.digested(unpacked);
        let unpacked = Payload::new(&header, decoded, delivery)?.walk()?.finish()?;
        let packed = stored.finish()?;
        self.check_payload(file, limit, packed.or(unpacked).map(Digester::finish))?;
        Ok(())
    }

    fn check_payload(&self, file: &File, limit: u64, found: Option<FileDigest>) -> Result<(), Fault> {
        let (Some(noted), Some(found)) = (self.digest, found) else { return Ok(()) };
        let (PayloadDigest::Packed(expected, _)
        | PayloadDigest::Unpacked(expected)
        | PayloadDigest::Whole(expected)) = noted;
        if found == expected {
            return Ok(());
        }
        if let PayloadDigest::Packed(_, Some(unpacked)) = noted {
            let digester = Digester::new(unpacked.algorithm());
            let decoded = Decoded::new(self.stored(file), self.compression, limit)?.digested(Some(digester));
            if decoded.finish()?.map(Digester::finish) == Some(unpacked) {
                return Ok(());
            }
        }
        Err(differs("payload", expected, found))
    }

    fn stored<'f>(&self, file: &'f File) -> Stored<'f> {
        Stored::new(file, self.payload.0, self.payload.1)
    }
}

/// Scripts and triggers, as spec files name them.
const SCRIPTS: &[(&str, u32)] = &[
    ("pretrans", tag::PRE_TRANS),
    ("pre", tag::PRE_IN),
    ("post", tag::POST_IN),
    ("preun", tag::PRE_UN),
    ("postun", tag::POST_UN),
    ("posttrans", tag::POST_TRANS),
    ("preuntrans", tag::PRE_UN_TRANS),
    ("postuntrans", tag::POST_UN_TRANS),
    ("verify", tag::VERIFY_SCRIPT),
    ("trigger", tag::TRIGGER_NAME),
    ("filetrigger", tag::FILE_TRIGGER_NAME),
    ("transfiletrigger", tag::TRANS_FILE_TRIGGER_NAME),
];

fn read_exact(file: &File, at: u64, length: u64, bytes: &mut [u8], part: &'static str) -> Result<(), Fault> {
    Stored::new(file, at, length).read_exact(bytes).map_err(|error| Fault::reading(part, error))
}

/// The header that begins somewhere, without its magic, and where it ends. Memory is taken only for what the file has.
fn read_header(
    file: &File,
    at: u64,
    length: u64,
    part: &'static str,
    largest: usize,
) -> Result<(Vec<u8>, u64), Fault> {
    let mut beginning = [0; 16];
    read_exact(file, at, length, &mut beginning, part)?;
    // Four bytes that are zero so far are reserved.
    if beginning[..4] != header::MAGIC[..4] {
        return Err(Fault::malformed(part, "it does not begin like a header"));
    }
    let begin = at + header::MAGIC.len() as u64;
    let announced = header::announced_length(&beginning[8..]).filter(|announced| *announced <= largest);
    let announced = announced.ok_or(Fault::malformed(part, "it is too large"))?;
    let end = begin + announced as u64;
    if end > length {
        return Err(Fault::Truncated(part));
    }
    let mut blob = vec![0; announced];
    read_exact(file, begin, length, &mut blob, part)?;
    Ok((blob, end))
}

fn parse<'a>(blob: &'a [u8], which: &'static str) -> Result<Header<'a>, Fault> {
    Header::parse(blob).map_err(|why| Fault::Header { which, why })
}

/// What digests cover is all of the header, it is as the signature says, and it is one of a package to install.
fn check_header(header: &Header<'_>, signature: &Header<'_>) -> Result<(), Fault> {
    let whole = header.region().filter(|region| region.len() == header::MAGIC.len() + header.blob().len());
    let whole = whole.ok_or(Fault::malformed("header", "its region is not all of it"))?;
    for (tag, algorithm) in [(tag::SHA256_HEADER, Algorithm::Sha256), (tag::SHA1_HEADER, Algorithm::Sha1)] {
        let Some(digits) = signature.string(tag) else { continue };
        let found = algorithm.digest(&*whole).expect("memory can be read");
        match FileDigest::parse(algorithm, digits) {
            Some(expected) if expected == found => break,
            Some(expected) => return Err(differs("header", expected, found)),
            None => return Err(Fault::malformed("signature", "its digest of the header is none")),
        }
    }
    if header.entry(tag::SOURCE_PACKAGE).is_some() || header.entry(tag::SOURCE_RPM).is_none() {
        return Err(Fault::Source);
    }
    if [tag::NAME, tag::VERSION, tag::RELEASE, tag::ARCH]
        .iter()
        .any(|tag| header.string(*tag).is_none_or(<[u8]>::is_empty))
    {
        return Err(Fault::malformed("header", "it has no name, version, release or architecture"));
    }
    Ok(())
}

fn payload_digest(header: &Header<'_>, signature: &Header<'_>) -> Result<Option<PayloadDigest>, Fault> {
    let sha256 = |tag: u32| {
        let wrong = || Fault::malformed("header", "its digest of the payload is none");
        let digits = header.string(tag);
        digits.map(|digits| FileDigest::parse(Algorithm::Sha256, digits).ok_or_else(wrong)).transpose()
    };
    let (packed, unpacked) = (sha256(tag::PAYLOAD_SHA256)?, sha256(tag::PAYLOAD_SHA256_ALT)?);
    if let Some(packed) = packed {
        return Ok(Some(PayloadDigest::Packed(packed, unpacked)));
    }
    if let Some(unpacked) = unpacked {
        return Ok(Some(PayloadDigest::Unpacked(unpacked)));
    }
    let Some(md5) = signature.bytes(tag::SIGNATURE_MD5) else { return Ok(None) };
    let md5 = FileDigest::from_bytes(Algorithm::Md5, md5);
    let md5 = md5.ok_or(Fault::malformed("signature", "its digest of header and payload is none"))?;
    Ok(Some(PayloadDigest::Whole(md5)))
}

fn payload_compression(
    header: &Header<'_>,
    file: &File,
    begin: u64,
    length: u64,
) -> Result<Compression, Fault> {
    let text = |tag| header.text(tag).map(std::borrow::Cow::into_owned);
    if let Some(format) = text(tag::PAYLOAD_FORMAT).filter(|format| format != "cpio") {
        return Err(Fault::Unknown { what: "payload format", name: format });
    }
    let mut beginning = Vec::new();
    let stored = Stored::new(file, begin, length);
    stored.take(2).read_to_end(&mut beginning).map_err(|error| Fault::reading("payload", error))?;
    let word = text(tag::PAYLOAD_COMPRESSOR);
    let unknown = || Fault::Unknown { what: "compression", name: word.clone().unwrap_or_default() };
    Compression::from_rpm(word.as_deref(), &beginning).ok_or_else(unknown)
}

fn differs(what: &str, expected: FileDigest, found: FileDigest) -> Fault {
    Fault::Digest { what: what.to_owned(), expected: expected.to_string(), found: found.to_string() }
}
