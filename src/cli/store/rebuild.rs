//! `onlay store rebuild`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::change::Freshness;
use super::keys::KeyOptions;
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::store::{Left, Rebuilt, Store, Voucher};
use crate::sys::with_causes;

/// Make the index of a store anew, where it was lost or is broken
///
/// What is in the index is found in the images that lie in the directory, and in
/// the manifests and patches beside them. In a store that has a key, only what is
/// in SHA256SUMS with a signature by that key is in it again, and it is signed
/// anew; the rest is told, and stays where it is. No other copy of the index is
/// needed; but where it is published, the one there may be put back just as well.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Say what would be in the index, and stop
    #[arg(long)]
    dry_run: bool,
    /// Let the key sign all images that lie there, whoever has signed before
    #[arg(long, requires = "key")]
    replace: bool,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    freshness: Freshness,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut store = Store::open_lost(&arguments.store)?;
    let rebuilt = rebuild(arguments, &mut store)?;
    if arguments.dry_run {
        let taken = rebuilt.taken.iter().map(|file| format!("would list {}\n", output::visible(file)));
        output::print(&taken.collect::<String>())?;
        rebuilt.left.iter().for_each(tell_left);
        tell_age(&rebuilt);
        return Ok(ExitCode::SUCCESS);
    }
    arguments.freshness.apply(&mut store);
    let keys = store.index().keys.clone();
    store.finish()?;
    let by = if keys.is_empty() { "by nobody".to_owned() } else { format!("by {}", keys.join(" and ")) };
    output::say(&format!(
        "onlay: made the index of {} anew, with {}; it is signed {by}",
        output::path(&arguments.store),
        counted(rebuilt.taken.len() as u64, "image")
    ));
    rebuilt.left.iter().for_each(tell_left);
    tell_age(&rebuilt);
    tell_days(arguments, &rebuilt);
    Ok(ExitCode::SUCCESS)
}

fn rebuild(arguments: &Arguments, store: &mut Store) -> Result<Rebuilt, Error> {
    if arguments.keys.is_unsigned() {
        store.leave_unsigned();
        return Ok(store.rebuild(Vec::new(), Voucher::Caller)?);
    }
    let voucher = if arguments.replace { Voucher::Caller } else { Voucher::List };
    let signers = arguments.keys.signers(store)?;
    Ok(store.rebuild(signers, voucher)?)
}

fn tell_left((file, left): &(String, Left)) {
    output::say(&format!(
        "onlay: {} is not in it: {}",
        output::visible(file),
        output::visible(&with_causes(left))
    ));
}

/// An old list is as good as the last one, as far as the store itself can tell: a person may know better.
fn tell_age(rebuilt: &Rebuilt) {
    if let Some(at) = rebuilt.signed_at {
        let at = humantime::format_rfc3339_seconds(at).to_string();
        output::say(&format!(
            "onlay: these images are of the list that was signed at {}; if the store was changed after that, an old list was put back",
            at.replace('T', " ").replace('Z', " UTC")
        ));
    }
}

/// Where a store was to be believed for some days from each signature, that has to be said again.
fn tell_days(arguments: &Arguments, rebuilt: &Rebuilt) {
    if rebuilt.lost_days && !arguments.freshness.is_given() {
        output::say(&format!(
            "onlay: how its last day moves on is not known any more: '{} store sign --best-before DAYS {}' says it again",
            output::program(),
            output::path(&arguments.store)
        ));
    }
}
