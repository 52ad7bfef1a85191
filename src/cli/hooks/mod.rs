//! `onlay hooks`: what package managers say of a locked or unlocked host.

mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde::Serialize;

use super::arguments::Place;
use super::output::{self, JsonPath};
use super::report::Error;
use crate::hooks::{self, Hook, Manager, State};
use crate::sys::{Context, Root};

/// Have apt, dnf and zypper say what an installation on this host comes to
///
/// A hook says, as packages are installed: on an unlocked host, that this is
/// temporary, and how it is kept; on a locked one, that nothing can be installed and
/// what can be done instead, and stops it where the package manager lets it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Install(Install),
    Remove(Remove),
    Status(Status),
    #[command(hide = true)]
    Run(run::Arguments),
}

/// Install the hooks of all package managers that are there, or of some
#[derive(Debug, Args)]
struct Install {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    program: Program,
    /// Say what would be installed, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Remove the hooks of all package managers, or of some
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    which: Which,
    /// Say what would be removed, and stop
    #[arg(long)]
    dry_run: bool,
}

/// Show which package managers are there, and whether they have hooks
#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    program: Program,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Which {
    /// The package managers [default: all that are there]
    #[arg(value_name = "MANAGER")]
    managers: Vec<Manager>,
}

#[derive(Debug, Args)]
struct Program {
    /// The program that hooks call [default: this one]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    program: Option<PathBuf>,
}

impl ValueEnum for Manager {
    fn value_variants<'a>() -> &'a [Manager] {
        &Manager::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Program {
    fn path(&self) -> Result<PathBuf, Error> {
        match &self.program {
            Some(path) => Ok(path.clone()),
            None => Ok(std::env::current_exe().context("find", "this program")?),
        }
    }
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Install(arguments) => install(&Root::open(&place.root)?, arguments),
        Verb::Remove(arguments) => remove(&Root::open(&place.root)?, arguments),
        Verb::Status(arguments) => status(&Root::open(&place.root)?, arguments),
        Verb::Run(arguments) => Ok(run::run(&place.state, arguments)),
    }
}

fn install(root: &Root, arguments: &Install) -> Result<ExitCode, Error> {
    let program = arguments.program.path()?;
    let written = hooks::install(root, &program, &arguments.which.managers, arguments.dry_run)?;
    if arguments.dry_run {
        return tell_plan("install", &written);
    }
    if written.is_empty() {
        output::say("onlay: the hooks are there already");
    }
    tell("installed", &written);
    if written.iter().any(|hook| hook.temporary) {
        let onlay = output::program();
        output::say(&format!(
            "onlay: the host is unlocked there: what is said to be temporary goes with '{onlay} lock' or a reboot"
        ));
    }
    for hook in hooks::find(root, &program)? {
        if let State::Unable(reason) = hook.state {
            output::say(&format!("onlay: {} is there, but cannot have a hook: {reason}", hook.manager));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(root: &Root, arguments: &Remove) -> Result<ExitCode, Error> {
    // Whichever program they call.
    let removed = hooks::remove(root, Path::new("/onlay"), &arguments.which.managers, arguments.dry_run)?;
    if arguments.dry_run {
        return tell_plan("remove", &removed);
    }
    if removed.is_empty() {
        output::say("onlay: there are no hooks");
    }
    tell("removed", &removed);
    Ok(ExitCode::SUCCESS)
}

fn tell_plan(verb: &str, hooks: &[Hook]) -> Result<ExitCode, Error> {
    let line =
        |hook: &Hook| format!("would {verb} the hook of {}: {}\n", hook.manager, output::path(&hook.path));
    let text: String = hooks.iter().map(line).collect();
    let nothing = || format!("would {verb} nothing\n");
    output::print(&if text.is_empty() { nothing() } else { text }).map(|()| ExitCode::SUCCESS)
}

fn tell(done: &str, hooks: &[Hook]) {
    for hook in hooks {
        let temporary = if hook.temporary { ", temporary" } else { "" };
        output::say(&format!(
            "onlay: {done} the hook of {}: {}{temporary}",
            hook.manager,
            output::path(&hook.path)
        ));
    }
}

/// What `--json` shows of one.
#[derive(Debug, Serialize)]
struct Row<'a> {
    manager: Manager,
    path: JsonPath<'a>,
    state: &'static str,
    temporary: bool,
}

fn status(root: &Root, arguments: &Status) -> Result<ExitCode, Error> {
    let hooks = hooks::find(root, &arguments.program.path()?)?;
    if arguments.json {
        let row = |hook| {
            let Hook { manager, path, state, temporary, .. }: &Hook = hook;
            let (path, state) = (path.as_path().into(), in_words(*state));
            Row { manager: *manager, path, state, temporary: *temporary }
        };
        output::print_json(&hooks.iter().map(row).collect::<Vec<Row<'_>>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if hooks.is_empty() {
        return Err(hooks::Error::NoManager.into());
    }
    let head = ["MANAGER", "HOOK", "FILE"].map(str::to_owned).to_vec();
    let row = |hook: &Hook| {
        let temporary = if hook.temporary && hook.state != State::Absent { ", temporary" } else { "" };
        let state = format!("{}{temporary}", in_words(hook.state));
        vec![hook.manager.to_string(), state, output::path(&hook.path)]
    };
    let rows: Vec<_> = std::iter::once(head).chain(hooks.iter().map(row)).collect();
    output::print(&output::table(&rows)).map(|()| ExitCode::SUCCESS)
}

fn in_words(state: State) -> &'static str {
    match state {
        State::Absent => "absent",
        State::Installed => "installed",
        State::Outdated => "outdated",
        State::Foreign => "foreign",
        State::Unable(_) => "unable",
    }
}
