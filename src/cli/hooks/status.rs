//! `onlay hooks status`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Program;
use crate::cli::output::{self, JsonPath};
use crate::cli::report::Error;
use crate::hooks::{self, Hook, Manager, State};
use crate::sys::Root;

/// Show which package managers are there, and whether they have hooks
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    program: Program,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` shows of one.
#[derive(Debug, Serialize)]
struct Row<'a> {
    manager: Manager,
    path: JsonPath<'a>,
    state: &'static str,
    temporary: bool,
}

pub(super) fn run(root: &Root, arguments: &Arguments) -> Result<ExitCode, Error> {
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
