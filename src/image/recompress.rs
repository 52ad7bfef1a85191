//! Undoing the compression of a block and doing it again, to the same bytes: where the library and its settings are those that the
//! image was made with.

use sha2::{Digest, Sha256};

use super::squashfs::Compression;
use super::squashfs::compression::{Algorithm, Compressor, Decompressor};

/// The largest block of any image that is written here.
pub const LARGEST_BLOCK: u32 = 1 << 20;
/// Bytes of what is compressed to see how that is done here.
const PROBE: usize = 96 << 10;

/// Decompresses blocks.
pub struct Unpacker(Decompressor);

impl Unpacker {
    /// One for what was compressed with an algorithm.
    pub fn new(algorithm: Algorithm) -> Unpacker {
        Unpacker(Decompressor::new(algorithm))
    }

    /// Decompresses a block into `target`, whose length is the most that there can be, and says how much there is; `None` where
    /// it is more, or nonsense.
    pub fn unpack(&mut self, stored: &[u8], target: &mut [u8]) -> Option<usize> {
        self.0.decompress(stored, target)
    }
}

/// Compresses blocks as an image has them.
pub struct Recompressor {
    compression: Compression,
    block_size: u32,
    compressor: Compressor,
}

impl Recompressor {
    /// One for images with these settings; `None` where there are no such.
    pub fn new(compression: Compression, block_size: u32) -> Option<Recompressor> {
        Recompressor::check(compression, block_size)?;
        Some(Recompressor {
            compression,
            block_size,
            compressor: Compressor::new(compression, block_size as usize),
        })
    }

    /// Whether there are such settings.
    pub fn check(compression: Compression, block_size: u32) -> Option<()> {
        let is_size = (4096..=LARGEST_BLOCK).contains(&block_size);
        (is_size && compression.check().is_ok()).then_some(())
    }

    /// How blocks are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes of a block before it is compressed, at most.
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Compresses a block; `None` where it is too large, or that makes it no smaller.
    pub fn pack(&mut self, block: &[u8]) -> Option<&[u8]> {
        if block.len() > Recompressor::largest_of(self.block_size) {
            None
        } else {
            self.compressor.compress(block)
        }
    }

    /// The most bytes that are compressed at once, with such blocks.
    pub fn largest_of(block_size: u32) -> usize {
        (block_size as usize).max(super::squashfs::format::METADATA_SIZE)
    }

    /// Tells the compressors of two programs apart: their libraries' versions, what they make of the processor, and the settings.
    /// Those with the same fingerprint make, as far as one can know, the same bytes of the same block.
    pub fn fingerprint(&mut self) -> [u8; 8] {
        let probe = probe(PROBE.min(self.block_size as usize));
        let digest = Sha256::digest(self.pack(&probe).unwrap_or(&probe));
        *digest.first_chunk().expect("a SHA-256 has 32 bytes")
    }
}

/// Bytes that are somewhat compressible, and as different as those of programs: words of a few letters that come again at
/// all distances.
fn probe(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 33) as usize;
        let size = 3 + word % 29;
        if !word.is_multiple_of(5) && bytes.len() > 64 {
            let from = (word >> 8) % (bytes.len() - 32);
            bytes.extend_from_within(from..from + size);
        } else {
            bytes.extend(state.to_be_bytes().map(|byte| byte >> (word & 3)).iter().cycle().take(size));
        }
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recompressor(words: &str, block_size: u32) -> Recompressor {
        Recompressor::new(words.parse().expect("one of ours"), block_size).expect("there are such")
    }

    #[test]
    fn a_fingerprint_tells_settings_apart_and_comes_again() {
        let all = ["gzip", "gzip:1", "xz", "xz:1", "lz4", "zstd", "zstd:4", "zstd:9", "zstd:15", "zstd:19"];
        let fingerprints = all.map(|words| recompressor(words, 128 << 10).fingerprint());
        for (number, fingerprint) in fingerprints.iter().enumerate() {
            assert!(!fingerprints[..number].contains(fingerprint), "{}", all[number]);
            assert_eq!(recompressor(all[number], 128 << 10).fingerprint(), *fingerprint);
        }
    }

    #[test]
    fn blocks_come_back_and_what_is_too_large_is_refused() {
        let mut zstd = recompressor("zstd:5", 4096);
        let block = probe(8192);
        let small = zstd.pack(&block).expect("it is compressible").to_vec();
        let mut target = vec![0; 8192];
        assert_eq!(Unpacker::new(Algorithm::Zstd).unpack(&small, &mut target), Some(8192));
        assert!(target == block);
        assert_eq!(zstd.pack(&probe(8193)), None);
        for (words, size) in [("zstd", 4095), ("zstd", (1 << 20) + 1), ("xz", 0)] {
            assert!(Recompressor::new(words.parse().expect("one of ours"), size).is_none());
        }
    }
}
