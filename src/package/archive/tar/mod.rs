//! Reading tar as a stream: ustar, GNU's (long names, sparse files of the old kind, numbers of 256) and pax with its
//! records, among them extended attributes and all of GNU's sparse formats. dpkg itself refuses sparse files and pax;
//! whoever builds packages with other tools may have either.
//!
//! A reader of our own, since the usual one (the crate `tar`) takes a pax record or a long name into memory whatever its
//! size, and gives sparse files of pax as they are stored.

mod header;
mod pax;
mod sparse;

use std::ffi::OsString;
use std::io::{self, Read};

use super::entry::{Device, Kind, Owner};
use super::error::{Fault, os_string};
use header::{BLOCK, Header};
use pax::{Extensions, Sparse};
use sparse::SparseReader;

const PART: &str = "tar archive";

/// The most bytes of a long name: PATH_MAX, and some for names that are refused later.
const LONGEST_NAME: u64 = 64 * 1024;
/// The most bytes of pax records before one member. The kernel takes 64 KiB of attributes of one name.
const MOST_RECORDS: u64 = 1024 * 1024;
/// The most headers that only say something of the next one.
const MOST_EXTENSIONS: usize = 16;

/// A member of an archive, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    /// The target of a hard link is as the archive has it.
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) user: Owner,
    pub(super) group: Owner,
    pub(super) mtime: i64,
    /// Of its content with all holes.
    pub(super) size: u64,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// Reads one member after the other.
pub(super) struct Reader<R> {
    input: R,
    /// Bytes of the member's content, as stored, that are not read yet.
    stored: u64,
    /// Zeros behind them up to a full block.
    padding: u64,
    global: Extensions,
    sparse: Option<SparseReader>,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Reader<R> {
        Reader { input, stored: 0, padding: 0, global: Extensions::default(), sparse: None }
    }

    pub(super) fn into_inner(self) -> R {
        self.input
    }

    /// The next member, whose content [`Reader::content`] reads; `None` at the end: a block of zeros, or nothing more.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Fault> {
        self.skip_content()?;
        let mut extensions = self.global.clone();
        let (mut long_path, mut long_link) = (None, None);
        for _ in 0..=MOST_EXTENSIONS {
            let Some(block) = self.read_block()? else { return Ok(None) };
            let Some(header) = Header::parse(&block)? else { return Ok(None) };
            self.content_is(header.size()?)?;
            match header.kind() {
                b'x' => extensions.take(&self.read_extension(MOST_RECORDS)?)?,
                b'g' => {
                    let records = self.read_extension(MOST_RECORDS)?;
                    self.global.take(&records)?;
                    self.global.bounded(MOST_RECORDS)?;
                    extensions = self.global.clone();
                }
                b'L' => long_path = Some(self.read_name()?),
                b'K' => long_link = Some(self.read_name()?),
                _ => return self.member(&header, extensions, long_path, long_link).map(Some),
            }
        }
        Err(Fault::malformed(PART, "more than 16 headers of extensions before one member"))
    }

    /// The content of the member that came last, or what is left of it.
    pub(super) fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    fn member(
        &mut self,
        header: &Header<'_>,
        pax: Extensions,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Member, Fault> {
        if let Some(size) = pax.size {
            self.content_is(size)?;
        }
        let path = pax.sparse.name.clone().or(pax.path).or(long_path).unwrap_or_else(|| header.path());
        let link = pax.link.or(long_link).unwrap_or_else(|| header.link().to_vec());
        let kind = kind_of(header, &path, &link)?;
        let size = match kind {
            Kind::File => self.start_file(header, pax.sparse)?,
            _ if self.stored == 0 => 0,
            _ => return Err(Fault::of_entry(&path, "has a content, and is no file")),
        };
        let owner = |id: u64, named: Option<Vec<u8>>, name: &[u8]| {
            let name = named.unwrap_or_else(|| name.to_vec());
            let id = u32::try_from(id).map_err(|_| Fault::of_entry(&path, "has an owner beyond 32 bits"))?;
            Ok(Owner { id: Some(id), name: (!name.is_empty()).then(|| os_string(&name)) })
        };
        let user = owner(pax.uid.map_or_else(|| header.uid(), Ok)?, pax.user, header.user())?;
        let group = owner(pax.gid.map_or_else(|| header.gid(), Ok)?, pax.group, header.group())?;
        let mtime = pax.mtime.map_or_else(|| header.mtime(), Ok)?;
        Ok(Member { kind, mode: header.mode()?, user, group, mtime, size, xattrs: pax.xattrs, path })
    }

    /// Prepares to read a file's content; the size of it.
    fn start_file(&mut self, header: &Header<'_>, sparse: Sparse) -> Result<u64, Fault> {
        let (map, size) = if header.kind() == b'S' {
            let (mut map, mut has_more, size) = header.sparse()?;
            while has_more {
                let block = self.read_block()?.ok_or(Fault::Truncated(PART))?;
                map.extend(header::sparse_pieces(&block, 0, 21)?);
                has_more = block[504] != 0;
                if map.len() > sparse::MOST_PIECES {
                    return Err(Fault::malformed(PART, "a sparse file has too many pieces"));
                }
            }
            (map, size)
        } else {
            let map = match (sparse.major, sparse.map) {
                (Some(1), _) => sparse::read_map(&mut Stored(self))?,
                (Some(_), _) => {
                    return Err(Fault::malformed(PART, "a sparse file has a version that is not known"));
                }
                (None, Some(map)) => map,
                (None, None) => return Ok(self.stored),
            };
            (map, sparse.size.ok_or(Fault::malformed(PART, "a sparse file has no size"))?)
        };
        self.sparse = Some(SparseReader::new(map, size, self.stored)?);
        Ok(size)
    }

    /// A block, or `None` where the archive ends before it.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, Fault> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]).map_err(|error| Fault::reading(PART, error))? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(Fault::Truncated(PART)),
                read => filled += read,
            }
        }
        Ok(Some(block))
    }

    fn content_is(&mut self, size: u64) -> Result<(), Fault> {
        if size > i64::MAX as u64 {
            return Err(Fault::malformed(PART, "a size is too large"));
        }
        self.stored = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// Reads what is left of a member, and the zeros behind it.
    fn skip_content(&mut self) -> Result<(), Fault> {
        self.sparse = None;
        let mut rest = (&mut self.input).take(self.stored + self.padding);
        let wanted = self.stored + self.padding;
        let skipped = io::copy(&mut rest, &mut io::sink()).map_err(|error| Fault::reading(PART, error))?;
        (self.stored, self.padding) = (0, 0);
        if skipped == wanted { Ok(()) } else { Err(Fault::Truncated(PART)) }
    }

    /// What a header says of the next one.
    fn read_extension(&mut self, most: u64) -> Result<Vec<u8>, Fault> {
        if self.stored > most {
            return Err(Fault::malformed(PART, "a header of extensions is too large"));
        }
        let mut bytes = Vec::new();
        Stored(self).read_to_end(&mut bytes).map_err(|error| Fault::reading(PART, error))?;
        self.skip_content()?;
        Ok(bytes)
    }

    fn read_name(&mut self) -> Result<Vec<u8>, Fault> {
        let mut name = self.read_extension(LONGEST_NAME)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }
}

fn kind_of(header: &Header<'_>, path: &[u8], link: &[u8]) -> Result<Kind, Fault> {
    let device = || {
        let number = |number: u64| {
            u32::try_from(number).map_err(|_| Fault::of_entry(path, "has a device number beyond 32 bits"))
        };
        let (major, minor) = header.device()?;
        Ok(Device { major: number(major)?, minor: number(minor)? })
    };
    let is_bad = link.is_empty() || link.contains(&0);
    Ok(match header.kind() {
        // Before there were types, a directory's name had a slash behind it.
        0 | b'0' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' | b'2' if is_bad => return Err(Fault::of_entry(path, "is a link to nothing")),
        b'1' => Kind::Hardlink(os_string(link).into()),
        b'2' => Kind::Symlink(os_string(link)),
        b'3' => Kind::CharacterDevice(device()?),
        b'4' => Kind::BlockDevice(device()?),
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err(Fault::of_entry(path, "is of a type that is not known")),
    })
}

/// Reads what is stored of a member.
struct Stored<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Stored<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.0.stored).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.0.input.read(&mut buffer[..length])?;
        if read == 0 && length > 0 {
            return Err(Fault::Truncated(PART).into_io());
        }
        self.0.stored -= read as u64;
        Ok(read)
    }
}

/// Reads the content of a member.
pub(super) struct Content<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.sparse.take() {
            Some(mut sparse) => {
                let result = sparse.read(&mut Stored(self.0), buffer);
                self.0.sparse = Some(sparse);
                result
            }
            None => Stored(self.0).read(buffer),
        }
    }
}
