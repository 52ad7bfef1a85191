//! Stores: plain directories of extension images that any web server can show, with checksums, and an index by which a
//! client chooses without downloading images.
//!
//! A store is laid out so that systemd's own programs (systemd-sysupdate(8), importctl(1)) read it, too: images as
//! `NAME_VERSION_ARCHITECTURE.raw`, their digests in `SHA256SUMS`. What counts is `index.json`, which appears by one rename;
//! the rest of a store is made of it, and made again where somebody was killed in between.

pub mod client;
pub mod delta;

mod beside;
mod best_before;
mod carry_out;
mod describe;
mod directory;
mod error;
pub mod export;
mod index;
mod name;
pub mod openpgp;
pub mod publish;
mod rebuild;
pub mod serve;
mod signing;
mod sums;
mod unpack;
mod verify;
mod verify_image;
mod verify_lists;

pub use best_before::{BestBefore, is_over};
pub use describe::{Described, describe};
pub use directory::{Added, Store, read};
pub use error::Error;
pub use index::{Beside, Compressor, Entry, Index, Package, PatchFile, Signed};
pub use name::ImageName;
pub use rebuild::{Left, Rebuilt, Voucher};
pub use signing::{KEYRING, KEYS, SIGNATURES, read_key};
pub use sums::{BadSums, SUMS, Sums};
pub use verify::{Flaw, Report, verify};
pub use verify_lists::Checked;
