//! `onlay db export` and `onlay db import`.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;

use super::{Database, PATIENCE, Where};
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::pkgdb::{self, AnyDatabase, rpm};
use crate::sys::{Context, Root};

/// Write a database's packages into files, one for each
///
/// Each file is rpm's header with the eight bytes before it that 'rpmdb --importdb' wants;
/// files of the same name are the same in any two dumps. Of dpkg's database, it is the
/// package's stanza of 'status'.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(super) struct Export {
    /// The database, or a root that has one [default: the root of --root]
    #[arg(value_hint = ValueHint::AnyPath)]
    db: Option<PathBuf>,
    /// The directory for the files; it is made when missing, and must be empty
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Say what would be written, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Make a database of rpm's from files that 'export' or 'rpmdb --exportdb' wrote
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The directory with the files
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// The directory for the database, which must have none; it is made when missing
    #[arg(value_hint = ValueHint::DirPath)]
    db: PathBuf,
    /// How to store it: as Fedora and Debian do, or as SUSE does
    #[arg(long, value_enum, default_value = "sqlite")]
    backend: Backend,
    /// Say what would be made, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was written, or would be, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Made<'a> {
    /// How many it has.
    packages: usize,
    directory: output::JsonPath<'a>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Backend {
    Sqlite,
    Ndb,
}

impl From<Backend> for rpm::Backend {
    fn from(backend: Backend) -> rpm::Backend {
        match backend {
            Backend::Sqlite => rpm::Backend::Sqlite,
            Backend::Ndb => rpm::Backend::Ndb,
        }
    }
}

pub(super) fn export(place: &Where, arguments: &Export) -> Result<ExitCode, Error> {
    let database = Database { db: arguments.db.clone() }.find(place)?.open(PATIENCE)?;
    let target = &arguments.dir;
    if let Some(directory) = existing(target)?
        && !directory.is_empty()?
    {
        return Err(Error::NotEmpty(target.clone()));
    }
    let tell = |count, said: Said| said.tell(count, target, &files_in(count, target), arguments.json);
    if arguments.dry_run {
        return tell(count(&database)?, Said::Planned("write"));
    }
    let directory = made(target)?;
    let count = match &database {
        AnyDatabase::Rpm(database) => rpm::export(database, &directory)?,
        AnyDatabase::Dpkg(database) => pkgdb::dpkg::export(database, &directory)?,
    };
    tell(count, Said::Done("wrote"))
}

/// What is told of it, by its verb.
enum Said {
    Planned(&'static str),
    Done(&'static str),
}

impl Said {
    fn tell(self, packages: usize, directory: &Path, what: &str, json: bool) -> Result<ExitCode, Error> {
        match self {
            _ if json => output::print_json(&Made { packages, directory: directory.into() })?,
            Said::Planned(verb) => output::print(&format!("would {verb} {what}\n"))?,
            Said::Done(verb) => output::say(&format!("onlay: {verb} {what}")),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn count(database: &AnyDatabase) -> Result<usize, Error> {
    match database {
        AnyDatabase::Rpm(database) => Ok(database.identities()?.len()),
        AnyDatabase::Dpkg(database) => Ok(database.entries.len()),
    }
}

fn files_in(count: usize, directory: &Path) -> String {
    format!("{} into {}", counted(count, "file"), output::path(directory))
}

pub(super) fn import(arguments: &Import) -> Result<ExitCode, Error> {
    let dump = Root::open(&arguments.dir)?;
    let target = &arguments.db;
    if let Some(directory) = existing(target)? {
        refuse_database(&directory)?;
    }
    // All of it is read before anything is made.
    let count = rpm::look(&dump)?;
    if count == 0 {
        return Err(Error::NothingToImport(arguments.dir.clone()));
    }
    let what = format!("a database of {} in {}", counted(count, "package"), output::path(target));
    let tell = |said: Said| said.tell(count, target, &what, arguments.json);
    if arguments.dry_run {
        return tell(Said::Planned("make"));
    }
    let directory = made(target)?;
    rpm::import(&dump, arguments.backend.into(), &directory, PATIENCE)?.commit()?;
    tell(Said::Done("made"))
}

/// Another database in a directory would be read in place of the new one, or the new one in place of that.
pub(super) fn refuse_database(directory: &Root) -> Result<(), Error> {
    for name in ["rpmdb.sqlite", "Packages.db", "Packages"] {
        if directory.lstat(name)?.is_some() {
            return Err(Error::DatabaseExists(directory.join(name)));
        }
    }
    Ok(())
}

pub(super) fn existing(path: &Path) -> Result<Option<Root>, Error> {
    match Root::open(path) {
        Ok(root) => Ok(Some(root)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A directory, which is made when missing.
pub(super) fn made(path: &Path) -> Result<Root, Error> {
    if !fs::exists(path).context("examine", path)? {
        DirBuilder::new().mode(0o755).create(path).context("create directory", path)?;
    }
    Ok(Root::open(path)?)
}
