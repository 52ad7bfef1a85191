//! Building an extension: packages, directories and what overlays change go into an image for one base.
//!
//! Nothing is unpacked on disk. Packages are decoded side by side, and their files stored in the image as they come; when all
//! is stored, the tree is put together, what cannot be in an extension having been placed elsewhere or left out on the way. No
//! script of a package runs. The image is judged against the base before it takes its name.

mod accounts;
mod assemble;
mod base;
mod changes;
mod error;
mod gather;
mod generated;
mod keep;
mod kernels;
mod labels;
pub mod manifest;
mod naming;
mod notes;
mod parallel;
mod placing;
mod recipe;
mod records;
mod release;
mod remarks;
mod source;
mod write;

pub use base::{Base, KnownPackage, describe, packages_of};
pub use changes::{Changes, Seen, Untaken, Weight};
pub use error::Error;
pub use labels::Labelling;
pub use manifest::{BaseNote, Files, Image, LeftOut, MadeWith, Manifest, PackageNote, is_made_besides};
pub use naming::{ExtensionName, InvalidName, image_name, version_of};

pub use placing::Reason;
pub use recipe::{ImageFormat, Matching, Recipe, RecipeError, is_path};
pub use source::{Source, open};
pub use write::{Built, Envelope, Request, build, version};
