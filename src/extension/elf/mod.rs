//! What an ELF file says of whom it needs (elf(5); the System V ABI, "Dynamic Linking"; symbol versions as in the Linux
//! Standard Base). It is found by way of the program headers, as the loader finds it: sections may be stripped, and a
//! file of any size costs a few pages. Any bytes are read without a panic, and no count in them is believed.

mod dynamic;
mod header;
mod pages;
#[cfg(test)]
pub(super) mod tests;
mod versions;

use super::{Content, Error};
pub use header::{Machine, runs};
use pages::Pages;

/// An ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// Whether it can be loaded, and how.
    pub kind: Kind,
    /// The processor that it is for.
    pub machine: Machine,
    /// Of a program, its interpreter (the loader).
    pub interpreter: Option<String>,
    /// What it calls itself: `libc.so.6`.
    pub soname: Option<String>,
    /// The libraries that it needs, in its order.
    pub needed: Vec<String>,
    /// DT_RPATH: where the loader looks before anywhere else, also for what its libraries need.
    pub rpath: Option<String>,
    /// DT_RUNPATH: where the loader looks for what it needs itself. DT_RPATH then counts for nothing.
    pub runpath: Option<String>,
    /// DF_1_NODEFLIB: that the loader is not to look in its own directories.
    pub without_default_directories: bool,
    /// The symbol versions that it needs of libraries.
    pub needed_versions: Vec<NeededVersions>,
    /// The symbol versions that it has. One without any satisfies everybody.
    pub versions: Vec<String>,
}

/// Whether an ELF file can be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program at a fixed address (ET_EXEC).
    Executable,
    /// A library, a plugin, or a program that can lie anywhere (ET_DYN).
    Shared,
    /// An object to be linked, a kernel's module, a core: not for the loader.
    Other,
}

/// The symbol versions that are needed of one library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersions {
    /// The library, as it is named among those needed.
    pub library: String,
    /// The versions.
    pub versions: Vec<NeededVersion>,
}

/// One symbol version that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersion {
    /// Its name: `GLIBC_2.38`.
    pub name: String,
    /// Whether the program also starts without it (VER_FLG_WEAK).
    pub weak: bool,
}

/// Why a file that begins as ELF cannot be read as one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// The file ends before what it is said to have.
    #[error("ends within its {0}")]
    Truncated(&'static str),
    /// A value that the format does not have.
    #[error("has a wrong {0}")]
    Wrong(&'static str),
    /// More than any real file has.
    #[error("has too much in its {0}")]
    TooMuch(&'static str),
    /// It could not be read at all.
    #[error(transparent)]
    Unreadable(#[from] Error),
}

impl Elf {
    /// Whether these first bytes of a file are ELF's.
    pub fn is_one(beginning: &[u8]) -> bool {
        beginning.starts_with(b"\x7fELF")
    }

    /// Reads what is needed of a file.
    pub fn read(file: &dyn Content) -> Result<Elf, Defect> {
        let mut pages = Pages::new(file);
        let header = header::read(&mut pages)?;
        let mut elf = Elf {
            kind: header.kind,
            machine: header.layout.machine,
            interpreter: header.interpreter(&mut pages)?,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            without_default_directories: false,
            needed_versions: Vec::new(),
            versions: Vec::new(),
        };
        if elf.kind != Kind::Other {
            dynamic::read(&mut pages, &header, &mut elf)?;
        }
        Ok(elf)
    }
}
