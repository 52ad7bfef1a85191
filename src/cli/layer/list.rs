//! `onlay layer list`.

use std::process::ExitCode;

use clap::Args;

use super::{Place, backend};
use crate::cli::output;
use crate::cli::report::Error;
use crate::layer;

/// List what was asked for, and what came with it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let next = layer::next(&*backend(place)?)?;
    next.check()?;
    let manifest = next.manifest.unwrap_or_default();
    if arguments.json {
        output::print_json(&manifest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for package in &manifest.packages {
        let why = if package.is_requested { "asked for" } else { "needed" };
        let instead =
            package.instead_of.as_ref().map(|old| format!(", instead of {old}")).unwrap_or_default();
        text.push_str(&format!("{}  {}  {why}{instead}\n", package.name, package.version));
    }
    for name in &manifest.without {
        text.push_str(&format!("{name}  -  removed from the base\n"));
    }
    for name in &manifest.inactive {
        let is_removed = manifest.requests.removed.contains(name);
        let what = if is_removed {
            "not wanted; the base lacks it by itself"
        } else {
            "asked for; the base has it by itself"
        };
        text.push_str(&format!("{name}  -  {what}\n"));
    }
    if text.is_empty() {
        output::say("onlay: nothing is layered");
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
