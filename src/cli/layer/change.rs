//! `onlay layer add`, `remove`, `upgrade` and `override`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Place;
use super::carry_out::{Kind, Way, carry_out};
use crate::cli::report::Error;
use crate::layer::{Edit, GivenFiles, LocalFile, Requests, Workshop, local};

/// Add packages to the host's next boot
///
/// The package manager of the base decides what they need, and downloads it; scripts
/// run in a sandbox without network. The system that runs stays as it is.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Packages by name (NAME=VERSION with apt), or package files
    #[arg(value_name = "PACKAGE", required = true)]
    packages: Vec<String>,
    /// Take out this package in the same step; may be given several times
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// What is to be taken out need not be there
    #[arg(long)]
    if_needed: bool,
    #[command(flatten)]
    way: Way,
}

/// Take packages out of the host's next boot that were added
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Packages that were asked for
    #[arg(value_name = "NAME", required_unless_present = "all")]
    packages: Vec<String>,
    /// All that were asked for
    #[arg(long, conflicts_with = "packages")]
    all: bool,
    /// Add this package in the same step; may be given several times
    #[arg(long, value_name = "PACKAGE")]
    add: Vec<String>,
    /// What is to be taken out need not be there
    #[arg(long)]
    if_needed: bool,
    #[command(flatten)]
    way: Way,
}

/// Take the newest base and the newest packages, with all that was asked for
#[derive(Debug, Args)]
pub(super) struct Upgrade {
    /// Go on without this request, which stands in the way; may be given several times
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    /// What is to be dropped need not be there
    #[arg(long)]
    if_needed: bool,
    #[command(flatten)]
    way: Way,
}

/// Take packages of the base out of the host's next boot, or put others in their place
#[derive(Debug, Args)]
pub(super) struct Override {
    #[command(subcommand)]
    verb: OverrideVerb,
}

#[derive(Debug, Subcommand)]
enum OverrideVerb {
    /// Remove packages of the base
    Remove(OverrideNames),
    /// Put package files in the place of the base's packages of the same names
    Replace(OverrideNames),
    /// Have packages as the base has them
    Reset(OverrideNames),
}

#[derive(Debug, Args)]
struct OverrideNames {
    /// Packages by name; for 'replace', package files
    #[arg(value_name = "PACKAGE", required = true)]
    packages: Vec<String>,
    /// Add this package in the same step; may be given several times
    #[arg(long, value_name = "PACKAGE")]
    add: Vec<String>,
    /// Take out this package, which was added, in the same step; may be given several times
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// What is to be taken out, or reset, need not be there
    #[arg(long)]
    if_needed: bool,
    #[command(flatten)]
    way: Way,
}

pub(super) fn add(place: &Place, arguments: &Add) -> Result<ExitCode, Error> {
    carry_out(place, &arguments.way, Kind::Change, "add", |workshop| {
        let (add, add_files) = sorted(workshop, &arguments.packages)?;
        let (remove, if_needed) = (names(&arguments.remove), arguments.if_needed);
        Ok(Edit { add, add_files, remove, if_needed, ..Edit::default() })
    })
}

pub(super) fn remove(place: &Place, arguments: &Remove) -> Result<ExitCode, Error> {
    carry_out(place, &arguments.way, Kind::Change, "remove", |workshop| {
        let (add, add_files) = sorted(workshop, &arguments.add)?;
        let (remove, remove_all) = (names(&arguments.packages), arguments.all);
        let if_needed = arguments.if_needed;
        Ok(Edit { add, add_files, remove, remove_all, if_needed, ..Edit::default() })
    })
}

pub(super) fn upgrade(place: &Place, arguments: &Upgrade) -> Result<ExitCode, Error> {
    carry_out(place, &arguments.way, Kind::Upgrade, "upgrade", |_| {
        let (remove, if_needed) = (names(&arguments.drop), arguments.if_needed);
        Ok(Edit { remove, if_needed, ..Edit::default() })
    })
}

pub(super) fn overrides(place: &Place, arguments: &Override) -> Result<ExitCode, Error> {
    let (verb, words) = match &arguments.verb {
        OverrideVerb::Remove(words) => ("override remove", words),
        OverrideVerb::Replace(words) => ("override replace", words),
        OverrideVerb::Reset(words) => ("override reset", words),
    };
    carry_out(place, &words.way, Kind::Change, verb, |workshop| {
        let (add, add_files) = sorted(workshop, &words.add)?;
        let (remove, if_needed) = (names(&words.remove), words.if_needed);
        let edit = Edit { add, add_files, remove, if_needed, ..Edit::default() };
        let packages = names(&words.packages);
        Ok(match &arguments.verb {
            OverrideVerb::Remove(_) => Edit { override_remove: packages, ..edit },
            OverrideVerb::Reset(_) => Edit { override_reset: packages, ..edit },
            OverrideVerb::Replace(_) => {
                let files = words.packages.iter().map(|path| local::take(workshop, Path::new(path)));
                Edit { override_replace: files.collect::<Result<_, _>>()?, ..edit }
            }
        })
    })
}

/// Makes requests what they were before a change.
pub(super) fn set(place: &Place, way: &Way, requests: &Requests, words: &str) -> Result<ExitCode, Error> {
    carry_out(place, way, Kind::Change, words, |_| {
        Ok(Edit { set: Some(requests.clone()), ..Edit::default() })
    })
}

pub(in crate::cli) fn names(words: &[String]) -> BTreeSet<String> {
    words.iter().cloned().collect()
}

/// Names, and package files: what has a slash in it, or ends like one and is there.
fn sorted(
    workshop: &Workshop,
    words: &[String],
) -> Result<(BTreeSet<String>, BTreeMap<String, LocalFile>), Error> {
    let is_file = |word: &String| {
        let ends = Path::new(word).extension().is_some_and(|end| end == "deb" || end == "rpm");
        word.contains('/') || ends && Path::new(word).exists()
    };
    let (files, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| is_file(word));
    let files = files.into_iter().map(|path| local::take(workshop, Path::new(path)));
    Ok((names.into_iter().cloned().collect(), files.collect::<Result<_, _>>()?))
}

/// Package files that were given, by the names of their packages.
pub(in crate::cli) fn given(workshop: &Workshop, paths: &[PathBuf]) -> Result<GivenFiles, Error> {
    Ok(paths.iter().map(|path| local::take(workshop, path)).collect::<Result<_, _>>()?)
}
