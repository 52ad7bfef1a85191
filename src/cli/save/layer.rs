//! `onlay save --layer`: the packages that were tried in an overlay, in the host's next boot.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::{changes_of, over_base};
use crate::cli::arguments::Place;
use crate::cli::layer::backend;
use crate::cli::layer::carry_out::{Kind, Way, change, finish};
use crate::cli::layer::change::{given, names};
use crate::cli::output;
use crate::cli::report::Error;
use crate::host::Host;
use crate::layer::{self, Changed, Look, Manifest, Requests, Tried, Workshop, look};
use crate::overlay::changes::Change;
use crate::overlay::{Overlay, OverlayName, leave_out_copies, packages_of_view, view_alone};
use crate::pkgdb::Reasons;

/// In the workshop: copies of what package managers have noted.
const SCRATCH: &str = "noted";

/// How many paths are told.
const FEW: usize = 4;

/// What `--layer` takes besides.
#[derive(Debug, Args)]
pub(super) struct Layering {
    /// With --layer, the file of a package that no repository has; may be given several times
    #[arg(long, value_name = "FILE", requires = "layer", value_hint = ValueHint::FilePath)]
    package_file: Vec<PathBuf>,
    /// With --layer, leave out this package; may be given several times
    #[arg(long, value_name = "NAME", requires = "layer")]
    without: Vec<String>,
    /// With --layer, use what was downloaded before, and no network
    #[arg(long, requires = "layer")]
    cached: bool,
}

/// Asks for what was tried.
pub(super) fn save(
    place: &Place,
    overlay: &OverlayName,
    options: &Layering,
    (dry_run, json): (bool, bool),
) -> Result<ExitCode, Error> {
    let way = Way::plain(dry_run, options.cached, json);
    let mut tried = Tried::default();
    let changed = change(place, &way, Kind::Change, &format!("save {overlay} --layer"), |workshop| {
        tried = read(place, overlay, workshop)?;
        if tried.is_empty() {
            return Err(layer::Error::NothingTried { name: overlay.to_string() }.into());
        }
        Ok(tried.edit(&given(workshop, &options.package_file)?, &names(&options.without))?)
    })?;
    if !json {
        tell_left(overlay, &tried, dry_run)?;
        tell_versions(&tried, &changed);
    }
    finish(place, &way, &changed, &tried.left)
}

fn read(place: &Place, overlay: &OverlayName, workshop: &Workshop) -> Result<Tried, Error> {
    let (running, requests) = layers(place)?;
    over_base(place, overlay, |overlay, base, shown| {
        let scratch = workshop.empty(SCRATCH)?;
        let seen = |view: &_, host: &Host| -> Result<Tried, Error> {
            let changes: Vec<Change> = changes_of(overlay, host, shown)?;
            let packages = packages_of_view(view, host, &changes)?;
            let mut packages = packages.ok_or(layer::Error::NoManager)?;
            if shown.is_some() {
                leave_out_copies(&mut packages, overlay)?;
            }
            let reasons = Reasons::of(view, &scratch)?;
            let (changes, packages) = (&*changes, &packages);
            Ok(look(&Look { changes, packages, reasons: &reasons, running: &running, requests: &requests }))
        };
        let tried = tried_alone(overlay, base, place, seen);
        workshop.empty(SCRATCH)?;
        tried
    })
}

fn tried_alone(
    overlay: &Overlay,
    base: &Host,
    place: &Place,
    seen: impl FnOnce(&crate::sys::Root, &Host) -> Result<Tried, Error> + Send,
) -> Result<Tried, Error> {
    view_alone(overlay, base, &place.state, seen)?
}

/// What is layered in the deployment that an overlay lies over, and what is asked for in the one that is booted next.
fn layers(place: &Place) -> Result<(Manifest, Requests), Error> {
    let deployments = match backend(place) {
        // There, nothing is ever layered.
        Err(Error::Layer(layer::Error::OfImage { .. })) => return Ok(Default::default()),
        found => found?.deployments()?,
    };
    let next = deployments.iter().find(|deployment| deployment.is_next);
    let running = deployments.iter().find(|deployment| deployment.is_booted).or(next);
    let manifest = |found: Option<&layer::Deployment>| {
        found.and_then(|found| found.manifest.clone()).unwrap_or_default()
    };
    Ok((manifest(running), manifest(next).requests))
}

/// Says which files stay in the overlay.
fn tell_left(overlay: &OverlayName, tried: &Tried, is_all: bool) -> Result<(), Error> {
    if is_all {
        let rows: Vec<Vec<String>> =
            tried.left.iter().map(|path| vec!["not in".to_owned(), absolute(path)]).collect();
        return output::print(&output::table(&rows));
    }
    if !tried.left.is_empty() {
        let few: Vec<String> = tried.left.iter().take(FEW).map(|path| absolute(path)).collect();
        let more = tried.left.len().saturating_sub(FEW);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        output::say(&format!(
            "onlay: stays in '{overlay}' alone, unless packages make it anew: {}{more}",
            few.join(", ")
        ));
    }
    Ok(())
}

fn absolute(path: &Path) -> String {
    output::path(&Path::new("/").join(path))
}

/// Says which packages will be other versions than those that were tried.
fn tell_versions(tried: &Tried, changed: &Changed) {
    for package in &changed.manifest.packages {
        if let Some(known) = tried.versions.get(&package.name).filter(|known| **known != package.version) {
            output::say(&format!(
                "onlay: {} {known} was tried; what can be had now is {}",
                output::visible(&package.name),
                output::visible(&package.version)
            ));
        }
    }
}
