//! The ways to compress a block. Compressors and decompressors keep what they need between blocks; each thread has its
//! own.

use std::fmt;
use std::str::FromStr;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Stream};
use zstd::zstd_safe::{CCtx, DCtx};

use super::format::{METADATA_RAW, METADATA_SIZE};
use crate::image::Error;

/// More than any decoder of xz needs for a block of 1 MiB; what wants more lies.
const XZ_MEMORY: u64 = 16 << 20;

/// Which compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// zlib's.
    Gzip,
    /// xz, each block a stream of its own.
    Xz,
    /// LZ4 blocks.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// How an image is compressed. As text: `zstd`, `zstd:19`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// zlib's, levels 1 to 9.
    Gzip(u8),
    /// xz, presets 0 to 9.
    Xz(u8),
    /// LZ4, at its one fast level.
    Lz4,
    /// Zstandard, levels 1 to 22.
    Zstd(u8),
    /// Everything as it is.
    None,
}

/// The text is no way to compress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is none of gzip:1 to gzip:9, xz:0 to xz:9, lz4, zstd:1 to zstd:22 and none")]
pub struct UnknownCompression(String);

impl Algorithm {
    /// Its number in squashfs.
    pub fn id(self) -> u16 {
        match self {
            Algorithm::Gzip => 1,
            Algorithm::Xz => 4,
            Algorithm::Lz4 => 5,
            Algorithm::Zstd => 6,
        }
    }

    /// The one with a number of squashfs's.
    pub fn from_id(id: u16) -> Option<Algorithm> {
        let all = [Algorithm::Gzip, Algorithm::Xz, Algorithm::Lz4, Algorithm::Zstd];
        all.into_iter().find(|algorithm| algorithm.id() == id)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Algorithm::Gzip => "gzip",
            Algorithm::Xz => "xz",
            Algorithm::Lz4 => "lz4",
            Algorithm::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// What it is done with.
    pub fn algorithm(self) -> Algorithm {
        match self {
            // Every kernel with squashfs has that one, so that it is named where there is none.
            Compression::Gzip(_) | Compression::None => Algorithm::Gzip,
            Compression::Xz(_) => Algorithm::Xz,
            Compression::Lz4 => Algorithm::Lz4,
            Compression::Zstd(_) => Algorithm::Zstd,
        }
    }

    /// Refuses levels that there are not.
    pub(in crate::image) fn check(self) -> Result<(), Error> {
        let (what, level, levels, expected) = match self {
            Compression::Gzip(level) => ("the level of gzip", level, 1..=9, "1 to 9"),
            Compression::Xz(level) => ("the preset of xz", level, 0..=9, "0 to 9"),
            Compression::Zstd(level) => ("the level of zstd", level, 1..=22, "1 to 22"),
            Compression::Lz4 | Compression::None => return Ok(()),
        };
        let found = u64::from(level);
        if levels.contains(&level) { Ok(()) } else { Err(Error::Setting { what, expected, found }) }
    }

    /// What follows the superblock where something is not as `mksquashfs` has it by default: a block of metadata, stored as
    /// it is.
    pub(super) fn options(self) -> Option<Vec<u8>> {
        let body = match self {
            // Level, window and, in bits, strategies other than the default one.
            Compression::Gzip(level) if level != 9 => {
                [&i32::from(level).to_le_bytes()[..], &15i16.to_le_bytes(), &0i16.to_le_bytes()].concat()
            }
            Compression::Zstd(level) if level != 15 => i32::from(level).to_le_bytes().to_vec(),
            // Version of the format, and flags; always there.
            Compression::Lz4 => [1i32.to_le_bytes(), 0i32.to_le_bytes()].concat(),
            _ => return None,
        };
        let head = METADATA_RAW | body.len() as u16;
        Some([&head.to_le_bytes()[..], &body].concat())
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::Gzip(level) => write!(formatter, "gzip:{level}"),
            Compression::Xz(level) => write!(formatter, "xz:{level}"),
            Compression::Lz4 => formatter.write_str("lz4"),
            Compression::Zstd(level) => write!(formatter, "zstd:{level}"),
            Compression::None => formatter.write_str("none"),
        }
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Compression, UnknownCompression> {
        let unknown = || UnknownCompression(text.to_owned());
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u8>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let found = match (name, level) {
            ("gzip", level) => Compression::Gzip(level.unwrap_or(9)),
            ("xz", level) => Compression::Xz(level.unwrap_or(6)),
            ("zstd", level) => Compression::Zstd(level.unwrap_or(3)),
            ("lz4", None) => Compression::Lz4,
            ("none", None) => Compression::None,
            _ => return Err(unknown()),
        };
        found.check().map_err(|_| unknown())?;
        Ok(found)
    }
}

/// Compresses blocks, one after the other.
pub(in crate::image) struct Compressor {
    engine: Engine,
    buffer: Vec<u8>,
}

enum Engine {
    Gzip(Compress),
    Xz(Box<Filters>),
    Lz4,
    Zstd(CCtx<'static>, i32),
    None,
}

impl Compressor {
    pub(in crate::image) fn new(compression: Compression, block_size: usize) -> Compressor {
        let engine = match compression {
            Compression::Gzip(level) => {
                Engine::Gzip(Compress::new(flate2::Compression::new(u32::from(level)), true))
            }
            Compression::Xz(preset) => Engine::Xz(Box::new(xz_filters(preset, block_size))),
            Compression::Lz4 => Engine::Lz4,
            Compression::Zstd(level) => Engine::Zstd(CCtx::create(), i32::from(level)),
            Compression::None => Engine::None,
        };
        let largest = block_size.max(METADATA_SIZE);
        Compressor { engine, buffer: vec![0; lz4_flex::block::get_maximum_output_size(largest)] }
    }

    /// A block compressed, or `None` where that makes it no smaller.
    pub(in crate::image) fn compress(&mut self, block: &[u8]) -> Option<&[u8]> {
        // What is not shorter than it was does not fit, and most compressors give up there.
        let short = &mut self.buffer[..block.len().saturating_sub(1)];
        let length = match &mut self.engine {
            Engine::Gzip(gzip) => {
                gzip.reset();
                let status = gzip.compress(block, short, FlushCompress::Finish).ok()?;
                (status == Status::StreamEnd).then(|| gzip.total_out() as usize)
            }
            Engine::Xz(filters) => {
                let mut stream = Stream::new_stream_encoder(filters, Check::Crc32).ok()?;
                let status = stream.process(block, short, Action::Finish).ok()?;
                (status == liblzma::stream::Status::StreamEnd).then(|| stream.total_out() as usize)
            }
            Engine::Lz4 => {
                let length = lz4_flex::block::compress_into(block, &mut self.buffer).ok()?;
                (length < block.len()).then_some(length)
            }
            Engine::Zstd(context, level) => context.compress(short, block, *level).ok(),
            Engine::None => None,
        };
        length.map(|length| &self.buffer[..length])
    }
}

fn xz_filters(preset: u8, block_size: usize) -> Filters {
    let mut options = LzmaOptions::new_preset(u32::from(preset)).expect("a preset that there is");
    // A dictionary larger than the block only takes memory.
    options.dict_size(block_size.max(METADATA_SIZE) as u32);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    filters
}

/// Decompresses blocks, one after the other.
pub(in crate::image) struct Decompressor {
    engine: Undo,
}

enum Undo {
    Gzip(Decompress),
    Xz,
    Lz4,
    Zstd(DCtx<'static>),
}

impl Decompressor {
    pub(in crate::image) fn new(algorithm: Algorithm) -> Decompressor {
        let engine = match algorithm {
            Algorithm::Gzip => Undo::Gzip(Decompress::new(true)),
            Algorithm::Xz => Undo::Xz,
            Algorithm::Lz4 => Undo::Lz4,
            Algorithm::Zstd => Undo::Zstd(DCtx::create()),
        };
        Decompressor { engine }
    }

    /// Decompresses into `target`, whose length is the most that there can be, and says how much there is; `None`
    /// where it is more, or nonsense.
    pub(in crate::image) fn decompress(&mut self, block: &[u8], target: &mut [u8]) -> Option<usize> {
        match &mut self.engine {
            Undo::Gzip(gzip) => {
                gzip.reset(true);
                let status = gzip.decompress(block, target, FlushDecompress::Finish).ok()?;
                (status == Status::StreamEnd).then(|| gzip.total_out() as usize)
            }
            Undo::Xz => {
                let mut stream = Stream::new_stream_decoder(XZ_MEMORY, 0).ok()?;
                let status = stream.process(block, target, Action::Finish).ok()?;
                (status == liblzma::stream::Status::StreamEnd).then(|| stream.total_out() as usize)
            }
            Undo::Lz4 => lz4_flex::block::decompress_into(block, target).ok(),
            Undo::Zstd(context) => context.decompress(target, block).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_comes_back() {
        let text: Vec<u8> = (0..20_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(5000).collect();
        for words in ["gzip", "gzip:1", "xz", "xz:0", "lz4", "zstd", "zstd:22"] {
            let compression: Compression = words.parse().expect("one of ours");
            let mut compressor = Compressor::new(compression, 128 << 10);
            let mut decompressor = Decompressor::new(compression.algorithm());
            for _ in 0..2 {
                let small = compressor.compress(&text).expect("it is compressible").to_vec();
                let mut target = vec![0; 128 << 10];
                assert_eq!(decompressor.decompress(&small, &mut target), Some(text.len()), "{words}");
                assert!(target[..text.len()] == text[..], "{words}");
                assert_eq!(decompressor.decompress(&small, &mut target[..text.len() - 1]), None, "{words}");
                assert_eq!(decompressor.decompress(&small[..small.len() / 2], &mut target), None, "{words}");
                assert_eq!(compressor.compress(&noise), None, "{words}");
                assert_eq!(compressor.compress(b""), None, "{words}");
                assert_eq!(compressor.compress(b"x"), None, "{words}");
            }
        }
    }

    #[test]
    fn words_say_how() {
        for (text, expected) in [("zstd:19", Compression::Zstd(19)), ("none", Compression::None)] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for text in ["", "zstd:0", "zstd:23", "zstd:", "gzip:0", "lz4:1", "brotli", "xz:10", "none:1"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
