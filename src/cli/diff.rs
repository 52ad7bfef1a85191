//! `onlay diff`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::Place;
use super::output::{self, JsonPath};
use super::report::Error;
use crate::host::Host;
use crate::overlay::changes::{Change, ChangeKind};
use crate::overlay::{self, OverlayName, Overlays, Presence, diff};
use crate::sys::FileKind;

/// List what an overlay changes: added, changed, metadata, removed, renamed
///
/// Files that were only opened or copied up unchanged do not count. Paths are printed
/// with control characters, backslashes and other than UTF-8 bytes escaped.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay [default: default]
    name: Option<OverlayName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    path: JsonPath<'a>,
    change: ChangeKind,
    file: FileKind,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<JsonPath<'a>>,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => "default".parse().expect("a good name"),
    };
    let changes = read(place, &name)?;
    if arguments.json {
        output::print_json(&changes.iter().map(row).collect::<Vec<_>>())?;
    } else if changes.is_empty() {
        output::say(&format!("onlay: '{name}' changes nothing"));
    } else {
        output::print(&listing(&changes))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(place: &Place, name: &OverlayName) -> Result<Vec<Change>, Error> {
    let not_found = || overlay::Error::NotFound { name: name.clone() };
    let found = Overlays::open(&place.state)?.ok_or_else(not_found).and_then(|overlays| overlays.get(name));
    match found {
        Ok(overlay) => Ok(diff(&overlay, &Host::open(&place.root)?)?),
        Err(error) => {
            let running = Presence::find_in(&place.state, name)?;
            match running.filter(|found| found.running.temporary) {
                Some(found) => Err(Error::InRam(found.name)),
                None => Err(error.into()),
            }
        }
    }
}

fn row(change: &Change) -> Row<'_> {
    Row {
        path: change.path.as_path().into(),
        change: change.kind,
        file: change.file,
        size: change.size,
        from: change.from.as_deref().map(JsonPath::from),
    }
}

/// One line for each change; directories end in a slash, as `ls -p` shows them.
fn listing(changes: &[Change]) -> String {
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|change| {
            let slash = if change.file == FileKind::Directory { "/" } else { "" };
            let path = output::path(&change.path);
            let place = match &change.from {
                Some(from) => format!("{} -> {path}{slash}", output::path(from)),
                None => format!("{path}{slash}"),
            };
            let has_size = change.file == FileKind::File
                && !matches!(change.kind, ChangeKind::Metadata | ChangeKind::Renamed);
            let size = if has_size { output::size(change.size) } else { String::new() };
            vec![word(change.kind).to_owned(), format!("{size:>7}"), place]
        })
        .collect();
    output::table(&rows)
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Metadata => "metadata",
        ChangeKind::Removed => "removed",
        ChangeKind::Renamed => "renamed",
    }
}
