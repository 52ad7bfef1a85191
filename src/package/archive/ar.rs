//! The outermost layer of a Debian package: an `ar` of a few members (deb(5)).
//!
//! ```text
//! 0   "!<arch>\n"
//! 8   of each member: name 16, time 12, uid 6, gid 6, mode 8, size 10, "`\n"; content; a newline where that is odd
//! ```

use std::fs::File;
use std::io::Read;

use super::decoder::Stored;
use super::error::Fault;

pub(super) const MAGIC: &[u8; 8] = b"!<arch>\n";

const PART: &str = "ar archive";
const HEADER: usize = 60;

/// A member, and where its content is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// Reads one member after the other, only their headers.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    file: &'a File,
    position: u64,
    length: u64,
}

impl<'a> Reader<'a> {
    /// One for a file of this length that begins with the magic.
    pub(super) fn new(file: &'a File, length: u64) -> Reader<'a> {
        Reader { file, position: MAGIC.len() as u64, length }
    }

    /// The next member; `None` where the file ends.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Fault> {
        if self.position >= self.length {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        let mut stored = Stored::new(self.file, self.position, self.length);
        stored.read_exact(&mut header).map_err(|error| Fault::reading(PART, error))?;
        if header[58..] != *b"`\n" {
            return Err(Fault::malformed(PART, "a member has no header"));
        }
        let begin = self.position + HEADER as u64;
        let size = size(&header[48..58]).ok_or(Fault::malformed(PART, "a member's size is none"))?;
        let end = begin + size;
        if end > self.length {
            return Err(Fault::Truncated(PART));
        }
        self.position = end.next_multiple_of(2);
        // Some write a slash behind each name.
        let name = header[..16].trim_ascii_end();
        Ok(Some(Member { name: name.strip_suffix(b"/").unwrap_or(name).to_vec(), begin, end }))
    }
}

/// At most ten digits, so any sum of it fits.
fn size(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field.trim_ascii()).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
