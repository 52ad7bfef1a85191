//! Stores as a host uses them: which it knows ([`Config`]), what is in them ([`Catalog`]), and which image of an extension it
//! is to have ([`Choice`]), known before anything large is downloaded.
//!
//! What a store says is believed when it is signed by a key of the administrator's, is not older than what was seen before,
//! and has not expired. An image is believed when it is the one that was signed, and is what was said of it. Where one of that
//! is not so, nothing is installed.

mod bring;
mod catalog;
mod choose;
mod config;
mod download;
mod error;
mod keys;
mod pins;
mod record;
mod untold;
mod update;

pub use bring::{Brought, bring};
pub use catalog::{Catalog, Freshness, catalogs};
pub use choose::{Candidate, Chooser, Misfit, Nothing, candidates};
pub use config::{Config, Configured, Signature};
pub use download::{Fetched, Older, Progress, download};
pub use error::{Error, StoreError};
pub use pins::{Pins, pins};
pub use record::forget_others;
pub use update::{Because, Fate, Move, Standing, Stay, fates};
