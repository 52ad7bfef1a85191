//! What one process has open and mapped, as its directory in /proc shows it (proc_pid(5)).
//!
//! A thousand processes are looked at in a tenth of a second: names are short, from an open directory, and buffers are
//! used again.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, RawDir, StatFs};
use rustix::io::Errno;

use crate::sys::Pid;

/// The directory of a process in /proc.
pub(super) struct ProcessFiles(OwnedFd);

/// What is read into, again and again.
pub(super) struct Buffers {
    names: Vec<MaybeUninit<u8>>,
    target: Vec<MaybeUninit<u8>>,
    maps: Vec<u8>,
}

impl Buffers {
    pub(super) fn new() -> Buffers {
        // No target is longer than a page (`do_proc_readlink` in fs/proc/base.c).
        let target = vec![MaybeUninit::uninit(); 4096];
        Buffers { names: vec![MaybeUninit::uninit(); 8192], target, maps: vec![0; 32 * 1024] }
    }
}

impl ProcessFiles {
    /// `None` for one that has ended.
    pub(super) fn open(pid: Pid) -> Option<ProcessFiles> {
        open(CWD, format!("/proc/{pid}"), OFlags::PATH | OFlags::DIRECTORY).ok().map(ProcessFiles)
    }

    /// Whether what one of its links (`root`, `cwd`, `exe`) leads to is wanted: by its name, and then by the file
    /// system that it lies on. What has another name is never touched. ENOENT where it has no such thing.
    pub(super) fn leads_to(
        &self,
        link: &CStr,
        wanted: &Wanted<'_>,
        buffers: &mut Buffers,
    ) -> Result<bool, Errno> {
        leads_to(&self.0, link, wanted, &mut buffers.target)
    }

    /// Whether any descriptor is of a wanted file.
    pub(super) fn has_open(&self, wanted: &Wanted<'_>, buffers: &mut Buffers) -> bool {
        let Ok(directory) = open(&self.0, c"fd", OFlags::RDONLY | OFlags::DIRECTORY) else { return false };
        let mut names = RawDir::new(&directory, &mut buffers.names);
        while let Some(Ok(entry)) = names.next() {
            let name = entry.file_name();
            let is_number = name.to_bytes().first().is_some_and(u8::is_ascii_digit);
            if is_number && leads_to(&directory, name, wanted, &mut buffers.target) == Ok(true) {
                return true;
            }
        }
        false
    }

    /// Whether any line of its maps is wanted.
    pub(super) fn has_mapped(&self, is_wanted: impl Fn(&[u8]) -> bool, buffers: &mut Buffers) -> bool {
        let Ok(file) = open(&self.0, c"maps", OFlags::RDONLY) else { return false };
        let buffer = &mut buffers.maps;
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            match rustix::io::read(&file, &mut buffer[filled..]) {
                Ok(length @ 1..) => filled += length,
                Ok(0) | Err(_) => break,
            }
        }
        buffer[..filled].split(|byte| *byte == b'\n').any(is_wanted)
    }
}

/// What files are looked for.
pub(super) struct Wanted<'a> {
    /// Whether what has this name may be one.
    pub(super) name: &'a dyn Fn(&[u8]) -> bool,
    /// Whether it is, by the file system that it lies on.
    pub(super) file_system: &'a dyn Fn(&StatFs) -> bool,
}

fn leads_to(
    directory: &OwnedFd,
    link: &CStr,
    wanted: &Wanted<'_>,
    target: &mut [MaybeUninit<u8>],
) -> Result<bool, Errno> {
    let (name, _) = rustix::fs::readlinkat_raw(directory, link, target)?;
    if !(wanted.name)(name) {
        return Ok(false);
    }
    let status = rustix::fs::fstatfs(open(directory, link, OFlags::PATH)?)?;
    Ok((wanted.file_system)(&status))
}

fn open(directory: impl AsFd, name: impl rustix::path::Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, name, flags | OFlags::CLOEXEC, Mode::empty())
}
