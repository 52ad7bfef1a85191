//! `onlay store verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::store::{Report, verify};

/// Look whether a store is what it says, also one that others made
///
/// All files are read: their digests, whether images can be looked into and
/// would be merged, and whether the index says of them what they are. Exit
/// status 1 where something is wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was found, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Verified {
    images: usize,
    bytes: u64,
    has_index: bool,
    flaws: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let Report { images, bytes, has_index, flaws } = verify(&arguments.store)?;
    let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    let verified = Verified { images, bytes, has_index, flaws };
    if arguments.json {
        output::print_json(&verified)?;
    } else {
        let mut text: String = verified.flaws.iter().map(|flaw| output::visible(flaw) + "\n").collect();
        if verified.flaws.is_empty() {
            let index = if has_index { "" } else { "; it has no index" };
            text = format!(
                "{}, {}: all is as it is listed{index}\n",
                counted(images as u64, "image"),
                output::size(bytes)
            );
        }
        output::print(&text)?;
    }
    Ok(if verified.flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
