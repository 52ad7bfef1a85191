//! `onlay ext refresh`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Place, told};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{self, HeldBack, Options, Report, Trouble, Way};

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
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` shows.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// How extensions were merged.
    way: Way,
    /// What is merged of ours.
    active: Vec<&'a str>,
    added: &'a [String],
    changed: &'a [String],
    removed: &'a [String],
    held_back: &'a [HeldBack],
    /// What there is to say of the package database.
    remarks: Vec<String>,
    /// What others have put there that systemd cannot open, and that is masked.
    masked: Vec<Masked<'a>>,
    done: &'a [String],
    failed: &'a [String],
}

/// One of those.
#[derive(Debug, Serialize)]
struct Masked<'a> {
    name: &'a str,
    path: String,
    why: &'a str,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if place.root != Path::new("/") {
        return Err(Error::RunningOnly("ext refresh"));
    }
    let Arguments { always, at_boot, dry_run, json } = *arguments;
    let report = activate::refresh(&place.state, Options { at_boot, always, dry_run })?;
    if json {
        output::print_json(&Told::of(&report))?;
    } else if dry_run {
        output::print(&told::would(&report))?;
    } else {
        told::report(&report);
        if at_boot {
            let names: Vec<&str> = report.active.iter().map(|active| &*active.name).collect();
            output::say(&format!("onlay: linked for systemd: {}", told::words(&names)));
        } else if report.way == Way::Unchanged {
            output::say("onlay: all is merged that is to be");
        }
    }
    // A boot does not fail for what is held back.
    let is_whole = at_boot || report.held.is_empty() && report.failed.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

impl<'a> Masked<'a> {
    fn of(trouble: &'a Trouble) -> Masked<'a> {
        let path = Path::new("/").join(&trouble.path).display().to_string();
        Masked { name: &trouble.name, path, why: &trouble.why }
    }
}

impl<'a> Told<'a> {
    fn of(report: &'a Report) -> Told<'a> {
        Told {
            way: report.way,
            active: report.active.iter().map(|active| &*active.name).collect(),
            added: &report.added,
            changed: &report.changed,
            removed: &report.removed,
            held_back: &report.held,
            remarks: report.remarks.iter().map(ToString::to_string).collect(),
            masked: report.troubles.iter().map(Masked::of).collect(),
            done: &report.done,
            failed: &report.failed,
        }
    }
}
