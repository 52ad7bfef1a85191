//! Copies of files: shared blocks where the file system has them, else copied by the kernel.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// As much as is asked of the kernel at once.
const CHUNK: usize = 128 * 1024 * 1024;

/// As much as a disk is given at once that is to be busy all the time.
const SYNCED_CHUNK: usize = 8 * 1024 * 1024;

/// Copies all of `from` into the empty file `to`: as a reflink (ioctl_ficlone(2)), or within the kernel
/// (copy_file_range(2)), or else by reading and writing.
pub fn copy_content(from: &File, to: &File) -> io::Result<u64> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(from.metadata()?.len());
    }
    copy_in_chunks(from, to, CHUNK, &|_, _| ())
}

/// The same for a file that will be synced as soon as it is complete: the disk takes what is copied already while the
/// rest is being copied.
pub fn copy_content_to_sync(from: &File, to: &File) -> io::Result<u64> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(from.metadata()?.len());
    }
    // Where the blocks are, a disk finds out sooner when it is asked once. Who cannot say is not asked again.
    let _ = rustix::fs::fallocate(to, FallocateFlags::KEEP_SIZE, 0, from.metadata()?.len());
    copy_in_chunks(from, to, SYNCED_CHUNK, &|start, length| start_writing(to, start, length))
}

/// Reads until a buffer is full, or there is no more; how much there was.
pub fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Copies `length` bytes of `from` at `start` to `to` at `target`, within the kernel where it can.
pub fn copy_part(from: &File, start: u64, to: &File, target: u64, length: u64) -> io::Result<()> {
    let mut copied = 0;
    while copied < length {
        let (mut at, mut into) = (start + copied, target + copied);
        let wanted = usize::try_from(length - copied).unwrap_or(CHUNK).min(CHUNK);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut into), wanted) {
            Ok(0) => return copy_part_by_hand(from, at, to, into, length - copied),
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return copy_part_by_hand(from, at, to, into, length - copied);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_part_by_hand(from: &File, start: u64, to: &File, target: u64, length: u64) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    let mut copied = 0;
    while copied < length {
        let wanted = usize::try_from(length - copied).unwrap_or(buffer.len()).min(buffer.len());
        from.read_exact_at(&mut buffer[..wanted], start + copied)?;
        to.write_all_at(&buffer[..wanted], target + copied)?;
        copied += wanted as u64;
    }
    Ok(())
}

fn copy_in_chunks(from: &File, to: &File, chunk: usize, copied_part: &dyn Fn(u64, u64)) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        let (mut source, mut target) = (copied, copied);
        match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), chunk) {
            Ok(0) => break,
            Ok(count) => {
                copied_part(copied, count as u64);
                copied += count as u64;
            }
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

/// Has the kernel begin to write a part of a file to the disk (sync_file_range(2)). That it went wrong is told to whoever
/// syncs the file.
fn start_writing(file: &File, start: u64, length: u64) {
    let [start, length] = [start, length].map(|number| i64::try_from(number).unwrap_or_default());
    // SAFETY: the descriptor is open, and nothing else is given.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), start, length, libc::SYNC_FILE_RANGE_WRITE) };
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
        for content in [&b""[..], b"x", &vec![7; SYNCED_CHUNK + 100_000]] {
            for copy in [copy_content, copy_content_to_sync] {
                let mut files = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
                files[0].write_all(content).expect("there is room");
                assert_eq!(copy(&files[0], &files[1]).expect("it can be copied"), content.len() as u64);
                let mut copied = Vec::new();
                files[1].rewind().and_then(|()| files[1].read_to_end(&mut copied)).expect("our file");
                assert!(copied == content);
            }
        }
    }

    #[test]
    fn a_part_is_copied_to_its_place() {
        let content: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        for copy in [copy_part, copy_part_by_hand] {
            let files = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
            files[0].write_all_at(&content, 0).expect("there is room");
            copy(&files[0], 1000, &files[1], 77, 280_000).expect("it can be copied");
            let mut copied = vec![1; 280_077];
            files[1].read_exact_at(&mut copied, 0).expect("our file");
            assert!(copied[..77] == [0; 77] && copied[77..] == content[1000..281_000]);
            assert!(copy(&files[0], 299_999, &files[1], 0, 2).is_err(), "there is not so much");
        }
    }
}
