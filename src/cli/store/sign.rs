//! `onlay store sign`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::change::Freshness;
use super::keys::KeyOptions;
use crate::cli::output;
use crate::cli::report::Error;
use crate::store::Store;

/// Sign a store, or sign it anew
///
/// index.json and SHA256SUMS are signed (OpenPGP), the latter under the names
/// that systemd looks for. The store remembers by fingerprint who signs it, and
/// is signed anew whenever it is changed. What it is best before moves on, where
/// that is a number of days: let a timer run this.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    freshness: Freshness,
    /// Let the key sign instead of those that the store has
    #[arg(long, requires = "key")]
    replace: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut store = Store::open(&arguments.store)?;
    if arguments.replace {
        let signers = arguments.keys.given(&store)?;
        store.set_signers(signers);
    } else {
        arguments.keys.apply(&mut store)?;
    }
    arguments.freshness.apply(&mut store);
    if !arguments.keys.is_unsigned() {
        store.sign()?;
    }
    let keys = store.index().keys.clone();
    store.finish()?;
    let by = if keys.is_empty() { "nobody".to_owned() } else { keys.join(" and ") };
    output::say(&format!("onlay: {} is signed by {by}", output::path(&arguments.store)));
    Ok(ExitCode::SUCCESS)
}
