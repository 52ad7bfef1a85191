//! `onlay layer import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::carry_out::{Kind, Way, carry_out};
use super::change::{given, names};
use super::{Place, backend};
use crate::cli::output;
use crate::cli::report::Error;
use crate::layer::ostree::Origin;
use crate::layer::{self, Import};
use crate::sys::Context;

/// Ask for what rpm-ostree or atomic-pkglayer was asked for
///
/// Packages, removed and replaced packages of the base are put into the base by itself,
/// in one step. What cannot be taken over is listed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An origin of a deployment [default: that of the deployment that is booted next]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// The file of a package that came from one; may be given several times
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    package_file: Vec<PathBuf>,
    /// Leave out this package; may be given several times
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    #[command(flatten)]
    way: Way,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let import = match &arguments.file {
        Some(file) => read(file)?,
        None => backend(place)?.requests_of_others()?.ok_or_else(nothing)?,
    };
    // What is in a file of somebody else's does not make up for what this host has.
    let kind = if arguments.file.is_some() { Kind::Change } else { Kind::Import };
    carry_out(place, &arguments.way, kind, "import", |workshop| {
        let (mut edit, untaken) = import.edit(&given(workshop, &arguments.package_file)?);
        for name in names(&arguments.without) {
            if !(edit.add.remove(&name) | edit.override_remove.remove(&name)) {
                return Err(layer::Error::NotTried { names: vec![name] }.into());
            }
        }
        for words in untaken {
            output::say(&format!("onlay: not taken over: {words}"));
        }
        if import.files.iter().any(|_| arguments.package_file.is_empty()) {
            output::say("onlay: package files are kept nowhere: --package-file FILE gives one");
        }
        Ok(edit)
    })
}

fn read(file: &PathBuf) -> Result<Import, Error> {
    let text = std::fs::read_to_string(file).context("read", file)?;
    let origin =
        Origin::parse(&text).map_err(|error| Error::Words(format!("'{}': {error}", file.display())))?;
    if !origin.has_requests_of_others() {
        return Err(Error::Words(format!("'{}' has nothing that was asked for", file.display())));
    }
    Ok(Import::of(&origin))
}

fn nothing() -> Error {
    Error::Words("neither rpm-ostree nor atomic-pkglayer was asked for anything here".to_owned())
}
