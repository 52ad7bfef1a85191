//! Package files, `.deb` and `.rpm`: what they say of themselves, and their payloads as streams.
//!
//! [`PackageFile::open`] reads what describes a package; [`PackageFile::visit`] decodes its payload and gives one
//! [`Entry`] after the other, with a reader of its content. Nothing is written, nothing is kept but the names: memory
//! is that of a decoder, whatever the payload unpacks to. Several threads can visit the same package or different ones.
//!
//! Package files are foreign bytes. No entry leaves the package's directory or lies below one of its symbolic links;
//! what is a device node, or setuid, is told like all else, and the caller decides. Digests are compared where a package
//! has them: of rpm's header at once, of files as they are read, of the payload at its end. So what was taken from a
//! visit counts only when the visit has returned without an error. Signatures are not looked at.

mod ar;
mod architecture;
mod capabilities;
mod cpio;
mod deb;
mod decoder;
mod delivery;
mod entry;
mod error;
mod paths;
mod rpm;
mod scripts;
mod tar;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use deb::Deb;
pub use decoder::decompressed;
pub use delivery::Summary;
pub use entry::{Device, Entry, Kind, Owner};
pub use error::{Error, Fault};
pub use rpm::Rpm;

use super::header::tag;
use decoder::Stored;
use delivery::{Delivery, Stop, Visitor};

/// Which kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Debian's, dpkg's.
    Deb,
    /// rpm's.
    Rpm,
}

/// What the control archive or the header says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Control {
    /// Of a Debian package.
    Deb(Box<Deb>),
    /// Of an RPM package.
    Rpm(Box<Rpm>),
}

/// How far a visit may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most entries; their names alone are kept. A million if not said otherwise.
    pub entries: u64,
    /// The most bytes that a payload unpacks to, its own headers and the holes of sparse files counted. 64 GiB if not
    /// said otherwise: a few kilobytes can say to be that, and take a minute to decode.
    pub bytes: u64,
    /// Whether each file's content is compared with its digest, where the package has one. It is if not said otherwise.
    pub check_files: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 1 << 20, bytes: 64 << 30, check_files: true }
    }
}

/// A package file that is open.
#[derive(Debug)]
pub struct PackageFile {
    path: PathBuf,
    file: File,
    control: Control,
}

impl PackageFile {
    /// Opens a package and reads what it says of itself. The kind is told by its first bytes, whatever its name.
    pub fn open(path: impl Into<PathBuf>) -> Result<PackageFile, Error> {
        let path = path.into();
        match File::open(&path) {
            Ok(file) => PackageFile::from_file(path, file),
            Err(source) => Err(Error { package: path, fault: Fault::Io { operation: "open", source } }),
        }
    }

    /// The same for a file that is open; `path` is its name in errors. It is read at positions of its own: where the
    /// file's is does not matter.
    pub fn from_file(path: impl Into<PathBuf>, file: File) -> Result<PackageFile, Error> {
        let path = path.into();
        match read_control(&file) {
            Ok(control) => Ok(PackageFile { path, file, control }),
            Err(fault) => Err(Error { package: path, fault }),
        }
    }

    /// The name by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which kind of package it is.
    pub fn format(&self) -> Format {
        match self.control {
            Control::Deb(_) => Format::Deb,
            Control::Rpm(_) => Format::Rpm,
        }
    }

    /// All that it says of itself.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The package's name.
    pub fn name(&self) -> Cow<'_, str> {
        self.text("Package", tag::NAME).unwrap_or_default()
    }

    /// Its version, as dpkg or rpm writes it: `[epoch:]version[-revision]`.
    pub fn version(&self) -> String {
        match &self.control {
            Control::Deb(deb) => deb.version().to_string(),
            Control::Rpm(rpm) => rpm.header().evr().to_string(),
        }
    }

    /// Its architecture, in dpkg's or rpm's word.
    pub fn architecture(&self) -> Cow<'_, str> {
        self.text("Architecture", tag::ARCH).unwrap_or_default()
    }

    /// Whether it is for every architecture.
    pub fn is_any_architecture(&self) -> bool {
        architecture::is_any(self.format(), &self.architecture())
    }

    /// Its architecture in systemd's word (`x86-64`, `arm64`, `arm`, …); `None` where systemd has none, and for packages
    /// for every architecture.
    pub fn systemd_architecture(&self) -> Option<&'static str> {
        architecture::systemd_architecture(self.format(), &self.architecture())
    }

    /// Its licence, which RPM packages name in their header.
    pub fn license(&self) -> Option<Cow<'_, str>> {
        match self.control {
            Control::Deb(_) => None,
            Control::Rpm(_) => self.text("", tag::LICENSE),
        }
    }

    /// What it was built from: the name of a Debian source package, or of rpm's source package file.
    pub fn source(&self) -> Cow<'_, str> {
        let source = self.text("Source", tag::SOURCE_RPM).unwrap_or_else(|| self.name());
        // Where the source has another version, that stands behind it in parentheses.
        match source {
            Cow::Borrowed(text) => text.split(" (").next().unwrap_or_default().into(),
            Cow::Owned(text) => text.into(),
        }
    }

    /// How many bytes its files take when installed, as it says itself; dpkg counts in KiB, and rounds.
    pub fn installed_size(&self) -> Option<u64> {
        match &self.control {
            Control::Deb(deb) => deb.stanza().text("Installed-Size")?.parse::<u64>().ok()?.checked_mul(1024),
            Control::Rpm(rpm) => {
                let header = rpm.header();
                header.number(tag::LONG_SIZE).or_else(|| header.number(tag::SIZE))
            }
        }
    }

    /// Names of the scripts and triggers that it has, as dpkg or spec files call them.
    pub fn scripts(&self) -> Vec<&str> {
        match &self.control {
            Control::Deb(deb) => deb.scripts().collect(),
            Control::Rpm(rpm) => rpm.scripts().collect(),
        }
    }

    /// Whether one of its scripts sets alternatives (update-alternatives(1), alternatives(8)): links that no file of it is.
    pub fn sets_alternatives(&self) -> bool {
        match &self.control {
            Control::Deb(deb) => deb.sets_alternatives(),
            Control::Rpm(rpm) => rpm.sets_alternatives(),
        }
    }

    /// Gives all entries of the payload to `visit`, in the archive's order (of hard links in an RPM package, the one with
    /// the content first), each with a reader of its content: as long as its size, empty for all but files. What is not
    /// read of it is skipped. An error of the visitor's ends the visit, and is returned; so does one of the package, which
    /// comes first where a reader failed.
    ///
    /// A directory can come twice, nothing else can.
    pub fn visit<E: From<Error>>(
        &self,
        limits: &Limits,
        mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
    ) -> Result<Summary, E> {
        let mut error = None;
        let mut visitor = |entry: &Entry, content: &mut dyn Read| match visit(entry, content) {
            Ok(()) => ControlFlow::Continue(()),
            Err(found) => {
                error = Some(found);
                ControlFlow::Break(())
            }
        };
        let result = self.walk(limits, &mut visitor);
        match (result, error) {
            (Ok(summary), _) => Ok(summary),
            (Err(Stop::Caller), Some(error)) => Err(error),
            (Err(Stop::Caller), None) => unreachable!("only an error of the visitor's stops a visit"),
            (Err(Stop::Fault(fault)), _) => Err(Error { package: self.path.clone(), fault }.into()),
        }
    }

    fn walk(&self, limits: &Limits, visitor: &mut Visitor<'_>) -> Result<Summary, Stop> {
        let mut delivery = Delivery::new(limits, visitor);
        match &self.control {
            Control::Deb(deb) => deb.walk(&self.file, &mut delivery)?,
            Control::Rpm(rpm) => rpm.walk(&self.file, &mut delivery)?,
        }
        Ok(delivery.summary())
    }

    fn text(&self, field: &str, tag: u32) -> Option<Cow<'_, str>> {
        match &self.control {
            Control::Deb(deb) => deb.stanza().get(field).map(String::from_utf8_lossy),
            Control::Rpm(rpm) => rpm.header().text(tag),
        }
    }
}

fn read_control(file: &File) -> Result<Control, Fault> {
    let metadata = file.metadata().map_err(|source| Fault::Io { operation: "stat", source })?;
    if !metadata.is_file() {
        return Err(Fault::Format);
    }
    let length = metadata.len();
    let mut beginning = Vec::new();
    let read = Stored::new(file, 0, length).take(8).read_to_end(&mut beginning);
    read.map_err(|error| Fault::reading("beginning", error))?;
    if beginning.starts_with(ar::MAGIC) {
        Ok(Control::Deb(Box::new(Deb::read(file, length)?)))
    } else if beginning.starts_with(rpm::MAGIC) {
        Ok(Control::Rpm(Box::new(Rpm::read(file, length)?)))
    } else {
        Err(Fault::Format)
    }
}
