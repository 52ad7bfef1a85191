//! `onlay hooks`: what package managers say of a locked or unlocked host.

mod install;
mod remove;
mod run;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::arguments::Place;
use super::output;
use super::report::Error;
use crate::hooks::{Hook, Manager};
use crate::sys::{Context, Root};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Install(install::Arguments),
    Remove(remove::Arguments),
    Status(status::Arguments),
    #[command(hide = true)]
    Run(run::Arguments),
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
        Verb::Install(arguments) => install::run(&Root::open(&place.root)?, arguments),
        Verb::Remove(arguments) => remove::run(&Root::open(&place.root)?, arguments),
        Verb::Status(arguments) => status::run(&Root::open(&place.root)?, arguments),
        Verb::Run(arguments) => Ok(run::run(&place.state, arguments)),
    }
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
