//! `onlay store list`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use crate::cli::output;
use crate::cli::report::Error;
use crate::store::{Entry, read};

/// List the images of a store
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// As JSON: the store's index
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let index = read(&arguments.store)?.index;
    if arguments.json {
        output::print_json(&index)?;
        return Ok(ExitCode::SUCCESS);
    }
    let head = ["NAME", "VERSION", "ARCHITECTURE", "FOR", "SIZE", "PACKAGES"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(index.images.iter().map(row)).collect();
    output::print(&output::table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(entry: &Entry) -> Vec<String> {
    let packages: Vec<&str> = entry.packages.iter().map(|package| package.name.as_str()).collect();
    let few = packages.iter().take(3).copied().collect::<Vec<_>>().join(" ");
    let more = packages.len().saturating_sub(3);
    vec![
        output::visible(&entry.name),
        output::visible(&entry.version),
        output::visible(entry.architecture.as_deref().unwrap_or("any")),
        output::visible(&entry.host()),
        output::size(entry.size),
        output::visible(&if more == 0 { few } else { format!("{few} and {more} more") }),
    ]
}
