//! grub-mkconfig(8), which some distributions call grub2-mkconfig: GRUB's list of what can be booted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Error;

/// Its names.
const PROGRAMS: [&str; 2] = ["grub2-mkconfig", "grub-mkconfig"];

/// The installed program.
#[derive(Debug)]
pub struct Mkconfig {
    program: &'static str,
    path: PathBuf,
}

impl Mkconfig {
    /// Finds it in the root that this process has.
    pub fn find() -> Result<Mkconfig, Error> {
        let found = PROGRAMS.into_iter().find_map(|program| Some((program, super::find_any(program)?)));
        let (program, path) = found.ok_or(Error::Missing { program: PROGRAMS[1] })?;
        Ok(Mkconfig { program, path })
    }

    /// Writes a list anew, of what is below that root.
    pub fn write(&self, list: &Path) -> Result<(), Error> {
        super::run_to_its_end(self.program, &self.path, &["-o".into(), OsString::from(list)]).map(drop)
    }
}
