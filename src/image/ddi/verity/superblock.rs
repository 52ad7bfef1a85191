//! The superblock of dm-verity, as veritysetup(8) writes it: 512 bytes, numbers with the least significant byte first.
//!
//! ```text
//!  0 "verity\0\0"      8 version of this (1)   12 type of the hashes (1)   16 GUID, in the order of its text
//! 32 name of the algorithm, 32 bytes           64 bytes of a data block    68 bytes of a hash block
//! 72 number of data blocks, 8 bytes            80 bytes of the salt, 2     88 salt, 256 bytes
//! ```

use super::Geometry;
use crate::image::ddi::error::TreeProblem;
use crate::image::ddi::guid::Guid;

/// Bytes of it on disk.
pub(in crate::image::ddi) const SIZE: usize = 512;

const SIGNATURE: &[u8; 8] = b"verity\0\0";
const VERSION: u32 = 1;
const KIND: u32 = 1;
const ALGORITHM: &str = "sha256";
const LONGEST_SALT: u16 = 256;

/// What a tree says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Its own identity.
    pub guid: Guid,
    /// Bytes of a block of data.
    pub data_block: u32,
    /// Bytes of a block of the tree.
    pub hash_block: u32,
    /// Blocks of data.
    pub data_blocks: u64,
    /// What is hashed before each block.
    pub salt: Vec<u8>,
}

impl Superblock {
    /// Reads one, of the one kind that is known here.
    pub fn parse(bytes: &[u8]) -> Result<Superblock, TreeProblem> {
        let bytes: &[u8; SIZE] = bytes.first_chunk().ok_or(TreeProblem::Missing)?;
        if !bytes.starts_with(SIGNATURE) {
            return Err(TreeProblem::Missing);
        }
        let (version, kind) = (u32_at(bytes, 8), u32_at(bytes, 12));
        if (version, kind) != (VERSION, KIND) {
            return Err(TreeProblem::Version { version, kind });
        }
        let name = bytes[32..64].split(|byte| *byte == 0).next().unwrap_or_default();
        if name != ALGORITHM.as_bytes() {
            return Err(TreeProblem::Algorithm(name.escape_ascii().to_string()));
        }
        let salt_length = u16::from_le_bytes([bytes[80], bytes[81]]);
        if salt_length > LONGEST_SALT {
            return Err(TreeProblem::Salt(salt_length));
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&bytes[16..32]);
        Ok(Superblock {
            guid: Guid::from_bytes(guid),
            data_block: u32_at(bytes, 64),
            hash_block: u32_at(bytes, 68),
            data_blocks: u64::from(u32_at(bytes, 72)) | u64::from(u32_at(bytes, 76)) << 32,
            salt: bytes[88..88 + usize::from(salt_length)].to_vec(),
        })
    }

    /// It as it is on disk. A salt has at most 256 bytes.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut put = |offset: usize, part: &[u8]| bytes[offset..offset + part.len()].copy_from_slice(part);
        put(0, SIGNATURE);
        put(8, &VERSION.to_le_bytes());
        put(12, &KIND.to_le_bytes());
        put(16, &self.guid.to_bytes());
        put(32, ALGORITHM.as_bytes());
        put(64, &self.data_block.to_le_bytes());
        put(68, &self.hash_block.to_le_bytes());
        put(72, &self.data_blocks.to_le_bytes());
        put(80, &(self.salt.len() as u16).to_le_bytes());
        put(88, &self.salt);
        bytes
    }

    /// Where what lies in its tree.
    pub(in crate::image::ddi) fn geometry(&self) -> Result<Geometry, TreeProblem> {
        Geometry::new(self.data_block, self.hash_block, self.data_blocks)
    }
}

fn u32_at(bytes: &[u8; SIZE], offset: usize) -> u32 {
    u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Superblock {
        let (guid, salt) = (Guid::new(0x0102_0304), vec![7; 32]);
        Superblock { guid, data_block: 4096, hash_block: 4096, data_blocks: 1 << 40, salt }
    }

    #[test]
    fn what_was_written_is_read() {
        for salt in [vec![], vec![1], vec![2; 256]] {
            let superblock = Superblock { salt, ..superblock() };
            assert_eq!(Superblock::parse(&superblock.encode()), Ok(superblock));
        }
    }

    #[test]
    fn others_are_refused() {
        let changed = |offset: usize, byte: u8| {
            let mut bytes = superblock().encode();
            bytes[offset] = byte;
            Superblock::parse(&bytes)
        };
        assert_eq!(changed(0, b'V'), Err(TreeProblem::Missing));
        assert_eq!(changed(8, 2), Err(TreeProblem::Version { version: 2, kind: 1 }));
        assert_eq!(changed(12, 0), Err(TreeProblem::Version { version: 1, kind: 0 }));
        assert_eq!(changed(35, b'5'), Err(TreeProblem::Algorithm("sha556".to_owned())));
        assert_eq!(changed(38, b'x'), Err(TreeProblem::Algorithm("sha256x".to_owned())));
        assert_eq!(changed(81, 1), Err(TreeProblem::Salt(256 + 32)));
        assert_eq!(Superblock::parse(&superblock().encode()[..511]), Err(TreeProblem::Missing));
    }
}
