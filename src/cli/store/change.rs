//! What changes a store.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::keys::KeyOptions;
use crate::cli::output;
use crate::cli::report::Error;
use crate::store::{Added, BestBefore, Store};

/// Make an empty directory a store
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The directory; it is made where it is missing
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    freshness: Freshness,
}

/// Until when a store is to be believed.
#[derive(Debug, Args)]
pub(super) struct Freshness {
    /// Until when clients are to believe the store: a day (YYYY-MM-DD), a
    /// number of days from each time that it is signed, or 'none'
    #[arg(long, value_name = "DAY|DAYS", value_parser = str::parse::<BestBefore>)]
    best_before: Option<BestBefore>,
}

impl Freshness {
    pub(super) fn is_given(&self) -> bool {
        self.best_before.is_some()
    }

    pub(super) fn apply(&self, store: &mut Store) {
        if let Some(best_before) = &self.best_before {
            store.set_best_before(best_before);
        }
    }
}

pub(super) fn init(arguments: &InitArguments) -> Result<ExitCode, Error> {
    let mut store = Store::init(&arguments.store)?;
    arguments.keys.apply(&mut store)?;
    arguments.freshness.apply(&mut store);
    let is_signed = !store.index().keys.is_empty();
    store.finish()?;
    output::say(&format!("onlay: made the store {}", output::path(&arguments.store)));
    if !is_signed && !arguments.keys.is_unsigned() {
        output::say(&format!(
            "onlay: nobody signs it: '{} store sign --key FILE {}' lets a key do so",
            output::program(),
            output::path(&arguments.store)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Add images to a store, with their manifests
///
/// What a manifest does not say is found in the image: which hosts it is for,
/// which libraries it needs. An image that systemd would merge nowhere is
/// refused, and one of whose name the store has another. All images are added,
/// or none. Beside each is a list of its blocks, and patches that make it of
/// older versions, so that an update need not download all of it.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// The images
    #[arg(required = true, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    images: Vec<PathBuf>,
    /// Make patches of so many older versions of each image, where they save
    /// something
    #[arg(long, value_name = "N", default_value_t = 2)]
    patches: usize,
    /// Say what would be added, and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    freshness: Freshness,
}

pub(super) fn add(arguments: &AddArguments) -> Result<ExitCode, Error> {
    let patches = if arguments.dry_run { 0 } else { arguments.patches };
    let mut store = Store::open(&arguments.store)?.with_patches(patches);
    if !arguments.dry_run {
        arguments.keys.apply(&mut store)?;
        arguments.freshness.apply(&mut store);
    }
    let added = arguments.images.iter().map(|image| store.add(image)).collect::<Result<Vec<_>, _>>()?;
    if arguments.dry_run {
        let files = added.iter().filter(|added| !added.is_there).map(|added| &added.file);
        return would("add", files);
    }
    store.finish()?;
    added.iter().for_each(tell);
    Ok(ExitCode::SUCCESS)
}

fn tell(added: &Added) {
    let file = output::visible(&added.file);
    if added.is_there {
        output::say(&format!("onlay: {file} is there already"));
    } else {
        output::say(&format!("onlay: added {file}"));
    }
    if let Some(mismatch) = &added.not_by_the_oldest {
        output::say(&format!("onlay: {file} is not for hosts with systemd 252: {mismatch}"));
    }
    if added.is_unseen {
        output::say(&format!(
            "onlay: {file} is not seen by systemd-sysupdate before 258, which knows no '~' and no '^' in versions"
        ));
    }
}

/// Remove images from a store
#[derive(Debug, Args)]
pub(super) struct RemoveArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Which: all versions of NAME, one version of it, or a file
    #[arg(required = true, value_name = "NAME[=VERSION]|FILE")]
    images: Vec<String>,
    /// Say what would be removed, and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

pub(super) fn remove(arguments: &RemoveArguments) -> Result<ExitCode, Error> {
    let mut store = Store::open(&arguments.store)?;
    let mut gone = Vec::new();
    for word in &arguments.images {
        gone.extend(store.remove(word)?);
    }
    finish(store, &gone, arguments.dry_run, &arguments.keys)
}

/// Remove old versions from a store
#[derive(Debug, Args)]
pub(super) struct PruneArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// How many versions of each extension stay, for each architecture and kind of host
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    /// Say what would be removed, and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

pub(super) fn prune(arguments: &PruneArguments) -> Result<ExitCode, Error> {
    let mut store = Store::open(&arguments.store)?;
    let gone = store.prune(usize::try_from(arguments.keep).unwrap_or(usize::MAX));
    finish(store, &gone, arguments.dry_run, &arguments.keys)
}

fn finish(mut store: Store, gone: &[String], is_dry: bool, keys: &KeyOptions) -> Result<ExitCode, Error> {
    if is_dry {
        return would("remove", gone);
    }
    keys.apply(&mut store)?;
    store.finish()?;
    for file in gone {
        output::say(&format!("onlay: removed {}", output::visible(file)));
    }
    if gone.is_empty() {
        output::say("onlay: there is nothing to remove");
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what would be done.
fn would<'a>(verb: &str, files: impl IntoIterator<Item = &'a String>) -> Result<ExitCode, Error> {
    for file in files {
        output::print(&format!("would {verb} {}\n", output::visible(file)))?;
    }
    Ok(ExitCode::SUCCESS)
}
