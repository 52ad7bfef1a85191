//! What can go wrong while an extension is built.

use std::path::PathBuf;

use super::naming::InvalidName;
use super::recipe::RecipeError;
use crate::extension::{self, fit::Fitness};
use crate::host::selinux;
use crate::image;
use crate::package::archive;
use crate::pkgdb;
use crate::resolve;
use crate::sys::IoError;

/// A refusal or failure that a caller can act on. No image was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that no extension can have.
    #[error("'{}' of '{}' {why}", path.display(), from.display())]
    Impossible {
        /// The source.
        from: PathBuf,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two sources have different files of one name.
    #[error("'{}' is in '{}' and in '{}', and they are not the same", path.display(), one.display(), other.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The first source.
        one: PathBuf,
        /// The second.
        other: PathBuf,
    },
    /// Something would have to be below what is no directory.
    #[error("'{}' of '{}' is below '{}', which is no directory", path.display(), from.display(), above.display())]
    Below {
        /// The file.
        path: PathBuf,
        /// Its source.
        from: PathBuf,
        /// What it is below.
        above: PathBuf,
    },
    /// There is nothing to be built from.
    #[error("there is nothing to put into '{name}': what it is built from has no files for /usr or /opt")]
    Nothing {
        /// The extension.
        name: String,
    },
    /// An overlay is as its base is.
    #[error("{what} changes nothing: there is nothing to put into '{name}'")]
    Unchanged {
        /// The overlay.
        what: String,
        /// The extension.
        name: String,
    },
    /// Nothing says what its version is.
    #[error("'{name}' needs a version: there is no package of that name in it")]
    NoVersion {
        /// The extension.
        name: String,
    },
    /// A version that no image can have.
    #[error("'{version}' is no version for an image: it has letters, digits, '.', '+', '-', '~' and '^'")]
    BadVersion {
        /// The words.
        version: String,
    },
    /// A package is for another architecture.
    #[error("'{}' is for {is}, and the base is {base}", package.display())]
    Architecture {
        /// The package.
        package: PathBuf,
        /// Its architecture.
        is: String,
        /// The base's.
        base: String,
    },
    /// There is no kind of partition for an architecture.
    #[error("there is no kind of partition for {architecture} in a disk image")]
    NoPartition {
        /// The architecture.
        architecture: String,
    },
    /// A file that should stand for a base does not.
    #[error("cannot take '{}' for a base: {why}", path.display())]
    Base {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The base's kernel could not read the image.
    #[error("{what} takes Linux {needed}, and the base has {found}")]
    Kernel {
        /// What could not be read.
        what: String,
        /// The first release that can.
        needed: String,
        /// The newest that the base has.
        found: String,
    },
    /// What was built does not fit.
    #[error("'{name}' does not fit its base")]
    Unfit {
        /// The extension.
        name: String,
        /// What is wrong.
        fitness: Box<Fitness>,
    },
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A package file.
    #[error(transparent)]
    Package(#[from] archive::Error),
    /// Labels could not be had.
    #[error(transparent)]
    Labels(#[from] selinux::Error),
    /// A database of packages.
    #[error(transparent)]
    Database(#[from] pkgdb::Error),
    /// Packages could not be had.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// The image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// Judging it.
    #[error(transparent)]
    Extension(#[from] extension::Error),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}
