//! Building an image of blocks that older ones have, and of what is fetched of itself.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::list::List;
use super::ranges::join;
use super::{Error, cut};
use crate::fetch::RangeSource;
use crate::image::Source;
use crate::sys::Context;

/// Where something of the image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// Which of the older images.
    image: usize,
    at: u64,
}

/// How an image is to be built.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Parts of it, by where they begin and how long they are, and where each is.
    copies: Vec<(u64, u64, Found)>,
    /// What is to be fetched.
    pub(super) ranges: Vec<Range<u64>>,
}

impl Plan {
    /// Looks for the pieces of an image in older ones.
    pub(super) fn of(list: &List, old: &[Arc<dyn Source>]) -> Result<Plan, Error> {
        let mut known: HashMap<(u64, u32), Found> = HashMap::new();
        for (image, source) in old.iter().enumerate() {
            for piece in cut(source)?.pieces {
                let found = Found { image, at: piece.at };
                known.entry((piece.digest, piece.length)).or_insert(found);
            }
        }
        let mut plan = Plan::default();
        let mut at = 0;
        for (length, digest) in &list.pieces {
            let end = at + u64::from(*length);
            match known.get(&(*digest, *length)) {
                Some(found) => plan.copy(at, u64::from(*length), *found),
                None => plan.ranges.push(at..end),
            }
            at = end;
        }
        plan.ranges = join(plan.ranges);
        plan.forget_what_is_fetched();
        Ok(plan)
    }

    fn copy(&mut self, at: u64, length: u64, found: Found) {
        if let Some((last, so_far, from)) = self.copies.last_mut()
            && *last + *so_far == at
            && from.image == found.image
            && from.at + *so_far == found.at
        {
            *so_far += length;
            return;
        }
        self.copies.push((at, length, found));
    }

    /// What is between ranges that were joined is fetched with them.
    fn forget_what_is_fetched(&mut self) {
        let ranges = &self.ranges;
        self.copies.retain(|(at, length, _)| {
            let behind = ranges.partition_point(|range| range.end <= *at);
            ranges.get(behind).is_none_or(|range| range.start > *at || range.end < at + length)
        });
    }

    /// Bytes that are to be fetched.
    pub(super) fn fetched(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Writes the image into an empty file.
    pub(super) fn build(
        &self,
        file: &str,
        old: &[Arc<dyn Source>],
        source: &mut dyn RangeSource,
        target: &File,
        path: &Path,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; 256 << 10];
        for (at, length, found) in &self.copies {
            let mut done = 0;
            while done < *length {
                let count = (length - done).min(buffer.len() as u64) as usize;
                old[found.image].read_at(found.at + done, &mut buffer[..count])?;
                target.write_all_at(&buffer[..count], at + done).context("write", path)?;
                done += count as u64;
            }
        }
        if self.ranges.is_empty() {
            return Ok(());
        }
        let mut write = |at, bytes: &[u8]| target.write_all_at(bytes, at).context("write", path);
        Ok(source.read(file, &self.ranges, &mut write)?)
    }
}
