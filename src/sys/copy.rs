//! Copies of files: shared blocks where the file system has them, else copied by the kernel.

use std::fs::File;
use std::io::{self, Seek};

use rustix::io::Errno;

/// As much as is asked of the kernel at once.
const CHUNK: usize = 128 * 1024 * 1024;

/// Copies all of `from` into the empty file `to`: as a reflink (ioctl_ficlone(2)), or within the kernel
/// (copy_file_range(2)), or else by reading and writing.
pub fn copy_content(from: &File, to: &File) -> io::Result<u64> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(from.metadata()?.len());
    }
    let mut copied = 0;
    loop {
        let (mut source, mut target) = (copied, copied);
        match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), CHUNK) {
            Ok(0) => break,
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            // Between file systems, and on some at all, it is not to be had.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if copied == 0 => {
                return copy_by_hand(from, to);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Some file systems give nothing where there is something.
    if copied == 0 { copy_by_hand(from, to) } else { Ok(copied) }
}

fn copy_by_hand(mut from: &File, mut to: &File) -> io::Result<u64> {
    from.rewind()?;
    to.rewind()?;
    io::copy(&mut from, &mut to)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_copy_is_equal() {
        for content in [&b""[..], b"x", &vec![7; 100_000]] {
            let mut files = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
            files[0].write_all(content).expect("there is room");
            assert_eq!(copy_content(&files[0], &files[1]).expect("it can be copied"), content.len() as u64);
            let mut copy = Vec::new();
            files[1].rewind().and_then(|()| files[1].read_to_end(&mut copy)).expect("our file");
            assert!(copy == content);
        }
    }
}
