//! Blocks of file systems in a disk image.

use std::sync::Arc;

use super::{Unit, Units};
use crate::image::ddi::Table;
use crate::image::{Error, Format, Source};
use crate::sys::{IoError, io_error};

/// A part of what others read, too.
struct Part {
    whole: Arc<dyn Source>,
    offset: u64,
    size: u64,
}

impl Source for Part {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        let is_inside = offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= self.size);
        match self.offset.checked_add(offset).filter(|_| is_inside) {
            Some(at) => self.whole.read_at(at, buffer),
            None => Err(io_error("read", "a partition", std::io::ErrorKind::UnexpectedEof)),
        }
    }
}

/// The blocks of all file systems that are in partitions; how they are compressed is said by the first that has any.
pub(super) fn units(source: &Arc<dyn Source>) -> Result<Units, Error> {
    let mut all = Units::default();
    let Ok(table) = Table::read(&**source) else { return Ok(all) };
    for partition in table.partitions {
        let (offset, size) = (partition.offset, partition.length);
        let part = Part { whole: Arc::clone(source), offset, size };
        // No disk is in a partition.
        if Format::of(&part)? == Some(Format::Gpt) {
            continue;
        }
        let found = super::units(Box::new(part))?;
        if all.units.is_empty() {
            (all.compression, all.block_size) = (found.compression, found.block_size);
        }
        all.units.extend(found.units.iter().map(|unit| Unit { at: unit.at + offset, ..*unit }));
    }
    Ok(all)
}
