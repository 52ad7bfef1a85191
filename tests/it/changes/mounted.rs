//! What the tests of changes share: a mount namespace of their own, scratch space, an overlay.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use onlay::sys::{Namespaces, Propagation, leave_for_new, set_propagation};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::kernel::kernel_or_skip;

/// Scratch space for a test that mounts, in a mount namespace of this thread alone; `None` where
/// this cannot be had and tests may be skipped.
pub(crate) fn scratch_or_skip() -> Option<TempDir> {
    kernel_or_skip().then(|| prepare().expect("root can mount an overlay in a namespace of its own"))
}

fn prepare() -> Result<TempDir, Box<dyn std::error::Error>> {
    leave_for_new(Namespaces::MOUNT)?;
    set_propagation(Path::new("/"), Propagation::Private)?;
    let scratch = tempfile::tempdir()?;
    let mut probe = Overlay::new(&scratch.path().join("probe"), "")?;
    probe.mount()?;
    Ok(scratch)
}

/// A tmpfs, detached when dropped, whatever lies in it.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    pub(crate) fn mount(path: &Path) -> Tmpfs {
        std::fs::create_dir_all(path).expect("a mount point can be made");
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), None).expect("a tmpfs can be mounted");
        Tmpfs { path: path.to_owned() }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

/// An overlay in a directory of its own, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) lower: PathBuf,
    pub(crate) upper: PathBuf,
    pub(crate) merged: PathBuf,
    work: PathBuf,
    options: String,
    mounted: bool,
}

impl Overlay {
    /// Makes its directories, without mounting it.
    pub(crate) fn new(dir: &Path, options: &str) -> std::io::Result<Overlay> {
        let make = |name: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(&path).map(|()| path)
        };
        Ok(Overlay {
            lower: make("lower")?,
            upper: make("upper")?,
            work: make("work")?,
            merged: make("merged")?,
            options: options.to_owned(),
            mounted: false,
        })
    }

    pub(crate) fn options(&self) -> &str {
        &self.options
    }

    pub(crate) fn mount(&mut self) -> std::io::Result<()> {
        // A volatile overlay that is clean is not told from one that is not.
        match std::fs::remove_dir_all(self.work.join("work/incompat")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut data = b"lowerdir=".to_vec();
        data.extend(self.lower.as_os_str().as_bytes());
        data.extend(b",upperdir=");
        data.extend(self.upper.as_os_str().as_bytes());
        data.extend(b",workdir=");
        data.extend(self.work.as_os_str().as_bytes());
        if !self.options.is_empty() {
            data.push(b',');
            data.extend(self.options.as_bytes());
        }
        let data = CString::new(data)?;
        mount("overlay", &self.merged, "overlay", MountFlags::empty(), Some(data.as_c_str()))?;
        self.mounted = true;
        Ok(())
    }

    pub(crate) fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            unmount(&self.merged, UnmountFlags::empty()).expect("nothing holds the overlay");
        }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if self.mounted {
            let _ = unmount(&self.merged, UnmountFlags::DETACH);
        }
    }
}
