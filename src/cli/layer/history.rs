//! `onlay layer history` and `undo`.

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;

use super::carry_out::Way;
use super::{Place, backend, backend_to_change, change};
use crate::cli::output;
use crate::cli::report::Error;
use crate::layer::{self, history};
use crate::sys::Root;

/// List what was done to the layers of this host
#[derive(Debug, Args)]
pub(super) struct History {
    /// What packages said while this one was made
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Ask for what was asked for before the last change
///
/// It is put into the base of today; 'onlay layer rollback' goes back to an older
/// deployment as it was.
#[derive(Debug, Args)]
pub(super) struct Undo {
    /// Before this change of 'onlay layer history' [default: the last]
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,
    #[command(flatten)]
    way: Way,
}

pub(super) fn history(place: &Place, arguments: &History) -> Result<ExitCode, Error> {
    let Some(layers) = layers(place)? else {
        if arguments.json {
            output::print("[]\n")?;
        } else {
            output::say("onlay: nothing was done to layers yet");
        }
        return Ok(ExitCode::SUCCESS);
    };
    let entries = history::of(&layers, &backend(place)?.system())?;
    if let Some(number) = arguments.number {
        if !entries.iter().any(|entry| entry.number == number) {
            return Err(Error::Words(format!("there is no change {number}")));
        }
        match history::words(&layers, number)? {
            Some(words) => output::print(&words)?,
            None => output::say(&format!("onlay: change {number} has installed nothing")),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.json {
        output::print_json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    for entry in &entries {
        let when = output::ago(UNIX_EPOCH + Duration::from_secs(entry.time));
        let what = if entry.packages.is_empty() {
            "no package changes".to_owned()
        } else {
            entry.packages.join(", ")
        };
        output::print(&format!("{}  {when}  {}  {what}\n", entry.number, entry.command))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn undo(place: &Place, arguments: &Undo) -> Result<ExitCode, Error> {
    let backend = backend_to_change(place)?;
    let entries = layers(place)?.map_or(Ok(Vec::new()), |layers| history::of(&layers, &backend.system()))?;
    let entry = match arguments.number {
        Some(number) => entries.iter().find(|entry| entry.number == number),
        None => entries.last(),
    };
    let entry = entry.ok_or_else(|| Error::Words("there is no such change to undo".to_owned()))?;
    change::set(place, &arguments.way, &entry.before, &format!("undo {}", entry.number))
}

/// The directory of layers, where there is one.
fn layers(place: &Place) -> Result<Option<Root>, Error> {
    match Root::open(place.state.join(layer::LAYERS)) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    }
}
