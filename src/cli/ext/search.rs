//! `onlay ext search`, `info` and `list --available`: what stores have.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::stores::Opened;
use super::{Place, stores};
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::event::counted;
use crate::extension::activate::{Choice, Enabled, enabled};
use crate::extension::order;
use crate::host::Host;
use crate::store::client::{self, Candidate, Catalog, Chooser, Nothing, candidates};

/// So many packages are named in the table.
const FEW: usize = 4;

/// Search the stores for extensions
///
/// WORD is looked for in names of extensions and of the packages in them. Of each,
/// the newest version is shown that fits this host, or why none does.
#[derive(Debug, Args)]
pub(super) struct Search {
    /// What is looked for [default: all]
    word: Option<String>,
    /// Print only names, one on each line
    #[arg(long, conflicts_with = "json")]
    names: bool,
    #[command(flatten)]
    how: How,
}

/// Show what stores have of an extension: versions, hosts, packages
#[derive(Debug, Args)]
pub(super) struct Info {
    /// The extension, or one version of it
    #[arg(value_name = "NAME[=VERSION]")]
    extension: Choice,
    #[command(flatten)]
    how: How,
}

/// How stores are asked.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct How {
    /// Ask no store: tell what is known from before
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One image that can be had, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    version: String,
    store: String,
    file: String,
    /// Bytes; nothing where its store does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    /// Whether it fits; nothing where that is known once it was downloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The version that is enabled here.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<String>,
    packages: Vec<String>,
}

pub(super) fn search(place: &Place, arguments: &Search) -> Result<ExitCode, Error> {
    let config = stores::config(place)?;
    let opened = stores::open(&config, place, arguments.how.offline)?;
    let word = arguments.word.as_deref();
    if !arguments.names {
        return show(place, &opened, word, arguments.how.json);
    }
    for name in names(&opened.catalogs, word) {
        output::print(&format!("{}\n", output::visible(name)))?;
    }
    Ok(code(opened.has_failed))
}

/// All that stores have.
pub(super) fn all(place: &Place, json: bool) -> Result<ExitCode, Error> {
    let config = stores::config(place)?;
    show(place, &stores::open(&config, place, false)?, None, json)
}

fn show(place: &Place, opened: &Opened<'_>, word: Option<&str>, json: bool) -> Result<ExitCode, Error> {
    let catalogs = &opened.catalogs;
    let host = Host::open(&place.root)?;
    let enabled = enabled(&host.root)?;
    let names = names(catalogs, word);
    let rows = Chooser::with(&host, Vec::new(), |chooser| {
        names.iter().map(|name| best(chooser, catalogs, name, &enabled)).collect::<Result<Vec<_>, _>>()
    })?;
    tell(&rows.into_iter().flatten().collect::<Vec<_>>(), json, "nothing of that is in the stores")?;
    Ok(code(opened.has_failed))
}

fn code(has_failed: bool) -> ExitCode {
    if has_failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// Names of extensions that are taken of stores, and have a word in them or their packages.
fn names<'a>(catalogs: &'a [Catalog<'a>], word: Option<&str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for catalog in catalogs {
        let found = catalog.entries.iter().filter(|entry| word.is_none_or(|word| is_about(entry, word)));
        names.extend(found.filter(|entry| catalog.store.has(&entry.name)).map(|entry| entry.name.as_str()));
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn is_about(entry: &crate::store::Entry, word: &str) -> bool {
    entry.name.contains(word) || entry.packages.iter().any(|package| package.name.contains(word))
}

/// The newest that fits, or else the newest, with the reason why none does.
fn best(
    chooser: &Chooser<'_>,
    catalogs: &[Catalog<'_>],
    name: &str,
    enabled: &[Enabled],
) -> Result<Option<Row>, client::Error> {
    Ok(match chooser.choose(catalogs, name, None, false)? {
        Ok(found) => Some(Row::of(found, None, enabled)),
        Err(Nothing::Unfit { version, store, misfit, .. }) => {
            let is_it = |one: &Candidate<'_>| one.entry.version == version && one.catalog.store.name == store;
            let nearest = candidates(catalogs, name).into_iter().find(is_it);
            nearest.map(|found| Row::of(found, Some(misfit.to_string()), enabled))
        }
        Err(_) => None,
    })
}

pub(super) fn info(place: &Place, arguments: &Info) -> Result<ExitCode, Error> {
    let Choice { name, version } = &arguments.extension;
    let config = stores::config(place)?;
    let Opened { catalogs, has_failed, .. } = stores::open(&config, place, arguments.how.offline)?;
    let host = Host::open(&place.root)?;
    let enabled = enabled(&host.root)?;
    let is_meant = |one: &Candidate<'_>| version.as_ref().is_none_or(|version| one.entry.version == *version);
    let rows = Chooser::with(&host, Vec::new(), |chooser| {
        let row = |found: Candidate<'_>| {
            let misfit = chooser.misfit(found.entry)?;
            Ok(Row::of(found, misfit.map(|misfit| misfit.to_string()), &enabled))
        };
        candidates(&catalogs, name)
            .into_iter()
            .filter(is_meant)
            .map(row)
            .collect::<Result<Vec<_>, client::Error>>()
    })?;
    if rows.is_empty() {
        let others = candidates(&catalogs, name).into_iter().map(|one| one.entry.version.clone());
        let others: Vec<String> = others.collect();
        let (name, version) = (name.clone(), version.clone().unwrap_or_default());
        return Err(if others.is_empty() {
            Error::NotInStores(name)
        } else {
            Error::NotThatVersion { name, nothing: Box::new(Nothing::NoVersion { version, others }) }
        });
    }
    tell(&rows, arguments.how.json, "")?;
    Ok(code(has_failed))
}

impl Row {
    fn of(found: Candidate<'_>, why: Option<String>, links: &[Enabled]) -> Row {
        let Candidate { catalog, entry } = found;
        let link = links.iter().find(|link| link.name == entry.name);
        Row {
            name: entry.name.clone(),
            version: entry.version.clone(),
            store: catalog.store.name.clone(),
            file: entry.file.clone(),
            size: catalog.is_told.then_some(entry.size),
            sha256: entry.sha256.clone(),
            architecture: entry.architecture.clone(),
            fits: if why.is_some() { Some(false) } else { catalog.is_told.then_some(true) },
            why,
            enabled: link.map(Enabled::version),
            packages: entry
                .packages
                .iter()
                .map(|package| format!("{} {}", package.name, package.version))
                .collect(),
        }
    }

    fn here(&self) -> &'static str {
        match &self.enabled {
            None => "-",
            Some(version) if *version == self.version => "enabled",
            Some(version) if order::compare(version, &self.version).is_lt() => "older",
            Some(_) => "newer",
        }
    }
}

fn tell(rows: &[Row], json: bool, nothing: &str) -> Result<(), Error> {
    if json {
        return output::print_json(&rows);
    }
    if rows.is_empty() {
        output::say(&format!("onlay: {nothing}"));
        return Ok(());
    }
    let mut lines =
        vec![["NAME", "VERSION", "SIZE", "STORE", "HERE", "FIT", "PACKAGES"].map(str::to_owned).to_vec()];
    for row in rows {
        let packages = match row.packages.len() {
            0 => "-".to_owned(),
            many if many > FEW => counted(many, "package"),
            _ => row.packages.join(", "),
        };
        let fit = match row.fits {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let size = row.size.map_or_else(|| "-".to_owned(), output::size);
        let cells = [&row.name, &row.version, &size, &row.store, row.here(), fit, &packages];
        lines.push(cells.map(output::visible).to_vec());
    }
    let mut text = output::table(&lines);
    for row in rows {
        if let Some(why) = &row.why {
            text.push_str(&output::visible(&format!("{} {}: {why}", row.name, row.version)));
            text.push('\n');
        }
    }
    output::print(&text)
}
