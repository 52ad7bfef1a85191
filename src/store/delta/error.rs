//! Why an image was not built from another.

use crate::fetch;
use crate::image;
use crate::sys::IoError;

/// Why an image was not built from another one. There is always another way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An image could not be read.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// What was fetched is not what the index says.
    #[error("'{0}' is not what the index says: it has another digest")]
    Changed(String),
    /// The bytes are no list of blocks, or no patch.
    #[error("it makes no sense: {0}")]
    Nonsense(&'static str),
    /// It is of a later format.
    #[error("its format is not known here")]
    Unknown,
    /// It is for another image.
    #[error("it is not for these images")]
    Other,
    /// Blocks are compressed in another way here.
    #[error("it was made with another version of the compressor")]
    Compressor,
    /// What came out is something else.
    #[error("what came out is not the image: its digest is another one")]
    Wrong,
}
