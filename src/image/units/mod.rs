//! What of an image is stored by itself: blocks that are compressed one by one, and so stay what they are in the next version
//! of the image, at another place, as long as what is in them does.

mod disk;

use super::squashfs::Compression;
use super::squashfs::compression::Algorithm;
use super::{Error, Format, Source, erofs, squashfs};

/// More blocks than any image has that is made in our time: of 4 KiB, 256 GiB.
pub(super) const MOST: usize = 64 << 20;

/// A block of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Where it begins.
    pub at: u64,
    /// Bytes of it.
    pub stored: u32,
    /// How it is compressed; `None` where it is stored as it is, or in a way that is not written here.
    pub packing: Option<Packing>,
}

/// How a block is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The most bytes that come out of it.
    pub limit: u32,
    /// Whether zeros may be before it, to fill up whole blocks.
    pub is_padded: bool,
}

/// The blocks of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// In the order of their places; none lies on another.
    pub units: Vec<Unit>,
    /// How they are likely to have been compressed: by what the image says, or else what its maker does by default.
    pub compression: Option<Compression>,
    /// Bytes of a block before it is compressed, at most.
    pub block_size: u32,
}

/// Finds the blocks of an image. One of no known format has none; so has one that cannot be looked into.
pub fn units(source: Box<dyn Source>) -> Result<Units, Error> {
    let path = std::path::Path::new("image");
    let found = match Format::of(&*source)? {
        Some(Format::Squashfs) => squashfs::Reader::new(source, path).and_then(|reader| reader.units()),
        Some(Format::Erofs) => erofs::Reader::new(source, path).and_then(|reader| reader.units()),
        Some(Format::Gpt) => disk::units(&source.into()),
        None => Ok(Units::default()),
    };
    match found {
        Ok(mut found) => {
            found.sort();
            Ok(found)
        }
        Err(Error::Io(error)) => Err(error.into()),
        Err(_) => Ok(Units::default()),
    }
}

impl Units {
    /// Sorts blocks by their places. Those that are named twice are once, and what lies on another goes.
    fn sort(&mut self) {
        self.units.sort_unstable_by_key(|unit| (unit.at, unit.stored));
        let mut end = 0;
        self.units.retain(|unit| {
            let is_free = unit.at >= end && unit.stored > 0;
            if is_free {
                end = unit.at.saturating_add(u64::from(unit.stored));
            }
            is_free
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_lie_on_others_go() {
        let unit = |at, stored| Unit { at, stored, packing: None };
        let all = [(5, 5), (0, 4), (5, 5), (8, 9), (10, 0), (10, 3), (u64::MAX, 7)];
        let mut units =
            Units { units: all.map(|(at, stored)| unit(at, stored)).to_vec(), ..Units::default() };
        units.sort();
        assert_eq!(
            units.units,
            [(0, 4), (5, 5), (10, 3), (u64::MAX, 7)].map(|(at, stored)| unit(at, stored))
        );
    }

    #[test]
    fn what_is_no_image_has_none() {
        for bytes in [&b""[..], b"hsqs", &[7; 5000]] {
            assert_eq!(units(Box::new(bytes.to_vec())).expect("memory can be read"), Units::default());
        }
    }
}
