//! `onlay layer status`, `rollback`, `diff`, `pin` and `cleanup`: deployments as a whole.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::carry_out::note;
use super::{Place, backend, backend_to_change, find};
use crate::cli::messages::Messages;
use crate::cli::output;
use crate::cli::report::Error;
use crate::layer::history::{self, Entry};
use crate::layer::{self, Backend, Deployment, Manifest, Requests, Workshop};

/// List deployments, the one that is booted next first
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Make the deployment before the one that is booted next the one that is booted next
///
/// What was asked for goes back with it: it is in the deployment.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// This one of 'onlay layer status'
    #[arg(value_name = "DEPLOYMENT")]
    id: Option<String>,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Say what layers differ in two deployments
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The one [default: that which runs]
    #[arg(value_name = "DEPLOYMENT")]
    from: Option<String>,
    /// The other [default: that which is booted next]
    #[arg(value_name = "DEPLOYMENT", requires = "from")]
    to: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Keep a deployment until it is unpinned
#[derive(Debug, Args)]
pub(super) struct Pin {
    /// The deployment of 'onlay layer status'
    #[arg(value_name = "DEPLOYMENT")]
    id: String,
    /// Keep it no longer
    #[arg(long)]
    unpin: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Remove what nobody needs: packages that were downloaded, and deployments that are named
#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// The deployment that is to be booted next, where it does not run
    #[arg(long)]
    pending: bool,
    /// The deployment that ran before
    #[arg(long)]
    rollback: bool,
    /// Only what was true until the last boot
    #[arg(long, hide = true, conflicts_with_all = ["pending", "rollback", "dry_run"])]
    at_boot: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

/// One deployment, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    base: layer::BaseNote,
    booted: bool,
    next: bool,
    staged: bool,
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Manifest>,
    /// Why nobody knows what is layered in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

pub(super) fn status(place: &Place, arguments: &Status) -> Result<ExitCode, Error> {
    let backend = backend(place)?;
    let deployments = backend.deployments()?;
    if arguments.json {
        let rows: Vec<Row> = deployments.into_iter().map(row).collect();
        output::print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    for deployment in &deployments {
        let mut states = Vec::new();
        for (is, word) in [
            (deployment.is_booted, "runs"),
            (deployment.is_next && !deployment.is_booted, "next"),
            (deployment.is_staged, "finished at shutdown"),
            (deployment.is_pinned, "pinned"),
        ] {
            if is {
                states.push(word);
            }
        }
        let version = deployment.base.version.as_deref().unwrap_or("-");
        output::print(&format!("{}  {version}  {}\n", short(&deployment.id), states.join(", ")))?;
        let lines = deployment.manifest.iter().flat_map(requests).chain(deployment.fault.clone());
        for line in lines {
            output::print(&format!("    {line}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn rollback(place: &Place, arguments: &Rollback) -> Result<ExitCode, Error> {
    let backend = backend_to_change(place)?;
    let deployments = backend.deployments()?;
    let target = match &arguments.id {
        Some(id) => find(&deployments, id)?,
        None => before_next(&deployments)?,
    };
    if target.is_next {
        output::say("onlay: that is what is booted next already");
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.dry_run {
        output::print(&format!("would boot {} next\n", short(&target.id)))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Whoever changes layers at the moment would go on from what is left here.
    let workshop = Workshop::open(&place.state, &mut Messages)?;
    let from = layer::next(&*backend)?;
    backend.make_next(&target.id)?;
    let words = format!("rollback {}", short(&target.id));
    let entry = Entry::between(&words, &from, &layer::next(&*backend)?);
    note(&*backend, &workshop, entry, "");
    let what = target.manifest.as_ref().map_or_else(Vec::new, requests);
    let what = if what.is_empty() { "no layers".to_owned() } else { what.join("; ") };
    output::say(&format!("onlay: {} is booted next, with {what}", short(&target.id)));
    Ok(ExitCode::SUCCESS)
}

/// What runs, where another one is next; else the one that comes after it.
fn before_next(deployments: &[Deployment]) -> Result<Deployment, Error> {
    let booted = deployments.iter().find(|deployment| deployment.is_booted && !deployment.is_next);
    let other =
        booted.or_else(|| deployments.iter().find(|deployment| !deployment.is_next && !deployment.is_booted));
    other.cloned().ok_or_else(|| layer::Error::NoDeployment { id: "before".to_owned() }.into())
}

pub(super) fn diff(place: &Place, arguments: &Diff) -> Result<ExitCode, Error> {
    let backend = backend(place)?;
    let deployments = backend.deployments()?;
    let from = match &arguments.from {
        Some(id) => find(&deployments, id)?,
        None => running(&*backend, &deployments)?,
    };
    let to = match &arguments.to {
        Some(id) => find(&deployments, id)?,
        None => layer::next(&*backend)?,
    };
    from.check()?;
    to.check()?;
    let lines = layer::differences(
        &from.manifest.clone().unwrap_or_default(),
        &to.manifest.clone().unwrap_or_default(),
    );
    if arguments.json {
        output::print_json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    if from.base != to.base {
        output::print(&format!("base {} to {}\n", from.base.label(), to.base.label()))?;
    }
    for line in &lines {
        output::print(&format!("{line}\n"))?;
    }
    if lines.is_empty() && from.base == to.base {
        output::say(&format!("onlay: {} and {} have the same", short(&from.id), short(&to.id)));
    }
    Ok(ExitCode::SUCCESS)
}

fn running(backend: &dyn Backend, deployments: &[Deployment]) -> Result<Deployment, Error> {
    match deployments.iter().find(|deployment| deployment.is_booted) {
        Some(deployment) => Ok(deployment.clone()),
        None => Ok(layer::next(backend)?),
    }
}

pub(super) fn pin(place: &Place, arguments: &Pin) -> Result<ExitCode, Error> {
    let backend = backend_to_change(place)?;
    let deployment = find(&backend.deployments()?, &arguments.id)?;
    if arguments.dry_run {
        let what = if arguments.unpin { "unpin" } else { "pin" };
        output::print(&format!("would {what} {}\n", short(&deployment.id)))?;
        return Ok(ExitCode::SUCCESS);
    }
    backend.pin(&deployment.id, !arguments.unpin)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn clean_up(place: &Place, arguments: &Cleanup) -> Result<ExitCode, Error> {
    let backend = backend_to_change(place)?;
    if arguments.at_boot {
        backend.recover()?;
        return Ok(ExitCode::SUCCESS);
    }
    let what = layer::Cleanup { pending: arguments.pending, rollback: arguments.rollback };
    if arguments.dry_run {
        for deployment in backend.deployments()?.iter().filter(|deployment| what.removes(deployment)) {
            output::print(&format!("would remove {}\n", short(&deployment.id)))?;
        }
        output::print("would remove what was downloaded, and what no deployment needs\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    // Whoever composes at the moment needs what would go.
    let workshop = Workshop::open(&place.state, &mut Messages)?;
    backend.clean_up(what)?;
    let deployments = backend.deployments()?;
    // What one was given whose requests nobody knows must not be taken for nobody's.
    deployments.iter().try_for_each(Deployment::check)?;
    let manifests = deployments.iter().filter_map(|deployment| deployment.manifest.as_ref());
    let wanted = manifests.flat_map(|manifest| manifest.requests.digests()).map(str::to_owned);
    // What other systems were given is kept here, too.
    let elsewhere = history::requests_elsewhere(workshop.dir(), &backend.system())?;
    let elsewhere = elsewhere.iter().flat_map(Requests::digests).map(str::to_owned);
    workshop.forget_downloads(&elsewhere.chain(wanted).collect())?;
    Ok(ExitCode::SUCCESS)
}

fn row(deployment: Deployment) -> Row {
    Row {
        id: deployment.id,
        base: deployment.base,
        booted: deployment.is_booted,
        next: deployment.is_next,
        staged: deployment.is_staged,
        pinned: deployment.is_pinned,
        layers: deployment.manifest,
        fault: deployment.fault,
    }
}

/// What is asked for, in lines.
fn requests(manifest: &Manifest) -> Vec<String> {
    let requests = &manifest.requests;
    let active = |name: &&String| !manifest.inactive.contains(*name);
    let names = |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let lists = [
        ("layered", requests.packages.iter().filter(active).collect::<Vec<_>>()),
        ("layered from files", requests.files.keys().filter(active).collect()),
        ("removed", requests.removed.iter().filter(active).collect()),
        ("replaced", requests.replaced.keys().filter(active).collect()),
        ("inactive", manifest.inactive.iter().collect()),
    ];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(what, list)| format!("{what}: {}", names(list))).collect()
}

/// As much of a name as a person compares: of `CHECKSUM.SERIAL` the beginning, and which of that commit it is.
fn short(id: &str) -> String {
    let (checksum, serial) = id.split_once('.').unwrap_or((id, "0"));
    let checksum = checksum.get(..12).unwrap_or(checksum);
    if serial == "0" { checksum.to_owned() } else { format!("{checksum}.{serial}") }
}
