//! `onlay diff`.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::Place;
use super::db;
use super::output::{self, JsonPath};
use super::report::Error;
use super::unlock::{refuse_other_root, unlocked};
use crate::extension::{with_base, with_stackable};
use crate::host::Host;
use crate::live::{self, Record};
use crate::overlay::changes::{Change, ChangeKind};
use crate::overlay::{
    self, Overlay, OverlayName, Overlays, Packages, Presence, Standing, Whose, diff, diff_itself,
    leave_out_copies, packages,
};
use crate::pkgdb::compare::Compared;
use crate::sys::{FileKind, with_causes};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay [default: default]
    name: Option<OverlayName>,
    /// What is changed on the host since it was unlocked, or would be by what is held back, instead of an overlay
    #[arg(long, conflicts_with = "name")]
    live: bool,
    /// List packages alone
    #[arg(long)]
    packages: bool,
    /// Print JSON: files, or with --packages packages
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
    /// A package that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
}

/// What an overlay changes.
struct Found {
    changes: Vec<Change>,
    /// `None` where the host has no database of packages.
    packages: Option<Packages>,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => "default".parse().expect("a good name"),
    };
    let found =
        if arguments.live { read_live(place)? } else { read_below(place, &name, arguments.packages)? };
    let what = if arguments.live { "what is unlocked".to_owned() } else { format!("'{name}'") };
    let packages = found.packages.as_ref().map(Packages::changes).unwrap_or_default();
    for (count, whose) in found.unreadable().into_iter().zip(["the host", "the overlay"]) {
        db::tell_unreadable(count, whose);
    }
    if arguments.json && arguments.packages {
        output::print_json(&packages.iter().map(db::Row::from).collect::<Vec<_>>())?;
    } else if arguments.json {
        output::print_json(&found.rows())?;
    } else if packages.is_empty() && (arguments.packages || found.changes.is_empty()) {
        let nothing = if arguments.packages { "no packages" } else { "nothing" };
        output::say(&format!("onlay: {what} changes {nothing}"));
    } else {
        output::print(&listing(&found, &packages, arguments.packages))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the host is unlocked, maybe with what this very overlay holds, it is compared with what lies below that.
fn read_below(place: &Place, name: &OverlayName, must_have_packages: bool) -> Result<Found, Error> {
    match unlocked(place) {
        Some(record) => live::below(&record, || read(place, name, must_have_packages))?,
        None => read(place, name, must_have_packages),
    }
}

fn read(place: &Place, name: &OverlayName, must_have_packages: bool) -> Result<Found, Error> {
    let not_found = || overlay::Error::NotFound { name: name.clone() };
    let found = Overlays::open(&place.state)?.ok_or_else(not_found).and_then(|overlays| overlays.get(name));
    match found {
        Ok(overlay) => {
            let host = Host::open(&place.root)?;
            with_stackable(&host, |host| look(place, &overlay, host, must_have_packages))?
        }
        Err(error) => {
            let running = Presence::find_in(&place.state, name)?;
            match running.filter(|found| found.running.temporary) {
                Some(found) => Err(Error::InRam(found.name)),
                None => Err(error.into()),
            }
        }
    }
}

fn read_live(place: &Place) -> Result<Found, Error> {
    refuse_other_root(place, "diff --live")?;
    let found = match Record::read()? {
        Some(record) => live::changes(&record)?,
        None => live::changes_held(&place.state)?,
    };
    let live::Changes { files: changes, packages, is_behind } = found;
    if is_behind {
        output::say(&format!("onlay: {}", wrong_way_round()));
    }
    Ok(Found { changes, packages })
}

/// What is said where what is held back is compared with another base than its own.
pub(super) fn wrong_way_round() -> String {
    format!(
        "the base has changed since it was unlocked: what an update brought is counted the wrong way round until \
         '{} unlock --resume'",
        output::program()
    )
}

/// Where other extensions are merged than when it was last entered, it is compared with the base without any.
fn look(place: &Place, overlay: &Overlay, host: &Host, must_have_packages: bool) -> Result<Found, Error> {
    let base = host.base();
    let standing = overlay::standing(overlay, host, &base)?;
    if standing == Standing::Behind && base.differs_by_extensions(&overlay.record.base) {
        return with_base(host, |bare| without_extensions(place, overlay, bare, must_have_packages))?;
    }
    let changes = diff(overlay, host)?;
    tell_behind(overlay, &standing);
    if !host.merged_extensions().is_empty() {
        let beside = |bare: &Host| beside_extensions(place, overlay, bare, &changes, must_have_packages);
        if let Some(found) = with_base(host, beside)?? {
            return Ok(found);
        }
    }
    let packages = packages_or_words(packages(overlay, host, &changes, &place.state), must_have_packages)?;
    Ok(Found { changes, packages })
}

/// What an overlay changes of a base that is shown without extensions, while others are merged than it knows.
fn without_extensions(
    place: &Place,
    overlay: &Overlay,
    bare: &Host,
    must_have_packages: bool,
) -> Result<Found, Error> {
    let changes = diff_itself(overlay, bare, None)?;
    if overlay.record.base.extensions.is_none() {
        tell_behind(overlay, &overlay::standing(overlay, bare, &bare.base())?);
    } else {
        output::say(&format!(
            "onlay: other extensions were merged when '{}' was last entered: it is compared with the base without any",
            overlay.name
        ));
    }
    let packages = packages_itself(place, overlay, bare, &changes, must_have_packages)?;
    Ok(Found { changes, packages })
}

/// What an overlay changes of a host with extensions, where that is more than `changes`, by which it differs from what is seen: what
/// it has itself as an extension has it, too.
fn beside_extensions(
    place: &Place,
    overlay: &Overlay,
    bare: &Host,
    changes: &[Change],
    must_have_packages: bool,
) -> Result<Option<Found>, Error> {
    let itself = diff_itself(overlay, bare, Some(changes))?;
    let known: HashSet<&Path> = changes.iter().map(|change| change.path.as_path()).collect();
    let mut all: Vec<Change> = itself.into_iter().filter(|change| !known.contains(&*change.path)).collect();
    if all.is_empty() {
        return Ok(None);
    }
    all.extend(changes.iter().cloned());
    all.sort_by(|one, other| one.path.cmp(&other.path));
    let packages = packages_itself(place, overlay, bare, &all, must_have_packages)?;
    Ok(Some(Found { changes: all, packages }))
}

/// The packages of an overlay beside those of the base without extensions.
fn packages_itself(
    place: &Place,
    overlay: &Overlay,
    bare: &Host,
    changes: &[Change],
    must_have_packages: bool,
) -> Result<Option<Packages>, Error> {
    let found = packages(overlay, bare, changes, &place.state);
    let mut found = packages_or_words(found, must_have_packages)?;
    if let Some(packages) = &mut found {
        leave_out_copies(packages, overlay)?;
    }
    Ok(found)
}

/// Files can be listed where packages cannot be read.
fn packages_or_words(
    found: Result<Option<Packages>, overlay::Error>,
    must_have_packages: bool,
) -> Result<Option<Packages>, Error> {
    match found {
        Err(error) if !must_have_packages => {
            output::say(&format!("onlay: packages are not told: {}", with_causes(&error)));
            Ok(None)
        }
        other => Ok(other?),
    }
}

fn tell_behind(overlay: &Overlay, standing: &Standing) {
    let happened = match standing {
        Standing::Behind => "the base has changed",
        Standing::Edited(_) => "files of the host were edited",
        Standing::Level | Standing::Touched => return,
    };
    let (onlay, name) = (output::program(), &overlay.name);
    output::say(&format!(
        "onlay: {happened} since '{name}' was last entered: what that brought is listed the wrong way round until \
         '{onlay} rebase {name}' or '{onlay} shell {name}'"
    ));
}

impl Found {
    /// Whose each change is, as far as that is known.
    fn whose(&self) -> impl Iterator<Item = (&Change, Option<&Whose>)> {
        let whose = self.packages.iter().flat_map(|packages| &packages.whose);
        self.changes.iter().zip(whose.map(Some).chain(std::iter::repeat(None)))
    }

    fn unreadable(&self) -> [usize; 2] {
        self.packages.as_ref().map(|packages| packages.unreadable).unwrap_or_default()
    }

    fn rows(&self) -> Vec<Row<'_>> {
        self.whose().map(|(change, whose)| row(change, whose)).collect()
    }
}

fn row<'a>(change: &'a Change, whose: Option<&'a Whose>) -> Row<'a> {
    Row {
        path: change.path.as_path().into(),
        change: change.kind,
        file: change.file,
        size: change.size,
        from: change.from.as_deref().map(JsonPath::from),
        package: match whose {
            Some(Whose::Package(name)) => Some(name),
            _ => None,
        },
    }
}

/// Packages, each line with the word first; then files.
fn listing(found: &Found, packages: &[Compared<'_>], packages_alone: bool) -> String {
    let packages = db::packages_table(packages);
    if packages_alone {
        return packages;
    }
    let lines: String = packages.lines().flat_map(|line| ["package ", line, "\n"]).collect();
    let gap = if lines.is_empty() || found.changes.is_empty() { "" } else { "\n" };
    lines + gap + &files(found)
}

/// One line for each change; directories end in a slash, as `ls -p` shows them.
fn files(found: &Found) -> String {
    let rows: Vec<Vec<String>> = found
        .whose()
        .map(|(change, whose)| {
            let slash = if change.file == FileKind::Directory { "/" } else { "" };
            let path = output::path(&change.path);
            let place = match &change.from {
                Some(from) => format!("{} -> {path}{slash}", output::path(from)),
                None => format!("{path}{slash}"),
            };
            let has_size = change.file == FileKind::File
                && !matches!(change.kind, ChangeKind::Metadata | ChangeKind::Renamed);
            let size = if has_size { output::size(change.size) } else { String::new() };
            let note = if whose == Some(&Whose::Nobody) { "  (no package)" } else { "" };
            vec![word(change.kind).to_owned(), format!("{size:>7}"), place + note]
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
