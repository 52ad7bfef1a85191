//! Which kind of image a file is, by the numbers that each begins with.

use std::fmt;

use super::source::Source;
use super::squashfs::format::MAGIC;
use crate::sys::IoError;

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// SquashFS 4.
    Squashfs,
    /// EROFS, the file system alone.
    Erofs,
    /// A disk with a GUID partition table, such as a DDI.
    Gpt,
}

impl Format {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Format::Squashfs => "squashfs",
            Format::Erofs => "erofs",
            Format::Gpt => "gpt",
        }
    }

    /// What an image is; `None` where it is something else.
    pub fn of(source: &dyn Source) -> Result<Option<Format>, IoError> {
        let known: [(u64, &[u8], Format); 3] = [
            (0, &MAGIC.to_le_bytes(), Format::Squashfs),
            // EROFS_SUPER_MAGIC_V1, at EROFS_SUPER_OFFSET.
            (1024, &0xE0F5_E1E2u32.to_le_bytes(), Format::Erofs),
            // The header is in the second sector.
            (512, b"EFI PART", Format::Gpt),
        ];
        for (at, magic, format) in known {
            let mut found = vec![0; magic.len()];
            if at + magic.len() as u64 <= source.size() {
                source.read_at(at, &mut found)?;
                if found == magic {
                    return Ok(Some(format));
                }
            }
        }
        Ok(None)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Format::Squashfs => "squashfs image",
            Format::Erofs => "erofs image",
            Format::Gpt => "GPT disk image",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_numbers() {
        let with = |at: usize, magic: &[u8]| {
            let mut image = vec![0; 4096];
            image[at..at + magic.len()].copy_from_slice(magic);
            Format::of(&image).expect("memory can be read")
        };
        assert_eq!(with(0, b"hsqs"), Some(Format::Squashfs));
        assert_eq!(with(1024, b"\xe2\xe1\xf5\xe0"), Some(Format::Erofs));
        assert_eq!(with(512, b"EFI PART"), Some(Format::Gpt));
        assert_eq!(with(1, b"hsqs"), None);
        assert_eq!(Format::of(&b"hsq".to_vec()).expect("memory can be read"), None);
    }
}
