//! fs-verity (Documentation/filesystems/fsverity.rst): a file that nobody can write to any more, and of which the kernel holds whatever
//! is read against a tree of hashes beside it.

use std::fs::File;
use std::io;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};

/// How it stands with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verity {
    /// It has it.
    On,
    /// It has none, and could.
    Off,
    /// Its file system, or the kernel, has no such thing.
    Impossible,
}

/// `struct fsverity_enable_arg` (linux/fsverity.h).
#[repr(C)]
struct Enable {
    version: u32,
    algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt: u64,
    signature_size: u32,
    reserved: u32,
    signature: u64,
    more: [u64; 11],
}

/// `struct fsverity_digest`, with room for the longest digest behind it.
#[repr(C)]
struct Digest {
    header: DigestHeader,
    bytes: [u8; LONGEST],
}

#[repr(C)]
struct DigestHeader {
    algorithm: u16,
    /// In bytes: what there is room for, and what was written.
    size: u16,
}

/// FS_IOC_ENABLE_VERITY and FS_IOC_MEASURE_VERITY.
const ENABLE: Opcode = opcode::write::<Enable>(b'f', 133);
const MEASURE: Opcode = opcode::read_write::<DigestHeader>(b'f', 134);

/// FS_VERITY_HASH_ALG_SHA256.
const SHA256: u32 = 1;
/// What the tree is made of: blocks of the file as well as of hashes.
const BLOCK: u32 = 4096;
/// How many hashes are in a block of them.
const HASHES: u64 = BLOCK as u64 / 32;
/// That of SHA-512.
const LONGEST: usize = 64;

/// How it stands with a file.
pub fn verity_of(file: &File) -> io::Result<Verity> {
    let mut digest =
        Digest { header: DigestHeader { algorithm: 0, size: LONGEST as u16 }, bytes: [0; LONGEST] };
    // SAFETY: the kernel writes a header, and behind it no more bytes than that says there is room for.
    let answer = unsafe { ioctl(file, Updater::<MEASURE, Digest>::new(&mut digest)) };
    match answer {
        Ok(()) => Ok(Verity::On),
        Err(Errno::NODATA) => Ok(Verity::Off),
        Err(error) if is_impossible(error) => Ok(Verity::Impossible),
        Err(error) => Err(error.into()),
    }
}

/// Gives it to a file that is open for reading, and that nobody has open for writing: with SHA-256, blocks of 4096 bytes, and neither salt nor signature.
/// One that has it keeps it. Its content is synced with that.
pub fn enable_verity(file: &File) -> io::Result<Verity> {
    let enable = Enable {
        version: 1,
        algorithm: SHA256,
        block_size: BLOCK,
        salt_size: 0,
        salt: 0,
        signature_size: 0,
        reserved: 0,
        signature: 0,
        more: [0; 11],
    };
    // SAFETY: the request is of the kind that this ioctl reads; it leads to nothing else.
    let answer = unsafe { ioctl(file, Setter::<ENABLE, Enable>::new(enable)) };
    match answer {
        Err(error) if is_impossible(error) => Ok(Verity::Impossible),
        Err(error) if error != Errno::EXIST => Err(error.into()),
        _ => Ok(Verity::On),
    }
}

/// What the tree of a file of this size takes besides, in bytes, with what says how it is made.
pub fn verity_size(size: u64) -> u64 {
    let (mut level, mut all) = (size.div_ceil(BLOCK.into()), 1);
    while level > 1 {
        level = level.div_ceil(HASHES);
        all += level;
    }
    all * u64::from(BLOCK)
}

fn is_impossible(error: Errno) -> bool {
    matches!(error, Errno::NOTTY | Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_kernel() {
        assert_eq!((ENABLE, MEASURE), (0x4080_6685, 0xc004_6686));
    }

    #[test]
    fn what_cannot_have_it_says_so() {
        let memory = File::open("/proc/self/maps").expect("every process has it");
        assert_eq!(verity_of(&memory).expect("an answer"), Verity::Impossible);
        assert_eq!(enable_verity(&memory).expect("an answer"), Verity::Impossible);
    }

    #[test]
    fn a_tree_has_a_block_for_128_of_the_level_below() {
        for (size, blocks) in [(0, 1), (1, 1), (4096, 1), (4097, 2), (128 * 4096, 2), (128 * 4096 + 1, 4)] {
            assert_eq!(verity_size(size), blocks * 4096, "{size}");
        }
    }
}
