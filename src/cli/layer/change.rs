//! `onlay layer add`, `remove`, `upgrade` and `override`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Place, backend_to_change};
use crate::cli::messages::Messages;
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::layer::{
    self, BaseNote, Change, Changed, Edit, LocalFile, Planned, Requests, Until, Workshop, local,
};
use crate::tool::systemctl::Systemctl;

/// What `--unchanged-exit-77` exits with.
const UNCHANGED: u8 = 77;

/// Add packages to the host's next boot
///
/// The package manager of the base decides what they need, and downloads it; scripts
/// run in a sandbox without network. The system that runs stays as it is.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Packages by name (NAME=VERSION with apt), or package files
    #[arg(value_name = "PACKAGE", required = true)]
    packages: Vec<String>,
    /// Take out this package in the same step; may be given several times
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// Take packages out of the host's next boot that were added
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Packages that were asked for
    #[arg(value_name = "NAME", required_unless_present = "all")]
    packages: Vec<String>,
    /// All that were asked for
    #[arg(long, conflicts_with = "packages")]
    all: bool,
    /// Add this package in the same step; may be given several times
    #[arg(long, value_name = "PACKAGE")]
    add: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// Take the newest base and the newest packages, with all that was asked for
#[derive(Debug, Args)]
pub(super) struct Upgrade {
    /// Go on without this request, which stands in the way; may be given several times
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// Take packages of the base out of the host's next boot, or put others in their place
#[derive(Debug, Args)]
pub(super) struct Override {
    #[command(subcommand)]
    verb: OverrideVerb,
}

#[derive(Debug, Subcommand)]
enum OverrideVerb {
    /// Remove packages of the base
    Remove(OverrideNames),
    /// Put package files in the place of the base's packages of the same names
    Replace(OverrideNames),
    /// Have packages as the base has them
    Reset(OverrideNames),
}

#[derive(Debug, Args)]
struct OverrideNames {
    /// Packages by name; for 'replace', package files
    #[arg(value_name = "PACKAGE", required = true)]
    packages: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// How far, and how.
#[derive(Debug, Clone, Args)]
pub(super) struct Way {
    /// Say what would be done, and stop; what that takes is downloaded
    #[arg(long, visible_alias = "download-only")]
    dry_run: bool,
    /// Use what was downloaded before, and no network
    #[arg(long)]
    cached: bool,
    /// Exit with 77 where nothing was to be done
    #[arg(long)]
    unchanged_exit_77: bool,
    /// Reboot when it is done
    #[arg(long, conflicts_with = "dry_run")]
    reboot: bool,
    /// Give up where packages take longer than so many seconds to install
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` shows.
#[derive(Debug, Serialize)]
struct Told<'a> {
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    base: &'a BaseNote,
    requests: &'a Requests,
    inactive: &'a BTreeSet<String>,
    /// What is otherwise than in the deployment that this one comes after.
    differences: Vec<String>,
    left_out: Vec<String>,
}

pub(super) fn add(place: &Place, arguments: &Add) -> Result<ExitCode, Error> {
    carry_out(place, &arguments.way, false, "add", |workshop| {
        let (add, add_files) = sorted(workshop, &arguments.packages)?;
        Ok(Edit { add, add_files, remove: names(&arguments.remove), ..Edit::default() })
    })
}

pub(super) fn remove(place: &Place, arguments: &Remove) -> Result<ExitCode, Error> {
    carry_out(place, &arguments.way, false, "remove", |workshop| {
        let (add, add_files) = sorted(workshop, &arguments.add)?;
        let (remove, remove_all) = (names(&arguments.packages), arguments.all);
        Ok(Edit { add, add_files, remove, remove_all, ..Edit::default() })
    })
}

pub(super) fn upgrade(place: &Place, arguments: &Upgrade) -> Result<ExitCode, Error> {
    carry_out(place, &arguments.way, true, "upgrade", |_| {
        Ok(Edit { remove: names(&arguments.drop), ..Edit::default() })
    })
}

pub(super) fn overrides(place: &Place, arguments: &Override) -> Result<ExitCode, Error> {
    match &arguments.verb {
        OverrideVerb::Remove(words) => carry_out(place, &words.way, false, "override remove", |_| {
            Ok(Edit { override_remove: names(&words.packages), ..Edit::default() })
        }),
        OverrideVerb::Replace(words) => carry_out(place, &words.way, false, "override replace", |workshop| {
            let files = words.packages.iter().map(|path| local::take(workshop, Path::new(path)));
            Ok(Edit { override_replace: files.collect::<Result<_, _>>()?, ..Edit::default() })
        }),
        OverrideVerb::Reset(words) => carry_out(place, &words.way, false, "override reset", |_| {
            Ok(Edit { override_reset: names(&words.packages), ..Edit::default() })
        }),
    }
}

/// Makes requests what they were before a change.
pub(super) fn set(place: &Place, way: &Way, requests: &Requests, words: &str) -> Result<ExitCode, Error> {
    carry_out(place, way, false, words, |_| Ok(Edit { set: Some(requests.clone()), ..Edit::default() }))
}

fn carry_out(
    place: &Place,
    way: &Way,
    is_upgrade: bool,
    words: &str,
    edit: impl FnOnce(&Workshop) -> Result<Edit, Error>,
) -> Result<ExitCode, Error> {
    let backend = backend_to_change(place)?;
    let workshop = Workshop::open(&place.state, &mut Messages)?;
    let change = Change {
        edit: edit(&workshop)?,
        upgrade: is_upgrade,
        offline: way.cached,
        until: if way.dry_run { Until::Planned } else { Until::Deployed },
        patience: Some(Duration::from_secs(way.timeout)),
    };
    let changed = layer::change(&*backend, &workshop, &change)?;
    let words = format!("{words}{}", asked(&change.edit));
    if changed.id.is_some() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        layer::history::note(workshop.dir(), &words, now, &changed)?;
    }
    drop(workshop);
    if way.json {
        as_json(&changed)?;
    } else {
        tell(&changed);
    }
    if changed.id.is_some() && way.reboot {
        Systemctl::find().map_err(layer::Error::from)?.reboot().map_err(layer::Error::from)?;
    }
    let is_idle = !changed.is_needed && way.unchanged_exit_77;
    Ok(if is_idle { ExitCode::from(UNCHANGED) } else { ExitCode::SUCCESS })
}

/// What was asked for, as the command line has it.
fn asked(edit: &Edit) -> String {
    let plain = edit.add.iter().chain(edit.add_files.keys()).chain(&edit.override_remove);
    let plain = plain.chain(edit.override_replace.keys()).chain(&edit.override_reset);
    let taken = edit.remove.iter().map(|name| format!(" -{name}"));
    let all = edit.remove_all.then(|| " --all".to_owned());
    plain.map(|name| format!(" {name}")).chain(taken).chain(all).collect()
}

fn names(words: &[String]) -> BTreeSet<String> {
    words.iter().cloned().collect()
}

/// Names, and package files: what has a slash in it, or ends like one and is there.
fn sorted(
    workshop: &Workshop,
    words: &[String],
) -> Result<(BTreeSet<String>, BTreeMap<String, LocalFile>), Error> {
    let is_file = |word: &String| {
        let ends = Path::new(word).extension().is_some_and(|end| end == "deb" || end == "rpm");
        word.contains('/') || ends && Path::new(word).exists()
    };
    let (files, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| is_file(word));
    let files = files.into_iter().map(|path| local::take(workshop, Path::new(path)));
    Ok((names.into_iter().cloned().collect(), files.collect::<Result<_, _>>()?))
}

fn as_json(changed: &Changed) -> Result<(), Error> {
    output::print_json(&Told {
        changed: changed.is_needed,
        deployment: changed.id.as_deref(),
        base: &changed.base,
        requests: &changed.manifest.requests,
        inactive: &changed.manifest.inactive,
        differences: changed.differences(),
        left_out: changed.left_out.iter().map(|path| output::path(path)).collect(),
    })
}

fn tell(changed: &Changed) {
    if !changed.is_needed {
        output::say("onlay: nothing to do: the next boot has that already");
        return;
    }
    if changed.base != changed.from.base {
        let (old, new) = (changed.from.base.label(), changed.base.label());
        output::say(&format!("onlay: base {old} to {new}"));
    }
    for line in changed.differences() {
        output::say(&format!("onlay: {line}"));
    }
    let replaced: Vec<String> = changed.plan.installed().filter_map(replaced).collect();
    if !replaced.is_empty() {
        output::say(&format!("onlay: in the place of the base's: {}", replaced.join(", ")));
    }
    if !changed.manifest.inactive.is_empty() {
        let names: Vec<&str> = changed.manifest.inactive.iter().map(String::as_str).collect();
        output::say(&format!("onlay: the base has that by itself: {}", names.join(", ")));
    }
    if !changed.left_out.is_empty() {
        let few: Vec<String> = changed.left_out.iter().take(5).map(|path| output::path(path)).collect();
        output::say(&format!(
            "onlay: left out {}, since /var is the machine's own: {}",
            counted(changed.left_out.len(), "file"),
            few.join(", ")
        ));
    }
    let onlay = output::program();
    if changed.id.is_none() {
        output::say("onlay: nothing was changed");
    } else {
        output::say(&format!("onlay: the next boot has that; back to what runs: {onlay} layer rollback"));
    }
}

fn replaced(planned: &Planned) -> Option<String> {
    let old = planned.old.as_ref()?;
    Some(format!("{} {old} to {}", planned.name, planned.new.as_ref()?))
}
