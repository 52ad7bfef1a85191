//! Building an image in the way that costs least, and in the next one where that fails.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::Error;
use super::blocks::Plan;
use super::list::{self, List};
use super::patch::{self, Patch, apply};
use crate::fetch::RangeSource;
use crate::image::{FileSource, Recompressor, Source};
use crate::package::Identity;
use crate::store::index::{Beside, Entry, PatchFile};
use crate::sys::Context;

/// An image that is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Old<'a> {
    /// To read it.
    pub file: &'a File,
    /// Its name, for messages.
    pub path: &'a Path,
    /// Its SHA-256.
    pub sha256: Identity,
}

/// A way to build an image from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By a patch, of this file.
    Patch(String),
    /// From blocks that are at hand.
    Blocks,
}

/// A way that led nowhere.
#[derive(Debug)]
pub struct Attempt {
    /// Which.
    pub way: Way,
    /// Why.
    pub error: Error,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// How.
    pub way: Way,
    /// Bytes that were fetched for it.
    pub fetched: u64,
    /// How many parts of files that were.
    pub requests: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was built; `None` where the whole image has to be downloaded.
    pub built: Option<Built>,
    /// What was tried before.
    pub attempts: Vec<Attempt>,
}

/// Builds an image into a file from those at hand and what is fetched: the one whose SHA-256 is in the entry, or none. What is in
/// the file, where none is, means nothing. `path` is for messages.
pub fn build(
    entry: &Entry,
    old: &[Old<'_>],
    source: &mut dyn RangeSource,
    target: &File,
    path: &Path,
) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(wanted) = entry.digest() else { return outcome };
    let mut builder = Builder { entry, wanted, source, target, path, fetched: 0, requests: 0 };
    for (known, file) in patches(entry, old) {
        let way = Way::Patch(file.file.clone());
        match builder.by_patch(file, known) {
            Ok(()) => return outcome.done(way, &builder),
            Err(error) => outcome.attempts.push(Attempt { way, error }),
        }
    }
    if let Some(blocks) = entry.blocks.as_ref().filter(|_| !old.is_empty()) {
        match builder.by_blocks(blocks, old) {
            Ok(true) => return outcome.done(Way::Blocks, &builder),
            Ok(false) => {}
            Err(error) => outcome.attempts.push(Attempt { way: Way::Blocks, error }),
        }
    }
    outcome
}

impl Outcome {
    fn done(self, way: Way, builder: &Builder<'_>) -> Outcome {
        let built = Built { way, fetched: builder.fetched, requests: builder.requests };
        Outcome { built: Some(built), ..self }
    }
}

/// The patches for which there is the older image and the compressor, the smallest first.
fn patches<'a, 'b>(entry: &'b Entry, old: &'b [Old<'a>]) -> Vec<(&'b Old<'a>, &'b PatchFile)> {
    let mut found: Vec<_> = entry
        .patches
        .iter()
        .filter_map(|file| {
            let from = Identity::parse(&file.from)?;
            let known = old.iter().find(|known| known.sha256 == from)?;
            Some((known, file))
        })
        .filter(|(_, file)| file.size < entry.size && has_compressor(file))
        .collect();
    found.sort_by_key(|(_, file)| file.size);
    found
}

/// Whether blocks are compressed here as where a patch was made. One that does not say it is tried.
fn has_compressor(file: &PatchFile) -> bool {
    let Some(made) = &file.compressor else { return true };
    let parsed = made.compression.parse().ok();
    let found = parsed.and_then(|compression| Recompressor::new(compression, made.block_size));
    found.is_some_and(|mut found| hex(&found.fingerprint()) == made.fingerprint)
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

struct Builder<'a> {
    entry: &'a Entry,
    wanted: Identity,
    source: &'a mut dyn RangeSource,
    target: &'a File,
    path: &'a Path,
    fetched: u64,
    requests: usize,
}

impl Builder<'_> {
    fn by_patch(&mut self, file: &PatchFile, known: &Old<'_>) -> Result<(), Error> {
        let bytes = self.whole(&file.file, file.size, &file.sha256, patch::LARGEST)?;
        let patch = Patch::parse(&bytes)?;
        if patch.head.new != self.wanted
            || patch.head.old != known.sha256
            || patch.head.new_size != self.entry.size
        {
            return Err(Error::Other);
        }
        let old = FileSource::new(known.file, known.path)?;
        self.empty()?;
        let mut target = std::io::BufWriter::with_capacity(256 << 10, self.target);
        apply(&patch, &old, &mut target, self.path)?;
        std::io::Write::flush(&mut target).context("write", self.path)?;
        self.check()
    }

    /// Builds it from blocks; `false` where that would be no less than all of it.
    fn by_blocks(&mut self, blocks: &Beside, old: &[Old<'_>]) -> Result<bool, Error> {
        let bytes = self.whole(&blocks.file, blocks.size, &blocks.sha256, list::LARGEST)?;
        let list = List::parse(&bytes)?;
        if list.sha256 != self.wanted || list.size != self.entry.size {
            return Err(Error::Other);
        }
        let mut sources: Vec<Arc<dyn Source>> = Vec::new();
        for known in old {
            sources.push(Arc::new(FileSource::new(known.file, known.path)?));
        }
        let plan = Plan::of(&list, &sources)?;
        if plan.fetched() >= self.entry.size {
            return Ok(false);
        }
        self.empty()?;
        self.target.set_len(self.entry.size).context("resize", self.path)?;
        self.fetched += plan.fetched();
        self.requests += plan.ranges.len();
        plan.build(&self.entry.file, &sources, self.source, self.target, self.path)?;
        self.check()?;
        Ok(true)
    }

    /// Fetches all of a file that the index has.
    fn whole(&mut self, file: &str, size: u64, sha256: &str, largest: u64) -> Result<Vec<u8>, Error> {
        if size > largest {
            return Err(Error::Nonsense("it is larger than any can be"));
        }
        self.requests += 1;
        let bytes = self.source.whole(file, size)?;
        self.fetched += bytes.len() as u64;
        if Identity::parse(sha256) != Some(Identity::of(&bytes)) {
            return Err(Error::Changed(file.to_owned()));
        }
        Ok(bytes)
    }

    /// Takes away what an earlier attempt has left.
    fn empty(&self) -> Result<(), Error> {
        self.target.set_len(0).context("resize", self.path)?;
        let mut target = self.target;
        target.seek(SeekFrom::Start(0)).context("write", self.path)?;
        Ok(())
    }

    /// Whether it is the image.
    fn check(&self) -> Result<(), Error> {
        let size = self.target.metadata().context("examine", self.path)?.len();
        let is_it = size == self.entry.size && Identity::of_file(self.target, self.path)? == self.wanted;
        if is_it { Ok(()) } else { Err(Error::Wrong) }
    }
}
