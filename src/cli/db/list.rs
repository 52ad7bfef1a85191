//! `onlay db list`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Database, PATIENCE, Where, short};
use crate::cli::output;
use crate::cli::report::Error;
use crate::package::Identity;
use crate::pkgdb::dpkg::{self, State};
use crate::pkgdb::rpm::Installed;
use crate::pkgdb::{AnyDatabase, Package};

/// List the packages of a database
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: Database,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One package, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    identity: String,
    /// rpm's number of the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// dpkg's Status field.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// Whether apt installed it for others' sake.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_installed: Option<bool>,
    /// Why rpm's header cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip)]
    short: String,
}

pub(super) fn run(place: &Where, arguments: &Arguments) -> Result<ExitCode, Error> {
    let found = arguments.database.find(place)?;
    let mut rows = match found.open(PATIENCE)? {
        AnyDatabase::Rpm(database) => database.packages()?.into_iter().map(row_of_rpm).collect::<Vec<_>>(),
        AnyDatabase::Dpkg(database) => rows_of_dpkg(&database),
    };
    let text = |version: &Option<String>| version.clone().unwrap_or_default();
    rows.sort_by(|one, other| {
        (&one.name, &one.arch)
            .cmp(&(&other.name, &other.arch))
            .then_with(|| found.versions().compare(&text(&one.version), &text(&other.version)))
    });
    if arguments.json {
        output::print_json(&rows)?;
    } else if rows.is_empty() {
        output::say("onlay: no packages");
    } else {
        output::print(&table(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(identity: Identity, package: Option<Package>) -> Row {
    let (name, arch, version) = match package {
        Some(package) => (Some(package.name), Some(package.arch), Some(package.version)),
        None => (None, None, None),
    };
    Row {
        name,
        arch,
        version,
        identity: identity.to_string(),
        number: None,
        status: None,
        auto_installed: None,
        problem: None,
        short: short(identity),
    }
}

fn row_of_rpm(installed: Installed) -> Row {
    let stored = installed.stored;
    let number = Some(stored.number.0);
    match installed.package {
        Ok(package) => Row { number, ..row(stored.identity, Some(package)) },
        Err(why) => Row { number, problem: Some(why.to_string()), ..row(stored.identity, None) },
    }
}

/// All of which anything is left, as `dpkg-query --show` lists them.
fn rows_of_dpkg(database: &dpkg::Database) -> Vec<Row> {
    let entries = database.entries.values().filter(|entry| entry.status.state > State::NotInstalled);
    let row = |entry: &dpkg::Entry| Row {
        status: Some(entry.status.to_string()),
        auto_installed: Some(database.is_auto_installed(&entry.key)),
        ..row(entry.identity, Some(entry.package()))
    };
    entries.map(row).collect()
}

fn table(rows: &[Row]) -> String {
    let head = ["NAME", "ARCH", "VERSION", "IDENTITY", "STATE"].map(str::to_owned).to_vec();
    let is_dpkg = rows.iter().any(|row| row.status.is_some());
    let cells = rows.iter().map(|row| {
        let text = |value: &Option<String>| value.as_deref().map(output::visible).unwrap_or_default();
        let mut cells = vec![text(&row.name), text(&row.arch), text(&row.version), row.short.clone()];
        cells.extend(row.status.as_ref().map(|status| state(status, row.auto_installed)));
        cells.extend(row.problem.as_ref().map(|problem| format!("header cannot be read: {problem}")));
        cells
    });
    let head = if is_dpkg { head } else { head[..4].to_vec() };
    output::table(&std::iter::once(head).chain(cells).collect::<Vec<_>>())
}

/// dpkg's words, and whether the package is there for others' sake.
fn state(status: &str, auto_installed: Option<bool>) -> String {
    if auto_installed == Some(true) { format!("{status}, auto") } else { status.to_owned() }
}
