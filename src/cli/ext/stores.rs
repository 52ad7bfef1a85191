//! What verbs that use stores have in common, and `onlay ext stores`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Place;
use super::progress::waiting;
use crate::cli::arguments::DEFAULT_STATE;
use crate::cli::output;
use crate::cli::report::{Error, FAILED};
use crate::event::counted;
use crate::store::client::{self, Catalog, Config, Freshness, Signature, catalogs};
use crate::sys::{Root, with_causes};

/// List the stores that are configured, and whether they can be used
///
/// They stand in /etc/onlay/onlay.toml and in drop-ins, see onlay.toml(5). Each is
/// asked for what it has. Exits with 1 where one of them cannot be used or asked.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Ask no store: tell what is known from before
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One store, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    /// Where it is, and its mirrors.
    addresses: Vec<String>,
    priority: u32,
    signature: Signature,
    /// Whether it is used.
    enabled: bool,
    /// The extensions that it has; nothing where it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<usize>,
    /// By whose key it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<&'a str>,
    /// The last day on which what it lists is believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    best_before: Option<&'a str>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let config = read(place)?;
    if config.stores.is_empty() && config.disabled.is_empty() {
        return Err(none(place));
    }
    let (catalogs, failed) = ask(&config, place, arguments.offline)?;
    let rows = config.stores.iter().map(|store| row(store, &catalogs, &failed));
    let disabled = config.disabled.iter().map(|store| Row { enabled: false, ..row(store, &[], &[]) });
    let rows: Vec<Row<'_>> = rows.chain(disabled).collect();
    if arguments.json {
        output::print_json(&rows)?;
    } else {
        output::print(&table(&rows))?;
    }
    let is_wrong = !failed.is_empty() || catalogs.iter().any(is_stale);
    Ok(if is_wrong { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn row<'a>(store: &'a client::Configured, catalogs: &'a [Catalog<'a>], failed: &[client::Error]) -> Row<'a> {
    let catalog = catalogs.iter().find(|catalog| catalog.store.name == store.name);
    let problem = failed.iter().find_map(|error| match error {
        client::Error::Store { store: name, problem } if *name == store.name => Some(with_causes(&**problem)),
        _ => None,
    });
    let old = catalog.and_then(|catalog| match &catalog.freshness {
        Freshness::Kept { why } => why.clone(),
        _ => None,
    });
    Row {
        name: &store.name,
        addresses: store.addresses.iter().map(ToString::to_string).collect(),
        priority: store.priority,
        signature: store.signature,
        enabled: true,
        images: catalog.map(|catalog| catalog.entries.len()),
        signer: catalog.and_then(|catalog| catalog.signer.as_deref()),
        best_before: catalog.and_then(|catalog| catalog.best_before.as_deref()),
        problem: problem.or(old),
    }
}

fn table(rows: &[Row<'_>]) -> String {
    let mut lines = vec![["NAME", "PRIORITY", "SIGNED BY", "HAS", "ADDRESS"].map(str::to_owned).to_vec()];
    for row in rows {
        let signed = match (row.signer, row.signature) {
            (Some(signer), _) => signer.to_owned(),
            (None, Signature::None) => "(not checked)".to_owned(),
            (None, Signature::Required) => "-".to_owned(),
        };
        lines.push(vec![
            row.name.to_owned(),
            row.priority.to_string(),
            signed,
            match row.images {
                _ if !row.enabled => "(disabled)".to_owned(),
                Some(images) => counted(images as u64, "image"),
                None => "-".to_owned(),
            },
            output::visible(&row.addresses.join(" ")),
        ]);
    }
    let mut text = output::table(&lines);
    for row in rows {
        if let Some(problem) = &row.problem {
            text.push_str(&output::visible(&format!("{}: {problem}", row.name)));
            text.push('\n');
        }
    }
    text
}

/// What is configured.
fn read(place: &Place) -> Result<Config, Error> {
    let config = Config::read(&Root::open(&place.root)?)?;
    for remark in &config.remarks {
        output::complain(&format!("onlay: {remark}"));
    }
    Ok(config)
}

fn none(place: &Place) -> Error {
    client::Error::NoStores(place.root.join("etc/onlay/onlay.toml")).into()
}

/// What is configured; refuses where no store is to be used.
pub(super) fn config(place: &Place) -> Result<Config, Error> {
    let config = read(place)?;
    if config.stores.is_empty() {
        return Err(none(place));
    }
    Ok(config)
}

/// Where what stores list is kept: who may not write the host's state keeps it where programs of his own keep such things
/// (XDG Base Directory Specification).
fn kept(place: &Place) -> Result<PathBuf, Error> {
    if rustix::process::geteuid().is_root() || place.state != Path::new(DEFAULT_STATE) {
        return Ok(place.state.clone());
    }
    let directory = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
    cache.map(|cache| cache.join("onlay")).ok_or(Error::NotRoot)
}

/// What stores have.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    /// Of those that can be used.
    pub(super) catalogs: Vec<Catalog<'a>>,
    /// Whether some cannot be.
    pub(super) has_failed: bool,
    /// Whether some could not be asked, and are as they were the last time.
    pub(super) is_stale: bool,
}

fn ask<'a>(
    config: &'a Config,
    place: &Place,
    offline: bool,
) -> Result<(Vec<Catalog<'a>>, Vec<client::Error>), Error> {
    let (root, state) = (Root::open(&place.root)?, kept(place)?);
    let names: Vec<String> = config.stores.iter().map(|store| format!("'{}'", store.name)).collect();
    let what = format!("onlay: waiting for {} to answer", names.join(", "));
    Ok(waiting(&what, || catalogs(config, &root, &state, offline))?)
}

/// What stores have. Refuses where none can be used.
pub(super) fn open<'a>(config: &'a Config, place: &Place, offline: bool) -> Result<Opened<'a>, Error> {
    let (found, mut failed) = ask(config, place, offline)?;
    for catalog in &found {
        let name = &catalog.store.name;
        if catalog.store.signature == Signature::None {
            output::complain(&format!(
                "onlay: store '{name}' is believed without a signature (signature = \"none\"): whoever can answer in its place can install anything"
            ));
        }
        if let Freshness::Kept { why: Some(why) } = &catalog.freshness {
            output::complain(&format!("onlay: store '{name}' is as it was the last time: {why}"));
        }
    }
    if found.is_empty() && failed.len() == 1 {
        return Err(failed.remove(0).into());
    }
    for error in &failed {
        output::complain(&format!("onlay: {}", with_causes(error)));
    }
    if found.is_empty() {
        return Err(Error::NoStore);
    }
    let is_stale = found.iter().any(is_stale);
    Ok(Opened { catalogs: found, has_failed: !failed.is_empty(), is_stale })
}

fn is_stale(catalog: &Catalog<'_>) -> bool {
    matches!(catalog.freshness, Freshness::Kept { why: Some(_) })
}
