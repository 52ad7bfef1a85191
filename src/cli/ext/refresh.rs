//! `onlay ext refresh`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::refreshed::Refreshed;
use super::{Place, told};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, Options};

/// Merge what is enabled and fits, and take off what is not
///
/// Where all is merged that is to be, nothing is done. Else the new extensions are put
/// beneath the old ones, which then go: there is no instant without their files.
/// On kernels before 6.5, systemd's own 'refresh' does it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Merge anew also where nothing has changed
    #[arg(long)]
    always: bool,
    /// Only choose what systemd merges later in the boot
    #[arg(long, hide = true, conflicts_with_all = ["always", "dry_run"])]
    at_boot: bool,
    /// Have systemd read the units of what it has merged at boot
    #[arg(long, hide = true, conflicts_with_all = ["always", "dry_run", "at_boot"])]
    merged_at_boot: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if place.root != Path::new("/") {
        return Err(Error::RunningOnly("ext refresh"));
    }
    let Arguments { always, at_boot, merged_at_boot, dry_run, json } = *arguments;
    if merged_at_boot {
        if activate::merged_at_boot()? {
            output::say("onlay: systemd has read its units again");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = activate::refresh(&place.state, Options { at_boot, always, dry_run })?;
    if json {
        output::print_json(&Refreshed::of(&report))?;
    } else if dry_run {
        output::print(&told::would(&report))?;
    } else {
        told::report(&report, &[]);
        if at_boot {
            let names: Vec<&str> = report.active.iter().map(|active| &*active.name).collect();
            output::say(&format!("onlay: linked for systemd: {}", told::words(&names)));
        } else {
            told::all(&report);
        }
    }
    // A boot does not fail for what is held back.
    let is_whole = at_boot || report.held.is_empty() && report.failed.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
