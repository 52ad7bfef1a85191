//! btrfs(8): what older versions of snapper(8) cannot do or say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Error;

const PROGRAM: &str = "btrfs";

/// The installed program.
#[derive(Debug)]
pub struct Btrfs {
    path: PathBuf,
}

impl Btrfs {
    /// Finds it.
    pub fn find() -> Result<Btrfs, Error> {
        Ok(Btrfs { path: super::find(PROGRAM)? })
    }

    /// Whether a subvolume cannot be written to.
    pub fn is_read_only(&self, subvolume: &Path) -> Result<bool, Error> {
        let words = ["property", "get", "-ts"].map(OsString::from);
        let text = self.run(words.into_iter().chain([subvolume.into(), "ro".into()]))?;
        Ok(String::from_utf8_lossy(&text).trim() == "ro=true")
    }

    /// Makes a subvolume one that cannot be written to, or one that can.
    pub fn set_read_only(&self, subvolume: &Path, is_read_only: bool) -> Result<(), Error> {
        let value = if is_read_only { "true" } else { "false" };
        let words = ["property", "set", "-ts"].map(OsString::from);
        self.run(words.into_iter().chain([subvolume.into(), "ro".into(), value.into()])).map(drop)
    }

    /// Makes a subvolume the one that is mounted where none is named.
    pub fn set_default(&self, subvolume: &Path) -> Result<(), Error> {
        self.run(["subvolume".into(), "set-default".into(), subvolume.into()]).map(drop)
    }

    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<u8>, Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        super::run_to_its_end(PROGRAM, &self.path, &arguments)
    }
}
