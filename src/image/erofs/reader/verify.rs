//! Whether all of an image can be read.

use std::collections::HashSet;

use super::Reader;
use crate::image::Error;
use crate::image::file_system::{Verified, walk};
use crate::image::tree::Kind;

/// More files with several names than any system has; the rest of them would be read once for each name.
const MOST_REMEMBERED: usize = 1 << 20;

impl Reader {
    /// Reads every name, inode, attribute and block.
    pub(super) fn verify_all(&self) -> Result<Verified, Error> {
        let mut verified = Verified::default();
        let mut several = HashSet::new();
        walk(self, &self.path, |path, found| -> Result<(), Error> {
            verified.names += u64::from(!path.is_empty());
            if found.links > 1 && several.contains(&found.place) {
                return Ok(());
            }
            if found.links > 1 && several.len() < MOST_REMEMBERED {
                several.insert(found.place);
            }
            let inode = self.inode(found.place)?;
            self.xattrs_of(&inode)?;
            if let Kind::File(size) = found.kind {
                verified.files += 1;
                self.check(&inode)?;
                verified.bytes = verified.bytes.saturating_add(size);
            }
            Ok(())
        })?;
        Ok(verified)
    }
}
