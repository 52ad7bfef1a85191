//! `onlay ext base`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::Place;
use crate::cli::db;
use crate::cli::output;
use crate::cli::report::Error;
use crate::extension::build;
use crate::extension::with_base;
use crate::host::Host;
use crate::sys::Context;

/// Write a file that stands for this host, to build extensions for it elsewhere
///
/// `onlay build --base FILE` then takes package files and directories, judges what it
/// builds as it would here, and needs neither the host nor root. In the file are the
/// names, modes and owners of what is in /usr and /opt, what libraries are called and
/// define, users, and the packages with their versions; no contents of files else. With
/// --root, it stands for another root.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the file goes
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let host = Host::open(&place.root)?;
    let path = std::path::absolute(&arguments.file).context("find", &arguments.file)?;
    // The base itself, and its packages, without what is merged over it now.
    let written = with_base(&host, |host| {
        let packages = build::packages_of(host, db::PATIENCE).map_err(|error| {
            // Nobody else may lock the database.
            if rustix::process::geteuid().is_root() { Error::from(error) } else { Error::NotRoot }
        })?;
        Ok::<_, Error>(build::describe(host, packages, &path)?)
    })??;
    output::print(&format!("{}\n", output::path(&written)))?;
    Ok(ExitCode::SUCCESS)
}
