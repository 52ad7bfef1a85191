//! `onlay rebase`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::Error;
use crate::overlay::{Finding, Mode, Of, OverlayName, When, Wishes};
use crate::pkgdb::merge::Side;
use crate::shell::{self, Followed, Request};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay [default: default]
    name: Option<OverlayName>,
    /// Where both changed a package, have the overlay's: of all, or of these (--ours=gdb,strace)
    #[arg(long, value_name = "PACKAGE", num_args = 0.., require_equals = true, value_delimiter = ',')]
    ours: Option<Vec<String>>,
    /// Where both changed a package, have the base's: of all, or of these (--theirs=gdb,strace)
    #[arg(long, value_name = "PACKAGE", num_args = 0.., require_equals = true, value_delimiter = ',')]
    theirs: Option<Vec<String>>,
    /// Say what would be changed, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was changed, or would be, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    overlay: &'a str,
    /// Whether the base is another one than the overlay knew.
    changed: bool,
    /// How many names of the overlay's are others then.
    names: usize,
    packages: Vec<PackageRow<'a>>,
    findings: Vec<FindingRow<'a>>,
    /// What is wrong with packages then that was not before, in words.
    broken: &'a [String],
    /// What mends that, inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// What becomes of a package on which both sides had a say.
#[derive(Debug, Serialize)]
struct PackageRow<'a> {
    text: &'a str,
    /// What could be asked for instead, as an option.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<&'a str>,
}

/// What a person should know of a file, or of the lists of users.
#[derive(Debug, Serialize)]
struct FindingRow<'a> {
    /// `kept-over`, `kept-alone`, `kept-away`, `offered`, `saved`, `missing`, `misplaced`, `left-behind` or `accounts`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<output::JsonPath<'a>>,
    /// The name of the other side's file is the path with this at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
    text: String,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let name = arguments.name.clone().unwrap_or_else(|| "default".parse().expect("a good name"));
    let request = Request {
        name: Some(name.clone()),
        temporary: false,
        size: None,
        private_home: false,
        mode: Mode::Host,
        private_network: false,
        no_rebase: false,
        unguarded: false,
        shared: None,
        command: Vec::new(),
        state: place.state.clone(),
        root: place.root.clone(),
    };
    let mut messages = Messages;
    match shell::rebase(request, &wishes(arguments)?, arguments.dry_run, &mut messages)? {
        followed if arguments.json => output::print_json(&told(name.as_str(), &followed))?,
        Followed::Unchanged => {
            output::say(&format!("onlay: the base is the one that '{name}' knows; nothing to do"));
        }
        Followed::Rebased(rebase) => {
            let when = if arguments.dry_run { When::Planned } else { When::Done };
            let lines = rebase.lines(when, Of::Overlay).into_iter().map(|line| output::visible(&line) + "\n");
            output::print(&lines.collect::<String>())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told<'a>(overlay: &'a str, followed: &'a Followed) -> Told<'a> {
    let none = Told {
        overlay,
        changed: false,
        names: 0,
        packages: Vec::new(),
        findings: Vec::new(),
        broken: &[],
        remedy: None,
    };
    let Followed::Rebased(rebase) = followed else { return none };
    let (broken, remedy) = rebase.broken();
    Told {
        changed: true,
        names: rebase.names(),
        packages: rebase.packages().map(|(text, choice)| PackageRow { text, choice }).collect(),
        findings: rebase.findings.iter().map(finding).collect(),
        broken,
        remedy: (!broken.is_empty()).then_some(remedy),
        ..none
    }
}

fn finding(finding: &Finding) -> FindingRow<'_> {
    let (kind, path, ending, package) = match finding {
        Finding::KeptOver { path } => ("kept-over", Some(path), None, None),
        Finding::KeptAlone { path } => ("kept-alone", Some(path), None, None),
        Finding::KeptAway { path } => ("kept-away", Some(path), None, None),
        Finding::Offered { path, ending } => ("offered", Some(path), Some(ending), None),
        Finding::Saved { path, ending } => ("saved", Some(path), Some(ending), None),
        Finding::Misplaced { path, .. } => ("misplaced", Some(path), None, None),
        Finding::Missing { path, package } => ("missing", Some(path), None, Some(package)),
        Finding::LeftBehind { path, .. } => ("left-behind", Some(path), None, None),
        Finding::Accounts { .. } => ("accounts", None, None, None),
    };
    FindingRow {
        kind,
        path: path.map(|path| path.as_path().into()),
        ending: ending.map(String::as_str),
        package: package.map(String::as_str),
        text: finding.to_string(),
    }
}

/// Both options may be given: for all packages at most one, for each single one the other.
fn wishes(arguments: &Arguments) -> Result<Wishes, Error> {
    let mut wishes = Wishes::default();
    for (asked, side) in [(&arguments.ours, Side::Ours), (&arguments.theirs, Side::Theirs)] {
        let Some(names) = asked else { continue };
        let chosen = |name: &String| wishes.packages.iter().any(|(known, _)| known == name);
        if let Some(name) = names.iter().find(|name| name.is_empty() || chosen(name)) {
            let (one, other) = if name.is_empty() {
                ("--ours and --theirs", "take names of packages, or nothing: --ours=NAME")
            } else {
                ("--ours", "names a package that --theirs names, too")
            };
            return Err(shell::Error::Conflict { one, other }.into());
        }
        if !names.is_empty() {
            wishes.packages.extend(names.iter().map(|name| (name.clone(), side)));
        } else if wishes.all.replace(side).is_some() {
            let (one, other) = ("--ours", "does not go with --theirs, unless one of them names packages");
            return Err(shell::Error::Conflict { one, other }.into());
        }
    }
    Ok(wishes)
}
