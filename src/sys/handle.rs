//! File handles (name_to_handle_at(2)): what a file system calls a file, wherever it is linked.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::{Context, IoError, Root};

/// The kernel's `MAX_HANDLE_SZ`.
const LONGEST: usize = 128;

/// A handle as bytes to compare. It says nothing of the file system that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileHandle {
    /// The file system's own type of the handle.
    pub kind: i32,
    /// The handle, opaque to us.
    pub bytes: Vec<u8>,
}

/// `struct file_handle`, with room for the longest.
#[repr(C)]
struct Buffer {
    length: u32,
    kind: i32,
    bytes: [u8; LONGEST],
}

impl FileHandle {
    /// The handle of `name` in `dir`, of the link itself where it is one; `None` where the file
    /// system has no handles.
    pub fn of(dir: &Root, name: &OsStr) -> Result<Option<FileHandle>, IoError> {
        let text = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL);
        let text = text.context("take the handle of", dir.join(name))?;
        let mut buffer = Buffer { length: LONGEST as u32, kind: 0, bytes: [0; LONGEST] };
        let mut mount_id = 0i32;
        // SAFETY: the name is a C string, and the kernel writes at most `length` bytes behind the
        // header of the buffer, which has that many.
        let result = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                dir.as_fd().as_raw_fd(),
                text.as_ptr(),
                &raw mut buffer,
                &raw mut mount_id,
                0,
            )
        };
        if result == 0 {
            let bytes = buffer.bytes.get(..buffer.length as usize).unwrap_or_default().to_vec();
            return Ok(Some(FileHandle { kind: buffer.kind, bytes }));
        }
        match io::Error::last_os_error() {
            // No handles here, or none that fits.
            error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EOVERFLOW)) => Ok(None),
            error => Err(error).context("take the handle of", dir.join(name)),
        }
    }
}
