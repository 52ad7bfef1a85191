//! `onlay store sign`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueHint};

use super::change::Freshness;
use super::keys::KeyOptions;
use crate::cli::output;
use crate::cli::report::Error;
use crate::store::Store;

/// So long before its end, a key's is told.
const SOON: Duration = Duration::from_secs(60 * 86_400);

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

/// Tells of keys that will not be good for long: clients have to learn of another one in time.
fn warn(store: &Path) -> Result<(), Error> {
    let now = SystemTime::now();
    let certificates = Store::open(store)?.certificates();
    for (key, end) in certificates.fingerprints().into_iter().zip(certificates.ends(now)) {
        if let Ok(Some(end)) = end
            && end < now + SOON
        {
            let day = humantime::format_rfc3339_seconds(end).to_string();
            output::say(&format!(
                "onlay: the key {key} expires on {}; '{} store key rotate' goes over to another",
                &day[..10],
                output::program()
            ));
        }
    }
    Ok(())
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut store = Store::open(&arguments.store)?;
    let is_first = store.index().keys.is_empty() && !arguments.keys.is_unsigned();
    if arguments.replace || is_first {
        let signers = arguments.keys.given(&store)?;
        if !signers.is_empty() {
            store.set_signers(signers);
        }
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
    warn(&arguments.store)?;
    Ok(ExitCode::SUCCESS)
}
