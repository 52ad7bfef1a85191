//! Where blocks go. Those of the first segment that has not ended are written to the image as they come, in their order; those
//! of later segments to files without a name, from which they are copied when their segment's turn has come.
//!
//! A file whose blocks are the same as those of one before it shares them: as soon as it is complete, the image's end goes back
//! to where it began. All that is decided in the order of the image, so that it never depends on threads.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Target;
use crate::image::Error;
use crate::image::squashfs::format::BLOCK_RAW;
use crate::sys::{Context, IoError, Root, copy_part, io_error, unnamed_file};

/// As much as is compared at once.
const COMPARED: usize = 64 << 10;

/// One thing in a segment's order.
pub(super) enum Item {
    /// A block of a file's contents. The checksum is of these bytes.
    Block { bytes: Vec<u8>, word: u32, crc: u32 },
    /// A block of so many zeros.
    Hole(u32),
    /// All blocks of a file were there.
    EndOfFile,
    /// A block of ends of files.
    Fragment { bytes: Vec<u8>, word: u32 },
    /// All of the segment was there.
    EndOfSegment,
}

/// All contents of the image.
pub(super) struct Output {
    target: Target,
    /// For files without a name.
    dir: Root,
    /// Where the next block goes.
    position: u64,
    segments: Vec<State>,
    /// The first segment that has not ended.
    current: usize,
    /// The file that the current segment is in.
    file: FileBlocks,
    checksums: Vec<u32>,
    /// Files by a digest of the lengths and checksums of their blocks: segment, and number in it.
    known: HashMap<u64, Vec<(usize, usize)>>,
    failure: Option<Failure>,
}

/// One segment.
#[derive(Default)]
struct State {
    /// What comes next of what comes in any order.
    next: u64,
    waiting: BTreeMap<u64, Item>,
    spool: Option<Spool>,
    files: Vec<FileBlocks>,
    fragments: Vec<(u64, u32)>,
    is_closed: bool,
}

/// What waits for its segment's turn; the bytes of the items are in the file, one after the other.
struct Spool {
    file: File,
    length: u64,
    items: Vec<Item>,
}

/// Where a file's blocks are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::image) struct FileBlocks {
    /// Where the first one is.
    pub(in crate::image) start: u64,
    /// The word of each.
    pub(in crate::image) words: Vec<u32>,
    /// Bytes in holes.
    pub(in crate::image) sparse: u64,
}

/// Where everything is.
pub(in crate::image) struct Placed {
    /// The end of the data.
    pub(in crate::image) position: u64,
    /// Files, by segment and number.
    pub(in crate::image) files: Vec<Vec<FileBlocks>>,
    /// Fragment blocks: where each is, and its word.
    pub(in crate::image) fragments: Vec<(u64, u32)>,
    /// Which is the first fragment of each segment.
    pub(in crate::image) first_fragments: Vec<u32>,
}

/// An error that can be told several times.
enum Failure {
    GivenUp,
    Io { operation: &'static str, path: PathBuf, code: Option<i32>, kind: io::ErrorKind },
}

impl Output {
    pub(super) fn new(target: Target, dir: Root, position: u64) -> Output {
        Output {
            target,
            dir,
            position,
            segments: Vec::new(),
            current: 0,
            file: FileBlocks::default(),
            checksums: Vec::new(),
            known: HashMap::new(),
            failure: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.target.path
    }

    pub(super) fn open_segment(&mut self) -> usize {
        self.segments.push(State::default());
        self.segments.len() - 1
    }

    /// Takes what a segment has at this place of its order, and puts all in its place that can be. Says how many
    /// blocks that were.
    pub(super) fn take(&mut self, segment: usize, sequence: u64, item: Item) -> usize {
        self.segments[segment].waiting.insert(sequence, item);
        let mut blocks = 0;
        while self.failure.is_none() {
            let state = &mut self.segments[segment];
            let Some(item) = state.waiting.remove(&state.next) else { break };
            state.next += 1;
            blocks += usize::from(matches!(item, Item::Block { .. } | Item::Fragment { .. }));
            let result = if segment == self.current { self.place(&item) } else { self.spool(segment, item) };
            if let Err(error) = result {
                self.failure = Some(Failure::of(&error));
            }
        }
        blocks
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Why nothing more is written.
    pub(super) fn failure(&self) -> Error {
        match &self.failure {
            Some(Failure::Io { operation, path, code, kind }) => {
                let source = code.map_or_else(|| io::Error::from(*kind), io::Error::from_raw_os_error);
                io_error(operation, path, source).into()
            }
            Some(Failure::GivenUp) | None => Error::GivenUp { path: self.target.path.clone() },
        }
    }

    pub(super) fn give_up(&mut self) {
        self.failure.get_or_insert(Failure::GivenUp);
    }

    pub(super) fn finish(&mut self) -> Result<Placed, Error> {
        if self.failure.is_some() || self.current < self.segments.len() {
            return Err(self.failure());
        }
        let mut placed = Placed {
            position: self.position,
            files: Vec::new(),
            fragments: Vec::new(),
            first_fragments: Vec::new(),
        };
        for state in self.segments.drain(..) {
            placed.first_fragments.push(placed.fragments.len() as u32);
            placed.fragments.extend(state.fragments);
            placed.files.push(state.files);
        }
        Ok(placed)
    }

    /// Keeps something of a segment whose turn has not come.
    fn spool(&mut self, segment: usize, item: Item) -> Result<(), IoError> {
        let state = &mut self.segments[segment];
        let spool = match &mut state.spool {
            Some(spool) => spool,
            none => none.insert(Spool { file: unnamed_file(&self.dir)?, length: 0, items: Vec::new() }),
        };
        let mut keep = |bytes: &[u8]| -> Result<Vec<u8>, IoError> {
            spool
                .file
                .write_all_at(bytes, spool.length)
                .context("write a temporary file in", self.dir.path())?;
            spool.length += bytes.len() as u64;
            Ok(Vec::new())
        };
        let item = match item {
            Item::Block { bytes, word, crc } => Item::Block { bytes: keep(&bytes)?, word, crc },
            Item::Fragment { bytes, word } => Item::Fragment { bytes: keep(&bytes)?, word },
            other => other,
        };
        spool.items.push(item);
        Ok(())
    }

    /// Puts something of the current segment in its place.
    fn place(&mut self, item: &Item) -> Result<(), IoError> {
        if let Item::Block { bytes, .. } | Item::Fragment { bytes, .. } = item {
            let at = self.target.offset + self.position;
            self.target.file.write_all_at(bytes, at).context("write", &self.target.path)?;
        }
        if self.note(item)? {
            self.current += 1;
            self.move_in()?;
        }
        Ok(())
    }

    /// Copies what waits of the segments whose turn has come.
    fn move_in(&mut self) -> Result<(), IoError> {
        while let Some(spool) = self.segments.get_mut(self.current).and_then(|state| state.spool.take()) {
            let mut from = 0;
            let mut has_ended = false;
            for item in &spool.items {
                if let Item::Block { word, .. } | Item::Fragment { word, .. } = item {
                    let (into, length) = (self.target.offset + self.position, u64::from(word & !BLOCK_RAW));
                    copy_part(&spool.file, from, &self.target.file, into, length)
                        .context("write", &self.target.path)?;
                    from += length;
                }
                has_ended = self.note(item)?;
            }
            if !has_ended {
                break;
            }
            self.current += 1;
        }
        Ok(())
    }

    /// Notes where something is, whose bytes are at the end of the image. Says whether the segment ends with it.
    fn note(&mut self, item: &Item) -> Result<bool, IoError> {
        match item {
            Item::Block { word, crc, .. } => {
                if self.file.start == 0 {
                    self.file.start = self.position;
                }
                self.file.words.push(*word);
                self.checksums.push(*crc);
                self.position += u64::from(word & !BLOCK_RAW);
            }
            Item::Hole(length) => {
                self.file.words.push(0);
                self.file.sparse += u64::from(*length);
            }
            Item::EndOfFile => self.end_file()?,
            Item::Fragment { word, .. } => {
                self.segments[self.current].fragments.push((self.position, *word));
                self.position += u64::from(word & !BLOCK_RAW);
            }
            Item::EndOfSegment => {
                self.segments[self.current].is_closed = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end_file(&mut self) -> Result<(), IoError> {
        let mut file = std::mem::take(&mut self.file);
        let checksums = std::mem::take(&mut self.checksums);
        if !checksums.is_empty() {
            let mut hasher = DefaultHasher::new();
            (&file.words, checksums).hash(&mut hasher);
            let digest = hasher.finish();
            if let Some(start) = self.find_equal(digest, &file)? {
                self.position = file.start;
                file.start = start;
            } else {
                let number = self.segments[self.current].files.len();
                self.known.entry(digest).or_default().push((self.current, number));
            }
        }
        self.segments[self.current].files.push(file);
        Ok(())
    }

    /// Where a file before this one has the same blocks. Blocks that are the same after compression are so before it.
    fn find_equal(&self, digest: u64, file: &FileBlocks) -> Result<Option<u64>, IoError> {
        for (segment, number) in self.known.get(&digest).into_iter().flatten() {
            let other = &self.segments[*segment].files[*number];
            let length = self.position - file.start;
            if other.words == file.words && self.is_equal(other.start, file.start, length)? {
                return Ok(Some(other.start));
            }
        }
        Ok(None)
    }

    fn is_equal(&self, one: u64, other: u64, length: u64) -> Result<bool, IoError> {
        let mut buffers = [vec![0; COMPARED], vec![0; COMPARED]];
        let mut done = 0;
        while done < length {
            let now = (length - done).min(COMPARED as u64) as usize;
            for (buffer, start) in buffers.iter_mut().zip([one, other]) {
                let at = self.target.offset + start + done;
                self.target.file.read_exact_at(&mut buffer[..now], at).context("read", &self.target.path)?;
            }
            if buffers[0][..now] != buffers[1][..now] {
                return Ok(false);
            }
            done += now as u64;
        }
        Ok(true)
    }
}

impl Failure {
    fn of(error: &IoError) -> Failure {
        Failure::Io {
            operation: error.operation,
            path: error.path.clone(),
            code: error.errno(),
            kind: error.source.kind(),
        }
    }
}
