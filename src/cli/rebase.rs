//! `onlay rebase`.

use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::Error;
use crate::overlay::{Mode, OverlayName, Wishes};
use crate::shell::{self, Followed, Request};

/// Let an overlay follow a base that has changed
///
/// 'onlay shell' does this by itself. Files that the overlay had only copied are the
/// base's again, files that both changed are told. It is done wholly or not at all.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay [default: default]
    name: Option<OverlayName>,
    /// Say what would be changed, and stop
    #[arg(long)]
    dry_run: bool,
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
        command: Vec::new(),
        state: place.state.clone(),
        root: place.root.clone(),
    };
    let mut messages = Messages { quiet: false };
    match shell::rebase(request, &Wishes::default(), arguments.dry_run, &mut messages)? {
        Followed::Unchanged => {
            output::say(&format!("onlay: the base is the one that '{name}' knows; nothing to do"));
        }
        Followed::Rebased(rebase) => {
            let lines = rebase.lines().into_iter().map(|line| output::visible(&line) + "\n");
            output::print(&lines.collect::<String>())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
