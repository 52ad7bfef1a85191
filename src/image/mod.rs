//! Files to image and back: what an image holds, and the formats that hold it.
//!
//! Nothing here knows what an extension is, prints, or starts a program. An image depends on nothing but what it is made of:
//! not on the time, the number of threads, or the order in which they get to work. What is read is trusted in nothing.

pub mod ddi;
pub mod erofs;
pub mod file_system;
pub mod squashfs;
pub mod tree;
pub mod units;

mod blocks;
mod cache;
mod directory;
mod error;
mod format;
mod recompress;
mod source;

pub use directory::read_directory;
pub use error::{Error, Misplacement};
pub use file_system::{FileSystem, Found, Verified};
pub use format::Format;
pub use recompress::{LARGEST_BLOCK, Recompressor, Unpacker};
pub use source::{FileSource, Source};
pub use tree::Tree;
