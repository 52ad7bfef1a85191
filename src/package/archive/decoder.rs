//! Payloads as streams: what is stored in a part of the file, and what that is without its compression. Decoders are
//! held to memory that usual packages need (xz -9 takes 65 MiB, zstd -19 8 MiB), however much a payload asks for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::error::Fault;
use crate::package::digest::Digester;

/// The most memory that a decoder of xz takes.
const XZ_MEMORY: u64 = 128 * 1024 * 1024;
/// The logarithm of the largest window of zstd: 128 MiB, as zstd itself has it.
const ZSTD_WINDOW: u32 = 27;

const BUFFER: usize = 128 * 1024;

/// How a part of a package is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Lzma,
    Zstd,
}

impl Compression {
    /// By the ending of a member's name, as dpkg does.
    pub(super) fn from_suffix(suffix: &[u8]) -> Option<Compression> {
        Some(match suffix {
            b"" => Compression::None,
            b".gz" => Compression::Gzip,
            b".bz2" => Compression::Bzip2,
            b".xz" => Compression::Xz,
            b".lzma" => Compression::Lzma,
            b".zst" => Compression::Zstd,
            _ => return None,
        })
    }

    /// By the word in rpm's header, which has none for what is not compressed. Where it has none or says `gzip`, rpm
    /// looks (its `gzread` takes what is no gzip as it is).
    pub(super) fn from_rpm(word: Option<&str>, beginning: &[u8]) -> Option<Compression> {
        Some(match word.unwrap_or("gzip") {
            "gzip" if beginning.starts_with(&[0x1f, 0x8b]) => Compression::Gzip,
            "gzip" => Compression::None,
            "bzip2" => Compression::Bzip2,
            "xz" => Compression::Xz,
            "lzma" => Compression::Lzma,
            "zstd" => Compression::Zstd,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Compression::None => "uncompressed",
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Lzma => "lzma",
            Compression::Zstd => "zstd",
        }
    }

    fn decoder<'a>(self, input: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        use liblzma::stream::{CONCATENATED, Stream};
        Ok(match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Compression::Lzma => {
                let stream = Stream::new_lzma_decoder(XZ_MEMORY)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// A part of a file, read at its own position: several can read the same file at a time.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    /// Sees all that is read.
    digester: Option<Digester>,
}

impl<'a> Stored<'a> {
    /// The bytes from `begin` to before `end`.
    pub(super) fn new(file: &'a File, begin: u64, end: u64) -> Stored<'a> {
        Stored { file, position: begin, end, digester: None }
    }

    /// The same, with a digest of all that is read.
    pub(super) fn digested(self, digester: Option<Digester>) -> Stored<'a> {
        Stored { digester, ..self }
    }

    /// Reads what is left, for its digest.
    pub(super) fn finish(mut self) -> Result<Option<Digester>, Fault> {
        if self.digester.is_some() {
            drain(&mut self, "payload")?;
        }
        Ok(self.digester)
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let cannot = |source| Fault::Io { operation: "read", source }.into_io();
        let read = loop {
            match self.file.read_at(&mut buffer[..length], self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(cannot)?,
            }
        };
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..read]);
        }
        Ok(read)
    }
}

/// What a part is without its compression.
pub(super) struct Decoded<'a> {
    inner: Box<dyn Read + 'a>,
    compression: Compression,
    /// How much more it may give.
    left: u64,
    limit: u64,
    digester: Option<Digester>,
}

impl<'a> Decoded<'a> {
    /// Decodes a part, up to so many bytes.
    pub(super) fn new(
        stored: impl Read + 'a,
        compression: Compression,
        limit: u64,
    ) -> Result<Decoded<'a>, Fault> {
        let input = BufReader::with_capacity(BUFFER, stored);
        let inner = compression.decoder(input).map_err(|error| fault(compression, error))?;
        Ok(Decoded { inner, compression, left: limit, limit, digester: None })
    }

    /// The same, with a digest of all that comes out.
    pub(super) fn digested(self, digester: Option<Digester>) -> Decoded<'a> {
        Decoded { digester, ..self }
    }

    /// Decodes what is left, so that its own checks are made, and ours.
    pub(super) fn finish(mut self) -> Result<Option<Digester>, Fault> {
        drain(&mut self, "payload")?;
        Ok(self.digester)
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).map_err(|error| fault(self.compression, error).into_io())?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            return Err(Fault::Limit { what: "bytes unpacked", limit: self.limit }.into_io());
        };
        self.left = left;
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..read]);
        }
        Ok(read)
    }
}

/// A file that is compressed as a whole, as it is without that: `suffix` is the ending of its name (`.xz`), and `limit` the
/// most bytes that may come out. Its own checks are made by reading to the end; nothing may follow it.
///
/// # Errors
///
/// An ending that is none of dpkg's is [`Fault::Unknown`]; what is wrong later is told by the reader.
pub fn decompressed<'a>(file: &'a File, suffix: &str, limit: u64) -> Result<impl Read + 'a, Fault> {
    let unknown = || Fault::Unknown { what: "compression", name: suffix.to_owned() };
    let compression = Compression::from_suffix(suffix.as_bytes()).ok_or_else(unknown)?;
    let size = file.metadata().map_err(|source| Fault::Io { operation: "examine", source })?.len();
    Decoded::new(Stored::new(file, 0, size), compression, limit)
}

/// What a decoder's error means: one of what it reads comes through it as it is.
fn fault(compression: Compression, error: io::Error) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Fault::Truncated("compressed data"),
        Err(error) => Fault::Compression { compression: compression.name(), message: error.to_string() },
    }
}

/// Reads to the end and keeps nothing.
fn drain(reader: &mut dyn Read, part: &'static str) -> Result<(), Fault> {
    let mut buffer = vec![0; BUFFER];
    while reader.read(&mut buffer).map_err(|error| Fault::reading(part, error))? > 0 {}
    Ok(())
}
