//! An image from an older one, for less than a download of it: from blocks that both have, or by a patch.
//!
//! Images are compressed, and so two versions of one differ nearly everywhere, but not in their compressed blocks: what is in
//! both is stored in both as the same bytes, at another place. So beside an image there is a [`list`] of its blocks, each with a
//! digest of a few bytes. A client finds those blocks in the images that it has and fetches what is left by ranges of the
//! image itself, from any server that knows ranges, and from any version to any other ([`blocks`]).
//!
//! Where the publisher had the older version, there is a [`patch`] besides, which is several times smaller: it is made of what is
//! in the blocks, without compression, and the client compresses them again to the same bytes. That needs the same compressor,
//! which both tell by a fingerprint.
//!
//! Nothing here is trusted, and nothing is wrong without it: what was built is the image only if its SHA-256 says so, and where
//! anything goes wrong, the next way is tried, and whole images can always be downloaded.

mod blocks;
mod build;
mod bytes;
mod cut;
mod error;
pub mod list;
pub mod patch;
mod publish;
mod ranges;
#[cfg(test)]
mod tests;

pub use build::{Attempt, Built, Old, Outcome, Way, build};
pub use cut::{Cut, Piece, cut};
pub use error::Error;
pub use patch::apply_to_digest;
pub use publish::{
    Image, Published, check_list, check_patch, is_patch_of, publish_list, publish_patch, read_patch,
};
