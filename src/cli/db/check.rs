//! `onlay db check`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Database, PATIENCE, Where};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::pkgdb::{AnyDatabase, Place, dpkg, rpm};

/// Find what is wrong with a database
///
/// All of it is told. Exits with 0 where nothing is wrong, with 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: Database,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One thing that is wrong, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    /// Of which kind.
    kind: &'static str,
    /// In words.
    text: String,
    /// The package that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    /// rpm's number of the header that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
}

pub(super) fn run(place: &Where, arguments: &Arguments) -> Result<ExitCode, Error> {
    let found = arguments.database.find(place)?;
    let rows = findings(&found)?;
    if arguments.json {
        output::print_json(&rows)?;
    } else if rows.is_empty() {
        output::say(&format!("onlay: nothing is wrong with '{}'", found.path().display()));
    } else {
        let lines = rows.iter().map(|row| output::visible(&row.text) + "\n");
        output::print(&lines.collect::<String>())?;
        if rows.iter().any(|row| row.kind.ends_with("-row")) {
            output::say("hint: 'rpmdb --rebuilddb' makes the tables anew from the headers");
        }
    }
    Ok(if rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn findings(place: &Place) -> Result<Vec<Row>, Error> {
    if let Place::Dpkg { root, directory } = place {
        return Ok(dpkg::check(root, directory)?.iter().map(row_of_dpkg).collect());
    }
    match place.open(PATIENCE)? {
        AnyDatabase::Rpm(database) => Ok(rpm::check(&database)?.iter().map(row_of_rpm).collect()),
        AnyDatabase::Dpkg(_) => Ok(Vec::new()),
    }
}

fn row_of_dpkg(finding: &dpkg::Finding) -> Row {
    let kind = match finding {
        dpkg::Finding::Interrupted(_) => "interrupted",
        dpkg::Finding::Unreadable { .. } => "unreadable",
        dpkg::Finding::Repeated { .. } => "repeated",
        dpkg::Finding::Duplicate { .. } => "duplicate",
        dpkg::Finding::MissingList { .. } => "missing-list",
        dpkg::Finding::Unfinished { .. } => "unfinished",
    };
    Row { kind, text: finding.to_string(), package: finding.package().map(str::to_owned), number: None }
}

fn row_of_rpm(finding: &rpm::Finding) -> Row {
    let (kind, package, number) = match finding {
        rpm::Finding::Structure(_) => ("structure", None, None),
        rpm::Finding::Unreadable { number, .. } => ("unreadable", None, Some(number.0.into())),
        rpm::Finding::Altered { number, name } => ("altered", Some(name), Some(number.0.into())),
        rpm::Finding::MissingRow(place) => ("missing-row", None, Some(place.number)),
        rpm::Finding::SuperfluousRow(place) => ("superfluous-row", None, Some(place.number)),
        rpm::Finding::Duplicate { name, .. } => ("duplicate", Some(name), None),
    };
    Row { kind, text: finding.to_string(), package: package.cloned(), number }
}
