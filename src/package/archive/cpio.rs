//! Payloads of RPM packages: cpio with the headers of `newc`, or with rpm's own, which only say which file of the
//! package's header comes next and so know no limit of 4 GiB.
//!
//! ```text
//! newc: "070701", of 8 hexadecimal digits each: inode, mode, uid, gid, links, mtime, size, device (2), rdev (2),
//!       length of the name with its NUL, checksum; name; zeros up to a multiple of 4; content; zeros again
//! rpm:  "07070X", 8 hexadecimal digits: number of the file; 2 zeros; content; zeros up to a multiple of 4
//! ```

use std::io::{self, Read};

use super::error::Fault;

const PART: &str = "cpio archive";

/// PATH_MAX of the kernel, and a `.` before it.
const LONGEST_NAME: u32 = 4097;

/// A member, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// One that says what it is; its content is so long.
    Named { path: Vec<u8>, size: u64 },
    /// The file with this number. Its content is as long as [`Reader::expect`] is told.
    Numbered(u32),
}

/// Reads one member after the other.
pub(super) struct Reader<R> {
    input: R,
    /// Modulo 4.
    position: u64,
    /// Bytes of the content that are not read yet.
    left: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Reader<R> {
        Reader { input, position: 0, left: 0 }
    }

    pub(super) fn into_inner(self) -> R {
        self.input
    }

    /// The next member; `None` at the end, which has a member of its own.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Fault> {
        self.skip_content()?;
        match &self.bytes::<6>()? {
            b"07070X" => {
                let number = hexadecimal(&self.bytes::<8>()?)?;
                self.align()?;
                Ok(Some(Member::Numbered(number)))
            }
            b"070701" | b"070702" => {
                let fields = self.bytes::<104>()?;
                let field = |number: usize| hexadecimal(&fields[number * 8..number * 8 + 8]);
                let path = self.name(field(11)?)?;
                if path == b"TRAILER!!!" {
                    return Ok(None);
                }
                let size = u64::from(field(6)?);
                self.expect(size);
                Ok(Some(Member::Named { path, size }))
            }
            _ => Err(Fault::malformed(PART, "a member has no header")),
        }
    }

    /// Says how long the content of a numbered member is.
    pub(super) fn expect(&mut self, size: u64) {
        self.left = size;
    }

    fn name(&mut self, length: u32) -> Result<Vec<u8>, Fault> {
        if length > LONGEST_NAME {
            return Err(Fault::malformed(PART, "a name is too long"));
        }
        let mut name = vec![0; length as usize];
        self.fill(&mut name)?;
        self.align()?;
        if name.pop() != Some(0) || name.contains(&0) {
            return Err(Fault::malformed(PART, "a name does not end where it should"));
        }
        Ok(name)
    }

    fn skip_content(&mut self) -> Result<(), Fault> {
        let wanted = self.left;
        let skipped = io::copy(self, &mut io::sink()).map_err(|error| Fault::reading(PART, error))?;
        if skipped < wanted {
            return Err(Fault::Truncated(PART));
        }
        self.align()
    }

    fn align(&mut self) -> Result<(), Fault> {
        let mut padding = [0; 3];
        let length = self.position.next_multiple_of(4) - self.position;
        self.fill(&mut padding[..length as usize])
    }

    fn bytes<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let mut bytes = [0; LENGTH];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.input.read_exact(bytes).map_err(|error| Fault::reading(PART, error))?;
        self.position = (self.position + bytes.len() as u64) % 4;
        Ok(())
    }
}

/// The content of the member that came last.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.input.read(&mut buffer[..length])?;
        self.left -= read as u64;
        self.position = (self.position + read as u64) % 4;
        Ok(read)
    }
}

fn hexadecimal(digits: &[u8]) -> Result<u32, Fault> {
    let is_number = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    let number = text.and_then(|text| u32::from_str_radix(text, 16).ok());
    number.ok_or(Fault::malformed(PART, "a number is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, content: &[u8]) -> Vec<u8> {
        let numbers = [1, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, path.len() + 1, 0];
        let fields: String = numbers.map(|number| format!("{number:08x}")).concat();
        let mut member = format!("070701{fields}{path}\0").into_bytes();
        member.resize(member.len().next_multiple_of(4), 0);
        member.extend_from_slice(content);
        member.resize(member.len().next_multiple_of(4), 0);
        member
    }

    #[test]
    fn members_of_both_kinds_are_read() {
        let archive =
            [&named("./a", b"12345")[..], b"07070X0000000a\0\0xyz\0", &named("TRAILER!!!", b"")].concat();
        let mut reader = Reader::new(&archive[..]);
        let next = |reader: &mut Reader<_>| reader.next().expect("a good archive");
        assert_eq!(next(&mut reader), Some(Member::Named { path: b"./a".to_vec(), size: 5 }));
        let mut content = [0; 2];
        reader.read_exact(&mut content).expect("it is there");
        assert_eq!(&content, b"12");
        assert_eq!(next(&mut reader), Some(Member::Numbered(10)));
        reader.expect(3);
        let mut content = Vec::new();
        reader.read_to_end(&mut content).expect("it is there");
        assert_eq!(content, b"xyz");
        assert_eq!(next(&mut reader), None);
    }

    #[test]
    fn what_is_cut_off_or_lies_is_refused() {
        let archive = [named("./a", b"12345"), named("TRAILER!!!", b"")].concat();
        let count = |archive: &[u8]| {
            let mut reader = Reader::new(archive);
            let mut count = 0;
            while reader.next()?.is_some() {
                count += 1;
            }
            Ok::<_, Fault>(count)
        };
        assert_eq!(count(&archive).ok(), Some(1));
        for length in 0..archive.len() - 1 {
            assert!(count(&archive[..length]).is_err(), "{length} bytes");
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = archive.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            changed
        };
        for changed in [
            with(0, b"x"),
            with(94, b"ffffffff"),
            with(94, b"00000000"),
            with(94, b"+0000004"),
            with(54, b"x"),
        ] {
            assert!(count(&changed).is_err(), "{}", changed.escape_ascii());
        }
    }
}
