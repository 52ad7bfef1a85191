//! Digests of files, in the algorithms that packages were ever built with.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::sys::{Context, IoError};

/// How a digest is made. The numbers are OpenPGP's (RFC 9580, 9.5), which rpm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 16 bytes; all packages before 2009, and dpkg's.
    Md5,
    /// 20 bytes.
    Sha1,
    /// 32 bytes; what is usual.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
    /// 28 bytes.
    Sha224,
}

impl Algorithm {
    /// The algorithm with a number of OpenPGP's.
    pub fn from_number(number: u32) -> Option<Algorithm> {
        Some(match number {
            1 => Algorithm::Md5,
            2 => Algorithm::Sha1,
            8 => Algorithm::Sha256,
            9 => Algorithm::Sha384,
            10 => Algorithm::Sha512,
            11 => Algorithm::Sha224,
            _ => return None,
        })
    }

    /// How many bytes its digests have.
    pub fn length(self) -> usize {
        match self {
            Algorithm::Md5 => 16,
            Algorithm::Sha1 => 20,
            Algorithm::Sha224 => 28,
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        }
    }

    /// The digest of all that a reader gives.
    pub fn digest(self, mut reader: impl Read) -> io::Result<FileDigest> {
        let mut digester = Digester::new(self);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(digester.finish()),
                Ok(length) => digester.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest of a whole file, wherever in it was read before; `path` is its name in errors.
    pub fn digest_file(self, mut file: &File, path: &Path) -> Result<FileDigest, IoError> {
        file.rewind().context("read", path)?;
        self.digest(file).context("read", path)
    }

    fn hasher(self) -> Box<dyn DynDigest + Send> {
        match self {
            Algorithm::Md5 => Box::new(Md5::new()),
            Algorithm::Sha1 => Box::new(Sha1::new()),
            Algorithm::Sha224 => Box::new(Sha224::new()),
            Algorithm::Sha256 => Box::new(Sha256::new()),
            Algorithm::Sha384 => Box::new(Sha384::new()),
            Algorithm::Sha512 => Box::new(Sha512::new()),
        }
    }
}

/// A digest in the making, of bytes that come piece by piece.
pub struct Digester {
    algorithm: Algorithm,
    hasher: Box<dyn DynDigest + Send>,
}

impl Digester {
    /// One that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Digester {
        Digester { algorithm, hasher: algorithm.hasher() }
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The digest of all that came.
    pub fn finish(self) -> FileDigest {
        let mut bytes = [0; 64];
        bytes[..self.algorithm.length()].copy_from_slice(&self.hasher.finalize());
        FileDigest { algorithm: self.algorithm, bytes }
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digester({:?})", self.algorithm)
    }
}

/// The digest of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileDigest {
    algorithm: Algorithm,
    /// Zero behind the algorithm's length.
    bytes: [u8; 64],
}

impl FileDigest {
    /// Reads hexadecimal digits; `None` where they are not exactly a digest's.
    pub fn parse(algorithm: Algorithm, digits: &[u8]) -> Option<FileDigest> {
        if digits.len() != algorithm.length() * 2 {
            return None;
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(FileDigest { algorithm, bytes })
    }

    /// A digest that is known as bytes; `None` where they are not exactly one's.
    pub fn from_bytes(algorithm: Algorithm, digest: &[u8]) -> Option<FileDigest> {
        let mut bytes = [0; 64];
        bytes.get_mut(..algorithm.length())?.copy_from_slice(digest.get(..algorithm.length())?);
        (digest.len() == algorithm.length()).then_some(FileDigest { algorithm, bytes })
    }

    /// How it was made.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }
}

/// Hexadecimal digits.
impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{self}", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_abc_are_the_known_ones() {
        for (number, digest) in [
            (1, "900150983cd24fb0d6963f7d28e17f72"),
            (2, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (8, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                9,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                10,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (11, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        ] {
            let algorithm = Algorithm::from_number(number).expect("a known one");
            let made = algorithm.digest(&b"abc"[..]).expect("memory can be read");
            assert_eq!(made.to_string(), digest);
            assert_eq!(FileDigest::parse(algorithm, digest.as_bytes()), Some(made));
            assert_eq!(FileDigest::from_bytes(algorithm, made.bytes()), Some(made));
            assert_eq!(FileDigest::from_bytes(algorithm, &made.bytes()[1..]), None);
            assert_eq!(FileDigest::parse(algorithm, digest.to_uppercase().as_bytes()), Some(made));
            assert_eq!(FileDigest::parse(algorithm, &digest.as_bytes()[1..]), None);
            assert_eq!(FileDigest::parse(algorithm, digest.replace('9', "x").as_bytes()), None);
        }
        assert_eq!(Algorithm::from_number(3), None);
    }
}
